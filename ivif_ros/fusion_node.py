"""The node `ivif_fusion`: lifecycle, parameters and diagnostics around a session."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from ivif_core.errors import ConfigError, IvifError, one_line
from ivif_core.settings import Settings, reads_files
from ivif_ros import diagnostics, parameters
from ivif_ros.bounded_call import BoundedCall
from ivif_ros.clock_check import ClockCheck
from ivif_ros.complaints import Problems
from ivif_ros.guard import Guard, description, guarded, spin
from ivif_ros.session import Session
from ivif_ros.stamps import stamp_message
from ivif_ros.stream_report import inactive_parts, session_parts
from ivif_ros.tools.processes import join_graph

FILE_WAIT = 2.0
"""Seconds that a registration file may take to be read; meanwhile frames are fused, but none is received."""


def _failed_transition(_: Exception) -> TransitionCallbackReturn:
    return TransitionCallbackReturn.ERROR  # leads to `on_error`


def _refusal(error: Exception) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=one_line(f"refused: {description(error)}"))


class FusionNode(LifecycleNode):
    """Pairs thermal and RGB frames, fuses them and publishes the result with the RGB header.

    What it takes to do so lives in a `Session`, from configuring to cleaning up. No exception leaves a callback:
    `guard` counts it, log and diagnostics tell, and the stream goes on.
    """

    def __init__(self, **options: Any) -> None:
        """
        Args:
            options: of `rclpy.lifecycle.LifecycleNode` (context, namespace, parameter_overrides …).

        Raises:
            ConfigError, InvalidParameterTypeException, InvalidParameterValueException: a parameter is refused.
        """
        self.session: Session | None = None
        self.guard = Guard(self._tell_failure)
        self._read_files = BoundedCall(FILE_WAIT)
        super().__init__("ivif_fusion", **options)  # it may call destroy_node, if a parameter is refused
        self._settings = parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._problems = Problems(self.get_logger().warning)
        self._clock_check = ClockCheck()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Of a clock of its own: with use_sim_time the node's stands still while nothing comes on /clock.
        self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

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
            self.session = Session(self, self._settings, self.guard, self._problems)
        except IvifError as error:
            self.get_logger().error(f"cannot configure: {one_line(error)}")
            return TransitionCallbackReturn.FAILURE
        facts = self.session.pipeline.facts
        self.get_logger().info(f"configured: {facts['backend']}, {facts['model']}")
        return super().on_configure(state)

    @guarded("activate", _failed_transition)
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = super().on_activate(state)  # first: what is published before is lost
        self._configured().start(self._settings)
        return result

    @guarded("deactivate", _failed_transition)
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._configured().stop()
        return super().on_deactivate(state)

    @guarded("cleanup", _failed_transition)
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close()
        return super().on_cleanup(state)

    @guarded("shutdown", _failed_transition)
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close()
        return super().on_shutdown(state)

    @guarded("recovery", lambda _: TransitionCallbackReturn.SUCCESS)
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition failed with an exception: back to unconfigured, from where it can be tried again."""
        self._close()
        return super().on_error(state)

    def destroy_node(self) -> None:
        self._close()
        super().destroy_node()

    def _configured(self) -> Session:
        """The session, of which the lifecycle takes care that there is one."""
        if self.session is None:
            raise RuntimeError("the node is not configured")
        return self.session

    def _close(self) -> None:
        """Free model and publishers; harmless where there are none."""
        session, self.session = self.session, None
        if session is not None:
            session.close()

    # Parameters and diagnostics

    def set_parameters_atomically(self, parameter_list: list[Parameter[Any]]) -> SetParametersResult:
        reason = parameters.refusal(self, parameter_list)
        if reason:
            return SetParametersResult(successful=False, reason=reason)
        return super().set_parameters_atomically(parameter_list)

    @guarded("parameter change", _refusal)
    def _on_parameters(self, changes: list[Parameter[Any]]) -> SetParametersResult:
        session = self.session
        change = partial(self._settings.with_changes, parameters.values_of(changes), only_live=session is not None)
        try:
            from_files = any(reads_files(parameter.name) for parameter in changes)
            settings = self._read_files(change) if from_files else change()
            if session is not None:
                session.pipeline.check(settings)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=one_line(error))
        if session is not None:
            session.use(settings)
        self._settings = settings
        return SetParametersResult(successful=True)

    def _tell_failure(self, cause: str, error: Exception) -> None:
        if self.context.ok():  # what was going on when it was shut down fails in several ways
            self._problems.add(f"{cause} failed", f"{cause} failed: {description(error)}")

    @guarded("diagnostics")
    def _report(self) -> None:
        now, time_now = time.monotonic(), self.get_clock().now().nanoseconds
        session, simulated = self.session, self.get_parameter("use_sim_time").value
        parts = session_parts(self, session, self._problems, now) if session is not None else inactive_parts()
        fusion = parts[0]
        fusion.values |= {f"failed {cause} (count)": str(n) for cause, n in sorted(self.guard.failures.items())}
        clock_problem = self._clock_check.problem(time_now, now) if simulated else ""
        self._problems.say("clock", clock_problem)
        fusion.warnings += [problem for problem in (*self._problems.recent(), clock_problem) if problem]
        message = diagnostics.message(self.get_fully_qualified_name(), parts)
        message.header.stamp = stamp_message(time_now)
        self._diagnostics.publish(message)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit status."""
    # rclpy's own handlers end `spin`. Python's would raise KeyboardInterrupt at any point, inside of rclpy's C++ too.
    # While the node ends, rclpy puts back what was there before.
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: asked.append(number))
    node = None
    try:
        join_graph(None if args is None else list(args))
        if asked:  # before rclpy listened
            return 0
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
