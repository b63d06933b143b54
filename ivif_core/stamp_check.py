"""Stamps that cannot be paired (zero, or of another clock) are replaced by the time of receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ivif_core.pairing import Source

FAR = 10.0
"""Seconds from now beyond which a stamp is of another clock than the receiver's."""


HELD_BACK = 64
"""Most frames of a recording that are kept until both cameras' clocks are known."""

T = TypeVar("T")


class StampCheck:
    """Chooses the time by which each camera's frames are paired.

    Pairing needs one clock for both cameras, not the receiver's: when both are far from now but agree with each other
    (a recording that is played back), their stamps are kept. Cameras disagree only once both have sent frames since
    the last jump, so that a recording that loops may jump with one camera first.

    Attributes:
        problem: what is wrong with which camera's stamps; empty: nothing.
        replaced: the cameras whose time of receipt is used.
    """

    SETTLED = 2
    """Frames of each camera after a jump that make up its mind."""

    def __init__(self, reference: str = "now") -> None:
        """
        Args:
            reference: what the time of receipt is called in `problem`; of a recording "the time of recording".
        """
        self._reference = reference
        self.problem = ""
        self.replaced: frozenset[Source] = frozenset()
        self._ahead: dict[Source, float | None] = {}  # seconds from now; None: the stamp is zero
        self._since_jump: Counter[Source] = Counter()
        self._disagree: set[Source] = set()

    def time(self, source: Source, stamp: int, received: int) -> int:
        """The time to pair a frame by, ns.

        Args:
            stamp: as the driver set it, ns.
            received: when the frame came, ns, of the clock that stamps should be of.
        """
        ahead = None if stamp == 0 else (stamp - received) / 1e9
        if self._jumped(source, ahead):
            self._since_jump.clear()
        self._ahead[source] = ahead
        self._since_jump[source] += 1
        if all(self._since_jump[name] >= self.SETTLED for name in ("infrared", "visible")):
            far = {name: value for name, value in self._ahead.items() if value is not None and abs(value) > FAR}
            agree = len(far) == 2 and abs(far["infrared"] - far["visible"]) <= FAR
            self._disagree = set() if agree else set(far)
        zero = {name for name, value in self._ahead.items() if value is None}
        self.replaced = frozenset(zero | self._disagree)
        self.problem = "; ".join(self._complaint(name) for name in sorted(self.replaced))
        return received if source in self.replaced else stamp

    def _jumped(self, source: Source, ahead: float | None) -> bool:
        if source not in self._ahead:
            return True
        before = self._ahead[source]
        if ahead is None or before is None:
            return ahead is not before
        return abs(ahead - before) > FAR

    def _complaint(self, source: Source) -> str:
        ahead = self._ahead[source]
        wrong = "zero" if ahead is None else f"{ahead:+.0f} s from {self._reference}"
        used = "receipt time" if self._reference == "now" else self._reference
        return f"{source} stamps are {wrong}: {used} is used"


def recorded_times(
    frames: Iterable[tuple[Source, int, int, T]], check: StampCheck
) -> Iterator[tuple[Source, int, T, bool]]:
    """The times to pair the frames of a recording by, with the time of recording in the place of receipt.

    Frames at the beginning are kept until both cameras' clocks are known, so that none is timed by a clock that is then
    found wrong. `check.problem` is up to date at each frame that is given.

    Args:
        frames: source, stamp (ns), time of recording (ns) and what goes with it, in the order of recording.
        check: a new one, with a `reference` that says that this is a recording.

    Yields:
        Source, time (ns), what goes with it, and whether another clock is used from this frame on: what waits in a
        pairing has no partner then and is to be cleared.
    """
    kept: list[tuple[Source, int, int, T]] = []
    counts: Counter[Source] = Counter()
    settled = False
    for frame in frames:
        if settled:
            yield _timed(frame, check)
            continue
        kept.append(frame)
        counts[frame[0]] += 1
        check.time(*frame[:3])
        settled = len(kept) >= HELD_BACK or min(counts["infrared"], counts["visible"]) >= StampCheck.SETTLED
        if settled:
            yield from _timed_again(kept, check)
    if not settled:
        yield from _timed_again(kept, check)


def _timed(frame: tuple[Source, int, int, T], check: StampCheck) -> tuple[Source, int, T, bool]:
    source, stamp, recorded, item = frame
    before = check.replaced
    time = check.time(source, stamp, recorded)
    return source, time, item, check.replaced != before


def _timed_again(kept: list[tuple[Source, int, int, T]], check: StampCheck) -> Iterator[tuple[Source, int, T, bool]]:
    """The frames that made up the check's mind, by what it knows now."""
    for source, stamp, recorded, item in kept:
        yield source, recorded if source in check.replaced or stamp == 0 else stamp, item, False
