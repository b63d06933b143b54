"""Two runs that write the same output at the same time: one wins or both say so, and what is there is whole."""

from __future__ import annotations

import random
import time
from pathlib import Path

from test.fuzz import command
from test.fuzz.mill import Case, Mill, Verdict
from test.fuzz.targets import targets

MOST = 0.3
"""Seconds that the second run starts later at most; a run takes about as long."""


class Races(Mill):
    name = "races"

    def open(self, scratch: Path) -> None:
        self._scratch, self._targets = scratch, targets(scratch)

    def make(self, random: random.Random) -> Case:
        target = random.choice(list(self._targets.values()))
        can_replace = target.arguments[0] in ("fuse", "bag")
        options = {"target": target.name, "after": random.uniform(0, MOST), "overwrite": random.random() < 0.5}
        return Case("replacing" if can_replace and options["overwrite"] else "new", target.files, options)

    def judge(self, case: Case, folder: Path) -> Verdict:
        target = self._targets[case.options["target"]]
        target.learn(self._scratch)
        arguments = [*target.arguments, *(["--overwrite"] if case.kind == "replacing" else [])]
        first = command.Running(arguments, folder)
        time.sleep(case.options["after"])
        second = command.Running(arguments, folder)
        ends = [first.wait(), second.wait()]
        faults = []
        for ended in ends:
            # What one run leaves is seen once both are done.
            verdict = command.judge(case, folder, ended, target.outputs)
            faults += [fault for fault in verdict.faults if not fault.startswith("left over: out")]
        if all(ended.code != 0 for ended in ends):
            faults.append("both failed")
        faults += target.wrong(folder, finished=any(ended.code == 0 for ended in ends))
        return Verdict(all(ended.code == 0 for ended in ends), faults, "".join(ended.said for ended in ends))


def make_mill() -> Mill:
    return Races()
