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
import threading
import time
from pathlib import Path
from typing import Any

from ivif_core.errors import IvifError, OutputError
from ivif_core.files.writing import write_text
from ivif_ros.tools.processes import Processes, isolated_environment, private_kilobytes
from ivif_ros.tools.replay import STREAMING

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
    """Processor time and private memory of another process, from /proc (Linux), from now to the last sample.

    Attributes:
        cores: mean number of cores in use.
        peak_private: kB.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._started, self._ticks = time.monotonic(), self._cpu_ticks()
        self.cores, self.peak_private = 0.0, 0

    def sample(self) -> None:
        """Look at the process, if it is still there."""
        try:
            seconds = (self._cpu_ticks() - self._ticks) / os.sysconf("SC_CLK_TCK")
            self.peak_private = max(self.peak_private, private_kilobytes(self._pid))
        except (OSError, KeyError):  # it ended, or is about to
            return
        self.cores = seconds / max(time.monotonic() - self._started, 1e-9)

    def _cpu_ticks(self) -> int:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])  # utime, stime: proc(5)


class Lines:
    """What a captured child prints, read beside it."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        self._lines: list[str] = []
        self._pipe = child.stdout
        self._reader = threading.Thread(target=self._read, name="lines", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self._lines.extend(line.strip() for line in self._pipe)

    def __contains__(self, line: str) -> bool:
        return line in self._lines

    def last(self) -> str:
        """The last line, once the child has ended."""
        self._reader.join()
        return self._lines[-1]


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
        said = Lines(replay)
        deadline = time.monotonic() + arguments.seconds + START_LIMIT
        meters: dict[str, ProcessMeter] = {}
        while replay.poll() is None:
            if time.monotonic() > deadline:
                raise IvifError(f"the stream did not end within {arguments.seconds + START_LIMIT:g} s")
            if not meters and STREAMING in said:
                children = {"publisher": replay, "node": node, "receiver": receiver}
                meters = {name: ProcessMeter(child.pid) for name, child in children.items()}
            for meter in meters.values():
                meter.sample()
            processes.wait(0.1)
        processes.wait(1.5)  # the last diagnostics hold the final counts
        sent = int(said.last().split()[1])
        processes.stop("receiver")
        assert receiver.stdout is not None
        seen = json.loads(receiver.stdout.read())
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
        **{f"{name} cores": round(meter.cores, 2) for name, meter in meters.items()},
        "node peak private MB": round(meters["node"].peak_private / 1024, 1),
        "node exit status": status,
    }


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
