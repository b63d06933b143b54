"""What a mill is: it makes a case from a seed, runs the product on it, and judges strictly what came."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """An input that can be kept and tried again.

    Attributes:
        kind: what it is counted as.
        files: path in the case's folder -> content.
        options: how it is run; what JSON can hold.
    """

    kind: str
    files: dict[str, bytes]
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@dataclass(frozen=True)
class Verdict:
    """What came of a case.

    Attributes:
        taken: it was used, in whole or in part, or how many of its inputs were; the others were refused.
        faults: what should not have happened; empty: nothing.
        said: what the product printed.
    """

    taken: int
    faults: list[str]
    said: str = ""


class Mill(ABC):
    """A source of cases of one sort.

    Attributes:
        name: for `--only` and the counts.
        each: how many inputs a case holds.
    """

    name: str
    each: int = 1

    def open(self, scratch: Path) -> None:  # noqa: B027
        """Prepare what all cases share; `scratch` is a folder of this mill's own."""

    def close(self) -> None:  # noqa: B027
        """Release what `open` started."""

    @abstractmethod
    def make(self, random: random.Random) -> Case:
        """The next case; the same for the same state of `random`."""

    @abstractmethod
    def judge(self, case: Case, folder: Path) -> Verdict:
        """Run the product on the case, whose files are in `folder`, and judge."""
