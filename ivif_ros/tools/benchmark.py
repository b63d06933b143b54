"""`python -m ivif_ros.tools.benchmark`: what the node makes of two camera streams on this machine, as JSON.

Replay of the rendered scene, node and receiver are three processes on a DDS graph of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ivif_core.errors import IvifError, OutputError
from ivif_core.files.writing import write_text
from ivif_ros.tools.processes import Processes, isolated_environment, private_kilobytes

START_LIMIT = 240.0
"""Seconds for rendering the scene and finding each other, before the stream must have ended."""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ivif_ros.tools.benchmark", description=__doc__)
    parser.add_argument("--infrared-size", default="640x512", metavar="WxH", help="thermal, mono16 (%(default)s)")
    parser.add_argument("--visible-size", default="640x480", metavar="WxH", help="RGB, bgr8 (%(default)s)")
    parser.add_argument("--rate", type=float, default=30.0, help="pairs a second (%(default)g)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the stream (%(default)g)")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME:=VALUE", help="of the node; repeatable"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    return parser.parse_args(argv)


class ProcessMeter:
    """Processor time and private memory of another process, from /proc (Linux)."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._started, self._ticks = time.monotonic(), self._cpu_ticks()
        self.peak_private = 0

    def sample(self) -> None:
        """Look at the memory."""
        self.peak_private = max(self.peak_private, private_kilobytes(self._pid))

    def cores(self) -> float:
        """Mean number of cores in use since the start."""
        seconds = (self._cpu_ticks() - self._ticks) / os.sysconf("SC_CLK_TCK")
        return seconds / (time.monotonic() - self._started)

    def _cpu_ticks(self) -> int:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])  # utime, stime: proc(5)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Stream, measure, and sum up.

    Raises:
        IvifError: a process failed, or the stream does not end.
    """
    count = round(arguments.rate * arguments.seconds)
    parameters = [part for value in arguments.parameter for part in ("-p", value)]
    stream = ["--raw16", "--rate", str(arguments.rate), "--count", str(count)]
    stream += ["--infrared-size", arguments.infrared_size, "--visible-size", arguments.visible_size]
    with Processes(isolated_environment()) as processes:
        receiver = processes.start("receiver", "ivif_ros.tools.latency_probe", [], capture=True)
        node = processes.start("node", "ivif_ros", ["--ros-args", "--log-level", "warn", *parameters])
        replay = processes.start("replay", "ivif_ros.tools.replay", stream, capture=True)
        processes.wait(1.0)
        meter = ProcessMeter(node.pid)
        deadline = time.monotonic() + arguments.seconds + START_LIMIT
        while replay.poll() is None:
            if time.monotonic() > deadline:
                raise IvifError(f"the stream did not end within {arguments.seconds + START_LIMIT:g} s")
            processes.wait(0.25)
            meter.sample()
        cores = meter.cores()
        processes.wait(1.5)  # the last diagnostics hold the final counts
        sent = int(_said(replay).split()[1])
        processes.stop("receiver")
        seen = json.loads(_said(receiver))
        status = processes.stop("node")
    fused = seen.pop("fused")
    return {
        "infrared": f"{arguments.infrared_size} mono16",
        "visible": f"{arguments.visible_size} bgr8",
        "rate": arguments.rate,
        "machine": f"{os.cpu_count()} × {_processor()}",
        "sent": sent,
        "fused": fused,
        "fused share": round(fused / sent, 4),
        **seen,
        "node cores": round(cores, 2),
        "node peak private MB": round(meter.peak_private / 1024, 1),
        "node exit status": status,
    }


def _said(child: subprocess.Popen[str]) -> str:
    """What a captured child printed."""
    assert child.stdout is not None
    return child.stdout.read()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main(argv: list[str] | None = None) -> int:
    """Print the result; returns the exit status."""
    arguments = parse_arguments(argv)
    try:
        result = json.dumps(run(arguments), indent=2)
    except IvifError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    print(result)
    if arguments.json:
        try:
            write_text(arguments.json, result + "\n")
        except OutputError as error:
            print(f"benchmark: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
