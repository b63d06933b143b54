"""While the node is active: frames are received and paired, pairs are fused, images are published."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from geometry_msgs.msg import Point, PointStamped
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ivif_core.errors import ConfigError, InputError, IvifError
from ivif_core.fusion import Fuser
from ivif_core.settings import Settings
from ivif_core.sync.camera_monitor import fingerprint
from ivif_core.sync.dropout_policy import Job, Supervisor
from ivif_core.sync.stamp_check import StampCheck
from ivif_core.types import Source
from ivif_ros.complaints import Complaints, Problems
from ivif_ros.guard import Guard, guarded
from ivif_ros.inputs import subscribe
from ivif_ros.outputs import Outputs
from ivif_ros.pipeline import Frame, FusedFrame, Pipeline
from ivif_ros.stamps import stamp_message, take_stamp
from ivif_ros.statistics import Fused, Statistics
from ivif_ros.synchronizer import Latest, change_pairing, make_pairing
from ivif_ros.turns import Turns

T = TypeVar("T")

PAIRING = ("pairing", "slop", "queue_size", "thermal_time_offset", "hold_thermal")

FORGETFUL = 1.0
"""Seconds without a listener after which thermal scaling starts anew: its range is of another scene."""

MOST_POINTS = 100
"""Points that wait for the next image; of more the oldest go."""


@dataclass(frozen=True)
class _Taken:
    """A pair that was taken up.

    Attributes:
        started: when, monotonic, s.
        anew: the outputs start anew with it.
    """

    job: Job
    header: Header
    started: float
    anew: bool
    frame: Frame


class Stream:
    """From two camera topics to the node's outputs.

    The executor's thread only receives and pairs. Workers, one for each of the pipeline's fusers, convert, fuse and
    publish; where they cannot keep up, they take the newest pair, so that a slow network drops frames and does not fall
    behind. They take pairs up and publish in order, and fuse beside each other. While nobody listens to an image, pairs
    are counted and let go. No exception leaves a callback or a worker (see `guard`).

    Attributes:
        settings: as they are now; they hold from the next frame on that is taken up.
        statistics, supervisor: for the diagnostics.
    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: Settings,
        pipeline: Pipeline,
        outputs: Outputs,
        guard: Guard,
        problems: Problems,
    ) -> None:
        """Subscribe, and start the workers."""
        now = time.monotonic()
        self.guard, self.settings, self.statistics = guard, settings, Statistics(now)
        self._node, self._pipeline, self._outputs, self._problems = node, pipeline, outputs, problems
        self.supervisor = Supervisor(
            make_pairing(*(settings[name] for name in PAIRING)),
            settings["on_missing"],
            now,
            detect_freeze=settings["freeze_detection"],
        )
        self._crops = settings.crops()
        outputs.crop = self._crops["visible"]
        self._stamps, self._complaints = StampCheck(), Complaints()
        self._status = self._visible_frame = ""
        self._heard_at = now
        self._points: deque[Point] = deque(maxlen=MOST_POINTS)
        self._latest: Latest[Job] = Latest(Latest.BURST)
        self._turns = Turns()
        self._workers = [
            threading.Thread(target=self._work, args=(fuser,), name="fusion", daemon=True) for fuser in pipeline.fusers
        ]
        for worker in self._workers:
            worker.start()
        self.inputs: list[Any] = []
        try:
            receivers = (self._on_frame, self._on_camera_info, self._on_depth, self._on_transforms, self._on_point)
            self.inputs = subscribe(node, settings.values, *receivers)
        except Exception:
            self.close()
            raise

    @property
    def dropped(self) -> Counter[str]:
        """Frames and pairs that did not become an image, by cause."""
        replaced = Counter({"pair replaced by a newer one": self._latest.replaced})
        return self.statistics.dropped + self.supervisor.pairing.dropped + self.supervisor.dropped + replaced

    def use(self, settings: Settings) -> None:
        """Take over settings that may change live."""
        change_pairing(self.supervisor, settings.values, settings.changed(self.settings))
        self.settings, self._crops = settings, settings.crops()
        self._outputs.crop = self._crops["visible"]

    def close(self) -> None:
        """Receive no more, and wait for the frames in work."""
        while self.inputs:
            self._node.destroy_subscription(self.inputs.pop())
        self._latest.close()
        for worker in self._workers:
            worker.join()

    # Receiving: the executor's thread

    @guarded("receiving a frame")
    def _on_frame(self, source: Source, message: Any) -> None:
        now, supervisor = time.monotonic(), self.supervisor
        self.statistics.received(source, now)
        stamp = self._time_of(source, message)
        frame_print = fingerprint(self._image_bytes(message)) if source == "infrared" else None
        jumps = supervisor.pairing.dropped["stamp_jump"]
        for job in supervisor.add(source, stamp, message, now, frame_print):
            self._latest.put(job)
            if self._outputs.images_wanted:
                self.statistics.received("wanted pair", now)
        if supervisor.pairing.dropped["stamp_jump"] > jumps:
            self._pipeline.reset()
            self._problems.add("jump", f"{source} stamps jumped back: queues cleared, pairing starts anew")
        self.announce(now)

    def _image_bytes(self, message: Any) -> memoryview:
        """A thermal image without the rows that are cropped: a frame counter among them would hide a freeze."""
        data, crop = memoryview(message.data), self._crops["infrared"]
        step = getattr(message, "step", 0)  # a compressed image is taken whole
        return data[crop.top * step : max(0, len(data) - crop.bottom * step)]

    def _time_of(self, source: Source, message: Any) -> int:
        stamp = take_stamp(self._stamps, source, message, self._node.get_clock().now().nanoseconds)
        if self._stamps.moved:
            self.supervisor.clear()  # what waits is of another clock
        if self._stamps.problem:
            self._problems.add("stamps", self._stamps.problem)
        return stamp

    def announce(self, now: float) -> str:
        """Publish the status when it changed (the topic is latched), and give it. The log has it once a second."""
        status = self.supervisor.status(now)
        if status != self._status:
            self._status = status
            self._outputs.publish_status(status)
        if self._complaints.due("status", status):
            self._node.get_logger().info(f"status: {status}")
        return status

    @guarded("camera info")
    def _on_camera_info(self, source: Source, message: CameraInfo) -> None:
        self.statistics.received(f"{source} info", time.monotonic())
        if source == "visible":
            self._outputs.camera_info = message
        try:
            if self._pipeline.set_camera_info(source, message):
                self._problems.say(f"{source} camera info", "")
        except ConfigError as error:
            self._problems.say(f"{source} camera info", str(error))  # the diagnostics have it from the pipeline

    @guarded("depth image")
    def _on_depth(self, message: Image) -> None:
        self._pipeline.set_depth(message)

    @guarded("transforms")
    def _on_transforms(self, message: Any) -> None:
        self._pipeline.add_transforms(message.transforms)

    @guarded("probed point")
    def _on_point(self, message: Point | PointStamped) -> None:
        status = self.supervisor.status(time.monotonic())
        if status == "fusing":
            self._points.append(message.point if isinstance(message, PointStamped) else message)
        else:
            self._problems.add("probe", f"no temperature of a point: the status is {status}")

    # Fusing and publishing: the workers' threads

    def _work(self, fuser: Fuser) -> None:
        while self._process_next(fuser):
            pass

    def _process_next(self, fuser: Fuser) -> bool:
        """Wait for a pair, and make of it what is wanted; False once the stream is closed."""
        with self._turns.taking:
            job = self._latest.get(self._turns.is_idle)
            if job is None:
                return False
            turn, started = self._turns.take(), time.monotonic()
            taken = self._stage(self._take_up, job, started)
        fused = None if taken is None else self._stage(self._pipeline.fuse, taken.frame, fuser)
        with self._turns.of(turn):
            if taken is not None and fused is not None:
                self._stage(self._publish, taken, fused, fuser.backend.run_seconds)
        return True

    def _stage(self, work: Callable[..., T], *args: Any) -> T | None:
        """One stage of a pair's way; None where it ends there, and the cause is counted. Never raises."""
        try:
            return work(*args)
        except Exception as error:
            self._tell(error)
        return None

    @guarded("frame")  # the log, too, raises once the context is shut down
    def _tell(self, error: Exception) -> None:
        self.statistics.drop("malformed pair" if isinstance(error, InputError) else "failed pair")
        if not isinstance(error, IvifError):
            raise error
        what = "malformed frame" if isinstance(error, InputError) else "a pair cannot be fused"
        self._problems.add(what, f"{what}: {error}")

    def _take_up(self, job: Job, now: float) -> _Taken | None:
        """Prepare what somebody listens to, with the settings as they are now."""
        header = self._header(job)
        if not (self._outputs.images_wanted or self._points):
            self.statistics.drop("nobody listens")
            self._outputs.publish_camera_info(header)
            return None
        anew = now - self._heard_at > FORGETFUL
        if anew:
            self._pipeline.reset()
        self._heard_at = now
        self._pipeline.use(self.settings)
        return _Taken(job, header, now, anew, self._pipeline.prepare(job.infrared, job.visible))

    def _publish(self, taken: _Taken, frame: FusedFrame, network_seconds: float) -> None:
        if taken.anew:
            self._outputs.start_anew()
        self._outputs.publish(frame, taken.header, side_by_side=self._pipeline.side_by_side, spots=self._pipeline.spots)
        while self._points:
            point = self._points.popleft()
            try:
                self._outputs.publish_temperature(self._pipeline.celsius(frame, point.x, point.y), taken.header)
            except InputError as error:
                self._problems.add("probe", f"no temperature of a point: {error}")
        now, job = time.monotonic(), taken.job
        latency = (self._node.get_clock().now().nanoseconds - job.stamp) / 1e9
        self.statistics.fused(Fused(latency, job.offset, now - taken.started, network_seconds), now)

    def _header(self, job: Job) -> Header:
        """The visible header; where infrared goes on alone, its time in the visible's frame."""
        if job.visible is not None:
            self._visible_frame = job.visible.header.frame_id
        present: Any = job.infrared if job.visible is None else job.visible
        frame = self._visible_frame or present.header.frame_id
        return Header(stamp=stamp_message(job.stamp), frame_id=frame)
