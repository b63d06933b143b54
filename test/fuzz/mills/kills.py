"""Runs that are ended by SIGKILL, SIGTERM or SIGINT at any moment: nothing half-written, and the next run works."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

from test.fuzz import command
from test.fuzz.mill import Case, Mill, Verdict
from test.fuzz.targets import Target, targets

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
TEMPORARY = re.compile(r"\.ivif-\d+-[0-9a-f]+\.part")
"""What a run that got SIGKILL may leave, until the next run."""


class Kills(Mill):
    name = "kills"

    def open(self, scratch: Path) -> None:
        self._scratch, self._targets = scratch, targets(scratch)
        self._seconds: dict[tuple[str, bool], float] = {}

    def _duration(self, target: Target, fresh: bool) -> float:
        """Seconds that a run takes from a start of Python, or in a fork: the kill comes somewhere in it."""
        if (target.name, fresh) not in self._seconds:
            target.learn(self._scratch)
            folder = self._scratch / f"{target.name}-{fresh}".replace(" ", "-")
            Case("", target.files).write(folder)
            self._seconds[target.name, fresh] = command.Running(target.arguments, folder, fresh=fresh).wait().seconds
        return self._seconds[target.name, fresh]

    def make(self, random: random.Random) -> Case:
        target = random.choice(list(self._targets.values()))
        fresh = random.random() < 0.5
        after = random.uniform(0, 1.1) * self._duration(target, fresh)
        options = {"target": target.name, "fresh": fresh, "after": after}
        return Case(random.choice(SIGNALS), target.files, options)

    def judge(self, case: Case, folder: Path) -> Verdict:
        target, fresh = self._targets[case.options["target"]], case.options["fresh"]
        target.learn(self._scratch)
        number = signal.Signals[case.kind]
        running = command.Running(target.arguments, folder, fresh=fresh)
        time.sleep(case.options["after"])
        with suppress(ProcessLookupError):
            os.kill(running.pid, number)
        ended = running.wait()
        faults = self._faults(case, target, folder, ended, number)
        target.remove(folder)
        faults += [f"the next run: {fault}" for fault in self._next(case, target, folder)]
        return Verdict(ended.code == 0, faults, ended.said)

    def _faults(self, case: Case, target: Target, folder: Path, ended: command.Ended, number: int) -> list[str]:
        faults: list[str] = []
        if fresh_start(ended):
            return faults
        if ended.code is None:
            faults.append(f"hung after {case.kind}")
        elif ended.lasting:
            faults.append(f"its processes live on after {case.kind}")
        # By the signal itself: it came before the program could take it.
        elif ended.code not in (0, -number, 128 + number):
            faults.append(f"exit code {ended.code}")
        if "Traceback" in ended.said or "internal error" in ended.said:
            faults.append("traceback")
        left = command.strangers(folder, case, target.outputs)
        if number == signal.SIGKILL:
            left = [each for each in left if not TEMPORARY.search(each)]
        return faults + left + target.wrong(folder, finished=ended.code == 0)

    def _next(self, case: Case, target: Target, folder: Path) -> list[str]:
        ended = command.run(target.arguments, folder)
        faults = command.judge(case, folder, ended, target.outputs).faults
        if ended.code != 0:
            faults = [*faults, f"exit code {ended.code}: {ended.said[:300]}"]
        return faults + target.wrong(folder, finished=True)


def fresh_start(ended: command.Ended) -> bool:
    """SIGINT came while Python itself started, before any line of the program ran."""
    return "init_import_site" in ended.errors


def make_mill() -> Mill:
    return Kills()
