"""The node `ivif_fusion`: wiring of subscriptions, pairing, worker, publishers and diagnostics."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Sequence
from copy import copy
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ivif_core.errors import ConfigError, InputError, IvifError
from ivif_core.nearest_pairing import NearestPairing
from ivif_core.pairing import Source
from ivif_core.silence import fingerprint
from ivif_core.stamp_check import StampCheck
from ivif_core.supervision import Job, Supervisor
from ivif_ros import parameters
from ivif_ros.diagnostics import qos_problems, report
from ivif_ros.outputs import Outputs
from ivif_ros.pipeline import Pipeline
from ivif_ros.processes import adopt_fastdds_profile
from ivif_ros.statistics import Fused, Statistics
from ivif_ros.synchronizer import Latest, make_pairing

PROBLEM_LIFETIME = 2.0
"""Seconds for which a malformed frame stays in the diagnostics."""


class FusionNode(LifecycleNode):
    """Pairs thermal and RGB frames, fuses them and publishes the result with the RGB header.

    The executor's thread only receives and pairs. One worker thread converts, fuses and publishes, always the newest
    pair, so that a slow network drops frames instead of falling behind.
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
        super().__init__("ivif_fusion", **options)  # it may call destroy_node, if a parameter is refused
        self._settings = parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._statistics = Statistics(time.monotonic())
        self._problem = (float("-inf"), "")
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

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._pipeline = Pipeline(self._settings)
        except IvifError as error:
            self.get_logger().error(f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self._outputs = Outputs(self, self._settings["output_reliability"])
        facts = self._pipeline.facts
        self.get_logger().info(f"configured: {facts['backend']}, {facts['model']}")
        return super().on_configure(state)

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
        self._inputs = [
            self._subscribe("thermal/image_raw", settings["thermal_transport"], "infrared"),
            self._subscribe("rgb/image_raw", settings["rgb_transport"], "visible"),
            self._subscribe_info("thermal/camera_info", "infrared"),
            self._subscribe_info("rgb/camera_info", "visible"),
        ]
        if settings["registration.depth"]:
            depth = (Image, "rgb/depth", self._pipeline.set_depth, qos_profile_sensor_data)
            self._inputs.append(self.create_subscription(*depth))
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        self._release()
        return super().on_shutdown(state)

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

    def _subscribe(self, topic: str, transport: str, source: str) -> Any:
        topic = self.resolve_topic_name(topic)  # a remapped base name carries its /compressed along
        kind, name = (CompressedImage, f"{topic}/compressed") if transport == "compressed" else (Image, topic)
        return self.create_subscription(
            kind,
            name,
            lambda message: self._on_frame(source, message),
            copy(qos_profile_sensor_data),  # overrides are written into the profile that is given
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _subscribe_info(self, topic: str, source: Source) -> Any:
        received = lambda message: self._on_camera_info(source, message)  # noqa: E731
        return self.create_subscription(CameraInfo, topic, received, qos_profile_sensor_data)

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
            self._warn(f"{source} stamps jumped back: queues cleared, pairing starts anew")
        self._announce(now)

    def _time_of(self, source: Source, message: Any) -> int:
        """The stamp to pair by, ns; a stamp that is replaced by the time of receipt is so in the message too."""
        replaced = self._stamps.replaced
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        stamp = self._stamps.time(source, stamp, self.get_clock().now().nanoseconds)
        if self._stamps.replaced != replaced:
            self._supervisor.clear()  # what waits is of another clock
        if source in self._stamps.replaced:
            message.header.stamp = Time(nanoseconds=stamp).to_msg()
        if self._stamps.problem:
            self._warn(self._stamps.problem)
        return stamp

    def _announce(self, now: float) -> None:
        """Publish the status when it changed; the topic is latched."""
        status = self._supervisor.status(now)
        if status != self._status:
            self._status = status
            self._outputs.publish_status(status)
            self.get_logger().info(f"status: {status}")

    def _on_camera_info(self, source: Source, message: CameraInfo) -> None:
        if source == "visible":
            self._outputs.camera_info = message
        try:
            self._pipeline.set_camera_info(source, message)
        except ConfigError as error:
            self.get_logger().warning(str(error))

    # Fusing and publishing: the worker's thread

    def _work(self) -> None:
        while (job := self._latest.get()) is not None:
            started = time.monotonic()
            try:
                frame = self._pipeline.fuse(job.infrared, job.visible)
                self._outputs.publish(
                    frame,
                    self._header(job),
                    encoding=self._settings["output_encoding"],
                    jpeg_quality=self._settings["jpeg_quality"],
                    side_by_side=self._pipeline.side_by_side,
                )
            except InputError as error:
                self._statistics.drop("malformed pair")
                self._warn(f"malformed frame: {error}")
                continue
            except Exception as error:  # one frame must never end the stream
                if not self.context.ok():
                    return
                self._statistics.drop("failed pair")
                self._warn(f"frame failed: {type(error).__name__}: {error}")
                continue
            now = time.monotonic()
            latency = (self.get_clock().now().nanoseconds - job.stamp) / 1e9
            event = Fused(latency, job.offset, now - started, self._pipeline.network_seconds)
            self._statistics.fused(event, now)

    def _header(self, job: Job) -> Header:
        """The visible header; where infrared goes on alone, its time in the visible's frame."""
        if job.visible is not None:
            self._visible_frame = job.visible.header.frame_id
        frame = self._visible_frame or (job.visible or job.infrared).header.frame_id
        return Header(stamp=Time(nanoseconds=job.stamp).to_msg(), frame_id=frame)

    # Parameters and diagnostics

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            settings = self._settings.with_changes(changes, only_live=self._pipeline is not None)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        changed, self._settings = settings.changed(self._settings), settings
        if self._pipeline is not None:
            self._pipeline.apply(settings, changed)
        if self._worker is not None:
            self._apply_pairing(changed)
        return SetParametersResult(successful=True)

    def _apply_pairing(self, changed: set[str]) -> None:
        settings, pairing = self._settings, self._supervisor.pairing
        self._supervisor.policy = settings["on_missing"]
        pairing.slop, pairing.queue_size = settings["slop"], settings["queue_size"]
        if isinstance(pairing, NearestPairing):
            pairing.hold = settings["hold_thermal"]
        if "thermal_time_offset" in changed:
            pairing.infrared_offset = settings["thermal_time_offset"]

    def _warn(self, problem: str) -> None:
        self._problem = (time.monotonic(), problem)
        self.get_logger().warning(problem, throttle_duration_sec=1.0)

    def _report(self) -> None:
        now, active = time.monotonic(), self._worker is not None
        problems = []
        facts = self._pipeline.facts if self._pipeline else {}
        if active:
            topics = [*(s.topic_name for s in self._inputs), self._outputs.fused_topic]
            problems = qos_problems(self, topics)
            for problem in problems:
                self.get_logger().warning(problem, throttle_duration_sec=10.0)
            if now - self._problem[0] < PROBLEM_LIFETIME:
                problems.append(self._problem[1])
            problems += self._missing(now)
            self._announce(now)
            facts = {**facts, "status": self._status, "thermal age (s)": f"{self._age('infrared', now):.2f}"}
            dropped = self._supervisor.pairing.dropped + self._supervisor.dropped
            self._statistics.dropped.update(
                {cause: n - self._statistics.dropped[cause] for cause, n in dropped.items()}
            )
        message = report(self.get_name(), self._statistics, now, active=active, facts=facts, problems=problems)
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _missing(self, now: float) -> list[str]:
        """Warnings about the cameras beside silence, which `report` sees itself."""
        problems = self._pipeline.warnings
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
        rclpy.spin(node)
    except (ConfigError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        print(f"fusion_node: {error}", file=sys.stderr)
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
