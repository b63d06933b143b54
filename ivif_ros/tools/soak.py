"""`python -m ivif_ros.tools.soak --minutes 60 --faults`: the node for hours, beside cameras that fail in turn, as JSON.

Says how many pairs were fused, alarms that were false and faults that brought none, and how memory, threads and file
descriptors of the node's process grew.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String

from ivif_core.errors import IvifError, OutputError
from ivif_core.files.writing import write_text
from ivif_core.types import Source
from ivif_ros.inputs import TOPICS
from ivif_ros.tools.camera_faults import FAULTS, CameraPair, Fault
from ivif_ros.tools.processes import Processes, isolated_environment, private_kilobytes

START_LIMIT = 30.0
"""Seconds for the node to start and subscribe."""
WELL, FAULT, SETTLING = 10.0, 5.0, 3.0
"""Seconds between two faults, of a fault, and after one within which alarms still belong to it."""
SAMPLE_INTERVAL = 10.0
"""Seconds between two looks at the node's process."""
WARM_UP = 300.0
"""Seconds after which memory should grow no more; in a shorter run, half of it."""
LATE = 0.1
"""Seconds that this program itself may be late in sending; alarms near such a moment are counted apart."""

GOOD = Fault("good", CameraPair.pair)
CALM = ("fusing", "waiting")


class Soak(Node):
    """Sends as two cameras, and listens to what the node makes of it."""

    def __init__(self, rate: float) -> None:
        super().__init__("ivif_soak", start_parameter_services=False)
        self._period, self._cameras = 1 / rate, CameraPair()
        self.sent: Counter[str] = Counter()
        self.fused: Counter[str] = Counter()
        self.alarms: list[dict[str, Any]] = []
        self.excused = 0
        self.missing: Counter[str] = Counter()
        self._fault, self._said = GOOD, ""
        self._began, self._late_at, self._ended = time.monotonic(), float("-inf"), float("-inf")
        self._seen: set[str] = set()
        self._publishers_of: dict[Source, Any] = {}
        self.connect()
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(Image, "ivif/fused", self._on_fused, qos_profile_sensor_data)
        self.create_subscription(String, "ivif/status", self._on_status, latched)

    def connect(self) -> None:
        """Publishers anew, as of a driver that is started again."""
        for publisher in self._publishers_of.values():
            self.destroy_publisher(publisher)
        self._publishers_of = {
            source: self.create_publisher(Image, f"{topic}/image_raw", qos_profile_sensor_data)
            for source, topic in TOPICS.items()
        }

    @property
    def connected(self) -> bool:
        """Whether the node listens to both cameras."""
        return all(publisher.get_subscription_count() for publisher in self._publishers_of.values())

    def run(self, fault: Fault, seconds: float) -> None:
        """Send frames for a while, and see what is said meanwhile."""
        if self._fault is not GOOD:
            self._ended = time.monotonic()
        self._fault, self._seen = fault, {self._said}
        if fault.restart:
            self.connect()
            self.wait(lambda: self.connected, START_LIMIT)
        start = time.monotonic()
        for tick in range(round(seconds / self._period)):
            late = time.monotonic() - (start + tick * self._period)
            if late > LATE:
                self._late_at = time.monotonic()
            self._spin(-late)
            for source, message in fault.frames(self._cameras, self.get_clock().now().nanoseconds):
                self._publishers_of[source].publish(message)
            self.sent[fault.name] += 1
        if fault.status and fault.status not in self._seen:
            self.missing[fault.name] += 1

    def wait(self, condition: Any, limit: float) -> None:
        """
        Raises:
            IvifError: not within `limit` (s).
        """
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                raise IvifError(f"the node does not answer within {limit:g} s")
            rclpy.spin_once(self, timeout_sec=0.05)

    def _spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        rclpy.spin_once(self, timeout_sec=0.0)
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=left)

    def _on_fused(self, _: Image) -> None:
        self.fused[self._fault.name] += 1

    def _on_status(self, message: String) -> None:
        now, status = time.monotonic(), message.data
        self._said = status
        self._seen.add(status)
        if status in CALM or self._belongs(status) or now - self._ended < SETTLING:
            return
        if now - self._late_at < SETTLING:
            self.excused += 1
        else:
            self.alarms.append({"second": round(now - self._began), "status": status, "during": self._fault.name})

    def _belongs(self, status: str) -> bool:
        """One camera is noticed before the other, and what is frozen may fall silent."""
        expected = set(self._fault.status.split("_and_")) if self._fault.status else set()
        return bool(expected) and set(status.split("_and_")) <= expected | {self._fault.status}


