"""The times to pair the frames of a recording by. No ROS in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from ivif_core.sync.stamp_check import StampCheck
from ivif_core.types import Source

HELD_BACK = 32
"""Most frames of a recording that are kept until both cameras' clocks are known."""

T = TypeVar("T")


@dataclass(frozen=True)
class TimedFrame(Generic[T]):
    """A frame of a recording with the time to pair it by.

    Attributes:
        time: ns.
        recorded: time of recording, ns.
        item: whatever was given with it.
        other_clock: the cameras whose stamps are replaced are others than before this frame. What waits in a pairing
            has no partner any more then and is to be cleared.
    """

    source: Source
    time: int
    recorded: int
    item: T
    other_clock: bool


class RecordedStamps(Generic[T]):
    """`StampCheck` for recordings: the time of recording stands for that of receipt.

    The first frames are kept until both cameras' clocks are known, so that none is timed by a clock that is then found
    wrong.

    Attributes:
        check: its `problem` tells of the frame that was added last.
        problems: what was wrong with stamps at any time, in the order in which it was found.
    """

    def __init__(self) -> None:
        self.check = StampCheck("the time of recording")
        self.problems: list[str] = []
        self._noted: frozenset[Source] = frozenset()
        self._kept: list[tuple[Source, int | None, int, T]] | None = []

    def add(self, source: Source, stamp: int | None, recorded: int, item: T) -> list[TimedFrame[T]]:
        """Take the next frame and give those whose time is known now, in their order.

        Args:
            stamp: as the driver set it, ns.
            recorded: time of recording, ns.
        """
        before = self.check.replaced
        time = self.check.time(source, stamp, recorded)
        if self._kept is None:
            self._note()
            return [TimedFrame(source, time, recorded, item, self.check.replaced != before)]
        self._kept.append((source, stamp, recorded, item))
        return self.finish() if self.check.settled or len(self._kept) >= HELD_BACK else []

    def finish(self) -> list[TimedFrame[T]]:
        """The frames that are still kept at the end of the recording."""
        kept, self._kept = self._kept or [], None
        self._note()
        check = StampCheck()
        timed = []
        for source, stamp, recorded, item in kept:
            time = check.time(source, stamp, recorded)
            usable = time == stamp and source not in self.check.replaced
            timed.append(TimedFrame(source, time if usable else recorded, recorded, item, False))
        return timed

    def _note(self) -> None:
        if self.check.problem and self.check.replaced != self._noted:
            self.problems.append(self.check.problem)
        self._noted = self.check.replaced
