"""`python -m ivif_ros.tools.latency_probe`: times every fused frame and, at SIGINT, prints what it saw as JSON.

Listens on `ivif/fused` and `/diagnostics`. The middleware gives the moment of publishing with each message, and all
processes of one machine share the clock of the stamps.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from ivif_core.imaging.freed_memory import keep_freed_memory
from ivif_ros.stamps import stamp_time
from ivif_ros.statistics import quantile

if TYPE_CHECKING:  # older distributions have no such name
    from rclpy.subscription import MessageInfo


class Receiver(Node):
    """Collects times of fused frames and the node's latest diagnostics."""

    def __init__(self) -> None:
        super().__init__("ivif_receiver", start_parameter_services=False)
        self._times: list[tuple[int, int, int]] = []  # stamp, published, received; ns
        self._diagnostics: list[dict[str, str]] = []
        self.create_subscription(Image, "ivif/fused", self._on_fused, qos_profile_sensor_data)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_fused(self, message: Image, info: MessageInfo) -> None:
        received = self.get_clock().now().nanoseconds
        self._times.append((stamp_time(message.header.stamp), info["source_timestamp"], received))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith(": fusion"):
                self._diagnostics.append({value.key: value.value for value in status.values})

    def summary(self) -> dict[str, Any]:
        """Counts, latencies in ms, and what the node said of itself."""
        last = self._diagnostics[-1] if self._diagnostics else {}
        prefix, suffix = "dropped ", " (count)"
        return {
            "received": len(self._times),
            "fused": int(last.get("fused (count)", 0)),
            "dropped": {k[len(prefix) : -len(suffix)]: int(v) for k, v in last.items() if k.startswith(prefix)},
            "latency_ms": {
                "stamp to publish": _quantiles([published - stamp for stamp, published, _ in self._times]),
                "publish to receipt": _quantiles([received - published for _, published, received in self._times]),
                "stamp to receipt": _quantiles([received - stamp for stamp, _, received in self._times]),
            },
            "processing_ms": self._median_of("processing median (ms)"),
            "network_ms": self._median_of("network median (ms)"),
            "backend": last.get("backend"),
            "model": last.get("model"),
        }

    def _median_of(self, key: str) -> float:
        return quantile([float(values[key]) for values in self._diagnostics if values.get(key, "-") != "-"], 0.5)


def _quantiles(nanoseconds: Sequence[int]) -> dict[str, float]:
    shares = {"median": 0.5, "95th": 0.95, "99th": 0.99}
    return {name: round(quantile([ns / 1e6 for ns in nanoseconds], share), 2) for name, share in shares.items()}


def main() -> int:
    """Listen until SIGINT."""
    signal.signal(signal.SIGINT, lambda *_: None)  # rclpy's own handler ends `spin`
    keep_freed_memory()
    rclpy.init()
    receiver = Receiver()
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(receiver)
    print(json.dumps(receiver.summary()), flush=True)
    receiver.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
