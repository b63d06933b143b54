"""`python -m ivif_ros.tools.startup_benchmark`: how long from the node's start to a fused frame at a listener, as JSON.

Replay publishes and a listener waits before the node's process starts; then it is stopped and started again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from ivif_core.errors import IvifError
from ivif_ros.statistics import quantile
from ivif_ros.tools.processes import Processes, isolated_environment

CAMERAS_LIMIT, START_LIMIT = 240.0, 60.0
"""Seconds to wait for the cameras (the scene is rendered first), and for one start."""
AIM = 2.0
"""Seconds that a start may take."""


class Listener(Node):
    """Knows whether a topic's image came since it was last asked for."""

    def __init__(self, processes: Processes) -> None:
        super().__init__("ivif_listener", start_parameter_services=False)
        self._processes = processes

    def expect(self, topics: list[str], limit: float) -> None:
        """Wait until an image of each topic came.

        Raises:
            IvifError: a process ended, or `limit` (s) is over.
        """
        missing = set(topics)
        subscriptions = [self._subscribe(topic, missing) for topic in topics]
        self.wait(lambda: not missing, limit, f"no image on {', '.join(topics)}")
        for subscription in subscriptions:
            self.destroy_subscription(subscription)

    def _subscribe(self, topic: str, missing: set[str]) -> Any:
        return self.create_subscription(Image, topic, lambda _: missing.discard(topic), qos_profile_sensor_data)

    def wait(self, condition: Callable[[], bool], limit: float, problem: str) -> None:
        """As `expect`, for any condition."""
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                raise IvifError(f"{problem} within {limit:g} s")
            self._processes.check()
            rclpy.spin_once(self, timeout_sec=0.05)


def run(count: int, replay: list[str]) -> list[float]:
    """Seconds of `count` starts.

    Args:
        replay: its command-line arguments.

    Raises:
        IvifError: a process ended by itself, or no image came.
    """
    environment = isolated_environment()
    os.environ.update(environment)
    rclpy.init()
    seconds = []
    try:
        with Processes(environment) as processes:
            listener = Listener(processes)
            processes.start("replay", "ivif_ros.tools.replay", replay, capture=True)  # only its words at the end
            listener.expect(["thermal/image_raw", "rgb/image_raw"], CAMERAS_LIMIT)
            for _ in range(count):
                processes.wait(random.uniform(0.0, 3.0))  # anywhere between two announcements of the other processes
                listener.wait(lambda: not listener.count_publishers("ivif/fused"), START_LIMIT, "the node is not gone")
                started = time.monotonic()
                processes.start("node", "ivif_ros", ["--ros-args", "--log-level", "warn"])
                listener.expect(["ivif/fused"], START_LIMIT)
                seconds.append(time.monotonic() - started)
                processes.stop("node")
            listener.destroy_node()
    finally:
        rclpy.try_shutdown()
    return seconds


def main(argv: list[str] | None = None) -> int:
    """Print the result; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ivif_ros.tools.startup_benchmark", description=__doc__)
    parser.add_argument("source", nargs="?", help="folder of pairs or a bag, for replay; none: the rendered scene")
    parser.add_argument("--count", type=int, default=20, help="starts (%(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.count < 1:
        parser.error(f"--count: expected at least 1, got {arguments.count}")
    try:
        seconds = run(arguments.count, [arguments.source] if arguments.source else ["--raw16"])
    except IvifError as error:
        print(f"starts: {error}", file=sys.stderr)
        return 1
    figures = {name: round(quantile(seconds, share), 2) for name, share in (("median", 0.5), ("95th", 0.95))}
    late = sum(value > AIM for value in seconds)
    result = {"starts": len(seconds), **figures, "longest": round(max(seconds), 2), f"over {AIM:g} s": late}
    print(json.dumps({**result, "seconds": [round(value, 2) for value in seconds]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
