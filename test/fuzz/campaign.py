"""Runs a mill for a time, counts, and keeps every faulty input so that it can be tried again."""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from test.fuzz.mill import Case, Mill, Verdict

FACTS = "case.json"
"""Beside the files of a faulty input: its mill, kind, options, and what was wrong."""
MINUTE = 60.0
"""Seconds between two lines that tell how far a long run is."""
KEPT = 5
"""How many inputs of one sort of fault are kept; all are counted."""


@dataclass
class Counts:
    """What came of a mill's inputs, by kind.

    Attributes:
        faults: by what was wrong, numbers left out.
    """

    tried: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, case: Case, verdict: Verdict, inputs: int) -> None:
        self.tried[case.kind] += inputs
        taken = min(inputs, int(verdict.taken))
        self.taken[case.kind] += taken
        self.refused[case.kind] += inputs - taken

    def lines(self, name: str) -> list[str]:
        total = [("", sum(self.tried.values()), sum(self.refused.values()), sum(self.taken.values()))]
        kinds = [(kind, self.tried[kind], self.refused[kind], self.taken[kind]) for kind in sorted(self.tried)]
        rows = [
            f"{name + ' ' + kind:28} tried {tried:7}  refused {refused:7}  taken {taken:7}"
            for kind, tried, refused, taken in total + (kinds if len(kinds) > 1 else [])
        ]
        rows[0] += f"  faults {sum(self.faults.values())}"
        return rows + [f"  {count} x {sort}" for sort, count in self.faults.most_common()]


def run_mill(
    mill: Mill,
    seed: int,
    faulty: Path,
    counts: Counts,
    *,
    seconds: float = float("inf"),
    most: int | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Try cases for `seconds`, or until `most` cases are tried.

    Args:
        counts: added to.
        faulty: folder for inputs that lead to faults, each in a folder of its own.
    """
    number = 0
    with tempfile.TemporaryDirectory(prefix=f"mill-{mill.name}-") as scratch:
        shared, folder = Path(scratch, "shared"), Path(scratch, "case")
        shared.mkdir()
        mill.open(shared)
        until, told = time.monotonic() + seconds, time.monotonic()
        try:
            while time.monotonic() < until and (most is None or number < most):
                case = mill.make(random.Random(f"{mill.name} {seed} {number}"))
                verdict = _try(mill, case, folder)
                counts.add(case, verdict, mill.each)
                if verdict.faults:
                    description = f"{mill.name} {case.kind}: {'; '.join(verdict.faults)}"
                    sort = re.sub(r"[\d.]+", "#", description)
                    counts.faults[sort] += 1
                    if counts.faults[sort] <= KEPT:
                        file = keep(mill, case, verdict, faulty / f"{mill.name}-{seed}-{number}")
                        tell(f"FAULT {description}: {file}")
                number += 1
                if time.monotonic() > told + MINUTE:
                    told = time.monotonic()
                    tell(counts.lines(mill.name)[0])
        finally:
            mill.close()


def _try(mill: Mill, case: Case, folder: Path) -> Verdict:
    temporary = folder.with_name(f"{folder.name}.tmp")
    for each in (folder, temporary):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir()
    case.write(folder)
    return mill.judge(case, folder)


def keep(mill: Mill, case: Case, verdict: Verdict, folder: Path) -> Path:
    """Write a faulty input; returns the file for `--replay`."""
    shutil.rmtree(folder, ignore_errors=True)
    case.write(folder)
    facts = {"mill": mill.name, "kind": case.kind, "options": case.options, "files": list(case.files)}
    facts |= {"faults": verdict.faults, "said": verdict.said[:4000]}
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    return folder / FACTS


def kept(file: Path) -> tuple[str, Case]:
    """The mill's name and the case of a file that `keep` wrote."""
    facts = json.loads(file.read_text())
    files = {name: (file.parent / name).read_bytes() for name in facts["files"]}
    return facts["mill"], Case(facts["kind"], files, facts["options"])


def replay(mill: Mill, case: Case) -> Verdict:
    """Try one case again."""
    with tempfile.TemporaryDirectory(prefix=f"mill-{mill.name}-") as scratch:
        shared = Path(scratch, "shared")
        shared.mkdir()
        mill.open(shared)
        try:
            return _try(mill, case, Path(scratch, "case"))
        finally:
            mill.close()
