"""Ends a Ray worker of one driver, as an out-of-memory killer would."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def descendants(root: int) -> dict[int, str]:
    """Process -> command line of every process below `root` (Linux)."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, ValueError):  # it ended meanwhile
                continue

    def is_below(pid: int) -> bool:
        while pid > 1:
            pid = parents.get(pid, 0)
            if pid == root:
                return True
        return False

    return {pid: commands[pid] for pid in commands if is_below(pid)}


def wait_for(driver: int, command: str, seconds: float = 60.0) -> int:
    """The first process below `driver` whose command line holds `command`; 0 where none was seen in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for pid, line in descendants(driver).items():
            if command in line:
                return pid
        time.sleep(0.01)
    return 0


def kill_a_busy_worker(driver: int) -> bool:
    """Kill one worker of `driver` that runs `run_job`; False where none was seen in time."""
    pid = wait_for(driver, "ray::run_job")
    if pid:
        os.kill(pid, signal.SIGKILL)
    return bool(pid)
