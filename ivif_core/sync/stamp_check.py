"""Stamps that cannot be paired (zero, no valid time, or of another clock) are replaced by the time of receipt."""

from __future__ import annotations

from collections import Counter

from ivif_core.types import Source

FAR = 10.0
"""Seconds from now beyond which a stamp is of another clock than the receiver's."""


SECOND = 1_000_000_000
LATEST = (2**31 - 3600) * SECOND
"""The last time (ns) that is taken from a driver: an hour before ROS's seconds (int32) end, so that offsets fit in."""


def nanoseconds(sec: int, nanosec: int) -> int | None:
    """A message's stamp in ns since 1970; None: not valid (before 1970, after `LATEST`, a second or more of ns)."""
    time = sec * SECOND + nanosec
    return time if sec >= 0 and 0 <= nanosec < SECOND and time <= LATEST else None


class StampCheck:
    """Chooses the time by which each camera's frames are paired.

    Pairing needs one clock for both cameras, not the receiver's: when both are far from now but agree with each other
    (a recording that is played back), their stamps are kept. Cameras disagree only once both have sent frames since
    the last jump, so that a recording that loops may jump with one camera first.

    Attributes:
        problem: what is wrong with which camera's stamps; empty: nothing.
        replaced: the cameras whose time of receipt is used.
        moved: the last frame's camera has changed to another clock; what waits for a partner has none any more.
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
        self.moved = False
        self._ahead: dict[Source, float | None] = {}  # seconds from now; None: the stamp is zero or not valid
        self._none: dict[Source, str] = {}  # why it is None
        self._used: dict[Source, tuple[bool, float]] = {}  # replaced; seconds from now of the time given
        self._since_jump: Counter[Source] = Counter()
        self._disagree: set[Source] = set()

    def time(self, source: Source, stamp: int | None, received: int) -> int:
        """The time to pair a frame by, ns.

        Args:
            stamp: as the driver set it, ns; None: it is not valid (see `nanoseconds`).
            received: when the frame came, ns, of the clock that stamps should be of.
        """
        ahead = (stamp - received) / SECOND if stamp else None
        self._none[source] = "zero" if stamp == 0 else "not valid"
        if self._jumped(source, ahead):
            self._since_jump.clear()
        self._ahead[source] = ahead
        self._since_jump[source] += 1
        if self.settled:
            far = {name: value for name, value in self._ahead.items() if value is not None and abs(value) > FAR}
            agree = len(far) == 2 and abs(far["infrared"] - far["visible"]) <= FAR
            self._disagree = set() if agree else set(far)
        zero = {name for name, value in self._ahead.items() if value is None}
        self.replaced = frozenset(zero | self._disagree)
        self.problem = "; ".join(self._complaint(name) for name in sorted(self.replaced))
        used = received if stamp is None or source in self.replaced else stamp
        now_used = (source in self.replaced, (used - received) / SECOND)
        before = self._used.get(source, now_used)
        self.moved = now_used[0] != before[0] and abs(now_used[1] - before[1]) > FAR
        self._used[source] = now_used
        return used

    @property
    def settled(self) -> bool:
        """Whether enough frames of both cameras have come since the last jump to tell whether their clocks agree."""
        return all(self._since_jump[name] >= self.SETTLED for name in ("infrared", "visible"))

    def _jumped(self, source: Source, ahead: float | None) -> bool:
        if source not in self._ahead:
            return True
        before = self._ahead[source]
        if ahead is None or before is None:
            return ahead is not before
        return abs(ahead - before) > FAR

    def _complaint(self, source: Source) -> str:
        ahead = self._ahead[source]
        wrong = self._none[source] if ahead is None else f"{ahead:+.0f} s from {self._reference}"
        used = "receipt time" if self._reference == "now" else self._reference
        return f"{source} stamps are {wrong}: {used} is used"