def sample(pid: int) -> tuple[int, int, int]:
    """Private memory (kB), threads and file descriptors of a process."""
    threads, descriptors = (sum(1 for _ in Path(f"/proc/{pid}/{kind}").iterdir()) for kind in ("task", "fd"))
    return private_kilobytes(pid), threads, descriptors


def slope(samples: list[tuple[float, int, int, int]], minutes: float) -> float | None:
    """MB an hour by which private memory grew after the warm-up; None of too few samples."""
    after = min(WARM_UP, 60 * minutes / 2)
    late = np.array([(at, kilobytes) for at, kilobytes, *_ in samples if at >= after], float)
    return round(float(np.polyfit(late[:, 0], late[:, 1], 1)[0]) * 3600 / 1024, 2) if len(late) > 2 else None


def run(minutes: float, rate: float, with_faults: bool, parameters: list[str]) -> dict[str, Any]:
    """The whole run.

    Raises:
        IvifError: the node does not start, or ends by itself.
    """
    environment = isolated_environment()
    os.environ.update(environment)
    rclpy.init(args=[])
    samples: list[tuple[float, int, int, int]] = []
    options = [part for value in parameters for part in ("-p", value)]
    with tempfile.TemporaryDirectory() as folder, Processes(environment, Path(folder)) as processes:
        child = processes.start("node", "ivif_ros", ["--ros-args", *options])
        soak = Soak(rate)
        soak.wait(lambda: soak.connected, START_LIMIT)
        began = time.monotonic()
        faults = cycle(FAULTS if with_faults else [GOOD])
        while time.monotonic() - began < 60 * minutes:
            for fault, seconds in ((GOOD, WELL), (next(faults), FAULT)):
                soak.run(fault, seconds)
                processes.check()
                at = time.monotonic() - began
                if not samples or at - samples[-1][0] >= SAMPLE_INTERVAL:
                    samples.append((round(at, 1), *sample(child.pid)))
        status = processes.stop("node")
        lines = (Path(folder) / "node.log").read_text(errors="replace").splitlines()
        soak.destroy_node()
        rclpy.try_shutdown()
    figures = np.array(samples)
    return {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "rate": rate,
        "pairs": {name: {"sent": count, "fused": soak.fused[name]} for name, count in soak.sent.items()},
        "false alarms": soak.alarms,
        "alarms while this program was late": soak.excused,
        "faults without their status": dict(soak.missing),
        "private memory MB": {"first": round(figures[0, 1] / 1024, 1), "last": round(figures[-1, 1] / 1024, 1)},
        "memory slope MB/h": slope(samples, minutes),
        "threads": [int(figures[:, 2].min()), int(figures[:, 2].max())],
        "file descriptors": [int(figures[:, 3].min()), int(figures[:, 3].max())],
        "log lines": len(lines),
        "tracebacks": sum("Traceback" in line for line in lines),
        "node exit status": status,
    }


def main(argv: list[str] | None = None) -> int:
    """Print the result; returns the exit status: 1 where the node died, an alarm was false or a fault brought none."""
    parser = argparse.ArgumentParser(prog="python -m ivif_ros.tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the run (%(default)g)")
    parser.add_argument("--rate", type=float, default=10.0, help="pairs a second (%(default)g)")
    parser.add_argument("--faults", action="store_true", help="cameras that fail in turn; without it they are good")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME:=VALUE", help="of the node; repeatable"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    arguments = parser.parse_args(argv)
    if not (arguments.minutes > 0 and 1 <= arguments.rate <= 1000):
        parser.error("expected minutes over 0 and a rate of 1 to 1000")
    try:
        result = run(arguments.minutes, arguments.rate, arguments.faults, arguments.parameter)
        text = json.dumps(result, indent=2)
        print(text)
        if arguments.json:
            write_text(arguments.json, text + "\n")
    except (IvifError, OutputError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if result["false alarms"] or result["faults without their status"] or result["node exit status"] else 0


if __name__ == "__main__":
    sys.exit(main())
