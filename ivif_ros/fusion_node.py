"""The node `ivif_fusion`: wiring of subscriptions, pairing, worker, publishers and diagnostics."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ivif_core.errors import ConfigError, InputError, IvifError, one_line
from ivif_core.sync.camera_monitor import fingerprint
from ivif_core.sync.dropout_policy import Job, Supervisor
from ivif_core.sync.stamp_check import StampCheck
from ivif_core.types import Source
from ivif_ros import parameters
from ivif_ros.bounded_call import BoundedCall
from ivif_ros.complaints import Complaints, Problems
from ivif_ros.diagnostics import qos_problems, report
from ivif_ros.guard import Guard, description, guarded, spin
from ivif_ros.inputs import subscribe
from ivif_ros.outputs import Outputs
from ivif_ros.parameters import Settings
from ivif_ros.pipeline import Pipeline
from ivif_ros.stamps import stamp_message, take_stamp
from ivif_ros.statistics import Fused, Statistics
from ivif_ros.synchronizer import Latest, change_pairing, make_pairing
from ivif_ros.tools.processes import adopt_fastdds_profile

FILE_WAIT = 2.0
"""Seconds that a registration file may take to be read; meanwhile frames are fused, but none is received."""


def _failed_transition(_: Exception) -> TransitionCallbackReturn:
    return TransitionCallbackReturn.ERROR  # leads to `on_error`


def _refusal(error: Exception) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=one_line(f"refused: {description(error)}"))


class FusionNode(LifecycleNode):
    """Pairs thermal and RGB frames, fuses them and publishes the result with the RGB header.

    The executor's thread only receives and pairs. One worker thread converts, fuses and publishes, always the newest
    pair, so that a slow network drops frames instead of falling behind. No exception leaves a callback: `guard` counts
    it, log and diagnostics tell, and the stream goes on.
    """

    def __init__(self, **options: Any) -> None:
        """
        Args:
            options: of `rclpy.lifecycle.LifecycleNode` (context, namespace, parameter_overrides …).

        Raises:
            ConfigError, InvalidParameterTypeException, InvalidParameterValueException: a parameter is refused.
        """
        self._pipeline: Pipeline | None = None
        self._outputs: Outputs | None = None
        self._inputs: list[Any] = []
        self._worker: threading.Thread | None = None
        self.guard = Guard(self._tell_failure)
        self._complaints = Complaints()
        self._read_files = BoundedCall(FILE_WAIT)
        super().__init__("ivif_fusion", **options)  # it may call destroy_node, if a parameter is refused
        self._settings = parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._statistics = Statistics(time.monotonic())
        self._problems = Problems(self.get_logger().warning)
        self._visible_frame = ""
        self._status = ""
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._report)

    def start(self) -> bool:
        """Configure and activate, if `autostart` says so; False if that failed (the log says why)."""
        if not self._settings["autostart"]:
            return True
        transitions = (self.trigger_configure, self.trigger_activate)
        return all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)

    # Lifecycle

    @guarded("configure", _failed_transition)
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        values = self._settings.values
        try:
            self._settings = self._read_files(lambda: Settings.from_values(values))
            self._pipeline = Pipeline(self._settings)
        except IvifError as error:
            self.get_logger().error(f"cannot configure: {one_line(error)}")
            return TransitionCallbackReturn.FAILURE
        self._outputs = Outputs(self, self._settings["output_reliability"])
        facts = self._pipeline.facts
        self.get_logger().info(f"configured: {facts['backend']}, {facts['model']}")
        return super().on_configure(state)

    @guarded("activate", _failed_transition)
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        settings = self._settings
        self._statistics = Statistics(time.monotonic())
        self._pipeline.reset()
        names = ("pairing", "slop", "queue_size", "thermal_time_offset", "hold_thermal")
        self._supervisor = Supervisor(
            make_pairing(*(settings[name] for name in names)),
            settings["on_missing"],
            time.monotonic(),
            detect_freeze=settings["freeze_detection"],
        )
        self._stamps = StampCheck()
        self._status = ""
        self._latest: Latest[Job] = Latest(Latest.BURST if settings["pairing"] == "nearest" else 1)
        result = super().on_activate(state)
        self._worker = threading.Thread(target=self._work, name="fusion", daemon=True)
        self._worker.start()
        self._inputs = subscribe(self, settings.values, self._on_frame, self._on_camera_info, self._on_depth)
        return result

    @guarded("deactivate", _failed_transition)
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        return super().on_deactivate(state)

    @guarded("cleanup", _failed_transition)
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    @guarded("shutdown", _failed_transition)
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        self._release()
        return super().on_shutdown(state)

    @guarded("recovery", lambda _: TransitionCallbackReturn.SUCCESS)
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition failed with an exception: back to unconfigured, from where it can be tried again."""
        self._stop()
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        self._stop()
        self._release()
        super().destroy_node()

    def _stop(self) -> None:
        """Stop receiving and wait for the frame in work; harmless where nothing runs."""
        if self._worker is None:
            return
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
        self._latest.close()
        self._worker.join()
        self._worker = None

    def _release(self) -> None:
        """Free model and publishers; harmless where there are none."""
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    # Receiving: the executor's thread

    @guarded("receiving a frame")
    def _on_frame(self, source: Source, message: Any) -> None:
        now, supervisor = time.monotonic(), self._supervisor
        self._statistics.received(source, now)
        stamp = self._time_of(source, message)
        frame_print = fingerprint(message.data) if source == "infrared" else None
        jumps = supervisor.pairing.dropped["stamp_jump"]
        for job in supervisor.add(source, stamp, message, now, frame_print):
            if self._latest.put(job):
                self._statistics.drop("pair replaced by a newer one")
        if supervisor.pairing.dropped["stamp_jump"] > jumps:
            self._pipeline.reset()
            self._problems.add("jump", f"{source} stamps jumped back: queues cleared, pairing starts anew")
        self._announce(now)

    def _time_of(self, source: Source, message: Any) -> int:
        stamp = take_stamp(self._stamps, source, message, self.get_clock().now().nanoseconds)
        if self._stamps.moved:
            self._supervisor.clear()  # what waits is of another clock
        if self._stamps.problem:
            self._problems.add("stamps", self._stamps.problem)
        return stamp

    def _announce(self, now: float) -> None:
        """Publish the status when it changed; the topic is latched. The log follows once a second at most."""
        status = self._supervisor.status(now)
        if status != self._status:
            self._status = status
            self._outputs.publish_status(status)
        if self._complaints.due("status", status):
            self.get_logger().info(f"status: {status}")

    @guarded("camera info")
    def _on_camera_info(self, source: Source, message: CameraInfo) -> None:
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

    # Fusing and publishing: the worker's thread

    def _work(self) -> None:
        while (job := self._latest.get()) is not None:
            if not self._fuse(job):
                self._statistics.drop("failed pair")

    @guarded("frame", lambda _: False)
    def _fuse(self, job: Job) -> bool:
        """Make and publish one image with the settings as they are now; False if it could not be made."""
        started, settings = time.monotonic(), self._settings
        try:
            self._pipeline.use(settings)
            frame = self._pipeline.fuse(job.infrared, job.visible)
            self._outputs.publish(
                frame,
                self._header(job),
                encoding=settings["output_encoding"],
                jpeg_quality=settings["jpeg_quality"],
                side_by_side=self._pipeline.side_by_side,
            )
        except InputError as error:
            self._statistics.drop("malformed pair")
            self._problems.add("malformed frame", f"malformed frame: {error}")
            return True
        now = time.monotonic()
        latency = (self.get_clock().now().nanoseconds - job.stamp) / 1e9
        self._statistics.fused(Fused(latency, job.offset, now - started, self._pipeline.network_seconds), now)
        return True

    def _header(self, job: Job) -> Header:
        """The visible header; where infrared goes on alone, its time in the visible's frame."""
        if job.visible is not None:
            self._visible_frame = job.visible.header.frame_id
        frame = self._visible_frame or (job.visible or job.infrared).header.frame_id
        return Header(stamp=stamp_message(job.stamp), frame_id=frame)

    # Parameters and diagnostics

    @guarded("parameter change", _refusal)
    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        old = self._settings
        change = partial(old.with_changes, changes, only_live=self._pipeline is not None)
        try:
            reads_files = any(parameters.reads_files(parameter.name) for parameter in changes)
            settings = self._read_files(change) if reads_files else change()
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=one_line(error))
        if self._worker is not None:
            change_pairing(self._supervisor, settings.values, settings.changed(old))
        self._settings = settings  # the worker takes it over before its next frame
        return SetParametersResult(successful=True)

    def _tell_failure(self, cause: str, error: Exception) -> None:
        if self.context.ok():  # what was going on when it was shut down fails in several ways
            self._problems.add(f"{cause} failed", f"{cause} failed: {description(error)}")

    @guarded("diagnostics")
    def _report(self) -> None:
        now, active = time.monotonic(), self._worker is not None
        problems = self._problems.recent()
        facts = self._pipeline.facts if self._pipeline else {}
        facts = {key: one_line(value) for key, value in facts.items()}
        facts |= {f"failed {cause} (count)": str(count) for cause, count in sorted(self.guard.failures.items())}
        if active:
            problems = [*self._qos_problems(), *problems, *self._missing(now)]
            self._announce(now)
            facts |= {"status": self._status, "thermal age (s)": f"{self._age('infrared', now):.2f}"}
            dropped = self._supervisor.pairing.dropped + self._supervisor.dropped
            self._statistics.dropped.update(
                {cause: n - self._statistics.dropped[cause] for cause, n in dropped.items()}
            )
        message = report(self.get_name(), self._statistics, now, active=active, facts=facts, problems=problems)
        message.header.stamp = stamp_message(self.get_clock().now().nanoseconds)
        self._diagnostics.publish(message)

    @guarded("QoS check", lambda _: [])
    def _qos_problems(self) -> list[str]:
        topics = [*(subscription.topic_name for subscription in self._inputs), self._outputs.fused_topic]
        problems = [one_line(problem) for problem in qos_problems(self, topics)]
        self._problems.say("QoS", "; ".join(problems))
        return problems

    def _missing(self, now: float) -> list[str]:
        """Warnings about the cameras beside silence, which `report` sees itself."""
        problems = [one_line(warning) for warning in self._pipeline.warnings]
        if self._supervisor.states(now)["infrared"] == "frozen":
            policy = self._settings["on_missing"]
            problems.append(f"thermal camera frozen for {self._age('infrared', now):.1f} s (on_missing: {policy})")
        return problems

    def _age(self, source: Source, now: float) -> float:
        return self._supervisor.watches[source].age(now)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit status."""
    # rclpy's own handler ends `spin`. Python's would raise KeyboardInterrupt at any point, inside of rclpy's C++ too.
    signal.signal(signal.SIGINT, lambda *_: None)
    adopt_fastdds_profile()
    rclpy.init(args=args)
    node = None
    try:
        node = FusionNode()
        if not node.start():
            return 1 if rclpy.ok() else 0
        spin(node, node.guard)
    except (ConfigError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        print(f"fusion_node: {one_line(error)}", file=sys.stderr)
        return 1
    except Exception:  # what rclpy was doing when its context was shut down fails in several ways
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
