"""Disks that fill up while a command writes: its output is whole, or not there and the exit code says so."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

from test.fuzz import command
from test.fuzz.mill import Case, Mill, Verdict
from test.fuzz.targets import Target, targets

DISK = "disk"
"""Folder of a case where a small tmpfs is mounted."""
PAGE = 4096


class FullDisks(Mill):
    """kind limit: no file can become larger than some bytes; kind tmpfs: a real small file system, for root."""

    name = "full_disks"

    def open(self, scratch: Path) -> None:
        self._scratch, self._targets = scratch, targets(scratch)
        self._can_mount = os.geteuid() == 0 and mount(scratch / DISK, PAGE)
        if self._can_mount:
            unmount(scratch / DISK)

    def make(self, random: random.Random) -> Case:
        target = random.choice(list(self._targets.values()))
        sizes = sorted(map(len, target.learn(self._scratch).values()))
        kind = "tmpfs" if self._can_mount and random.random() < 0.5 else "limit"
        whole = sum(sizes) if kind == "tmpfs" else sizes[-1]
        near = random.choice((0, 1, 12, 100, 1000, PAGE))
        room = random.choice((max(0, whole - near), random.randrange(whole), random.choice(sizes), near, whole))
        return Case(kind, target.files, {"target": target.name, "room": room})

    def judge(self, case: Case, folder: Path) -> Verdict:
        target, room = self._targets[case.options["target"]], case.options["room"]
        target.learn(self._scratch)
        if case.kind == "limit":
            ended = command.run(target.arguments, folder, room)
            return self._verdict(case, target, folder, folder, ended)
        disk = folder / DISK
        if not mount(disk, max(PAGE, room)):
            raise RuntimeError("cannot mount a tmpfs here")
        try:
            names = {name: f"{DISK}/{name}" for name in target.outputs}
            ended = command.run([names.get(argument, argument) for argument in target.arguments], folder)
            return self._verdict(case, target, folder, disk, ended)
        finally:
            unmount(disk)

    def _verdict(self, case: Case, target: Target, folder: Path, place: Path, ended: command.Ended) -> Verdict:
        verdict = command.judge(case, folder, ended, [*target.outputs, DISK])
        faults = [fault for fault in verdict.faults if fault != f"left over: {DISK}"]
        if place != folder:
            faults += [f"left over: {path.name}" for path in place.iterdir() if path.name not in target.outputs]
        # What was written before the disk was full may stay where files come one by one, and then only whole.
        stays = target.one_by_one or len(target.outputs) > 1
        faults = [fault for fault in faults if not (stays and fault.removeprefix("left over: ") in target.outputs)]
        faults += target.wrong(place, finished=ended.code == 0)
        largest = max(map(len, target.learn(self._scratch).values()))
        if case.kind == "limit" and ended.code == 0 and case.options["room"] < largest:
            faults.append("done, though the output cannot have fitted")
        return Verdict(verdict.taken, faults, verdict.said)


def mount(folder: Path, size: int) -> bool:
    """Mount a tmpfs of `size` bytes; False where that is not allowed."""
    folder.mkdir(exist_ok=True)
    call = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    return subprocess.run(call, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=True)
    folder.rmdir()


def make_mill() -> Mill:
    return FullDisks()
