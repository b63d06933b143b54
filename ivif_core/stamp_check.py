"""Stamps that cannot be paired (zero, or of another clock) are replaced by the time of receipt."""

from __future__ import annotations

from ivif_core.pairing import Source

FAR = 10.0
"""Seconds from now beyond which a stamp is of another clock than the receiver's."""


class StampCheck:
    """Chooses the time by which each camera's frames are paired.

    Pairing needs one clock for both cameras, not the receiver's: when both are far from now but agree with each other
    (a recording that is played back), their stamps are kept.

    Attributes:
        problem: what is wrong with which camera's stamps; empty: nothing.
        replaced: the cameras whose time of receipt is used.
    """

    def __init__(self) -> None:
        self.problem = ""
        self.replaced: frozenset[Source] = frozenset()
        self._ahead: dict[Source, float | None] = {}

    def time(self, source: Source, stamp: int, received: int) -> int:
        """The time to pair a frame by, ns.

        Args:
            stamp: as the driver set it, ns.
            received: when the frame came, ns, of the clock that stamps should be of.
        """
        self._ahead[source] = None if stamp == 0 else (stamp - received) / 1e9
        zero = {name for name, ahead in self._ahead.items() if ahead is None}
        far = {name: ahead for name, ahead in self._ahead.items() if ahead is not None and abs(ahead) > FAR}
        agree = len(far) == 2 and abs(far["infrared"] - far["visible"]) <= FAR
        alone = len(self._ahead) == 1  # nothing to disagree with yet
        replaced = frozenset(zero) if agree or alone else frozenset(zero | set(far))
        self.replaced = replaced
        self.problem = "; ".join(
            f"{name} stamps are {'zero' if name in zero else f'{far[name]:+.0f} s from now'}: receipt time is used"
            for name in sorted(replaced)
        )
        return received if source in replaced else stamp
