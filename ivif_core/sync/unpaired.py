"""Whether frames of both cameras find each other; where not, by how much they miss, and what to do. No ROS in it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import Pair, Pairing
from ivif_core.types import Source

Cause = Literal["stuck", "unsteady", "offset", "slop", "unknown"]
SOURCES: tuple[Source, Source] = ("infrared", "visible")

PATIENCE = 1.0
"""Seconds without a pair, while both cameras deliver, after which they count as unpaired."""

PATIENCE_FRAMES = 5
"""Frames of each camera that must have come in that time, for slow cameras."""

MEMORY = 128
"""Frames of each camera from which offsets are reckoned."""

STUCK = 5
"""So many frames in a row with one stamp are a stamp that is stuck."""

UNSTEADY = 0.5
"""Stamps that vary by more than this (s) against their arrival tell no offset; clumps on a network vary less."""

ALIAS_PAIRS = 20
"""Pairs that make up the mind about a steady offset."""

ALIAS = 0.55
"""Frame times of a steady offset from which the neighbour may be the right partner: a half, and some for jitter."""

OFFSET_RANGE = 10.0
"""Largest `thermal_time_offset`, s."""


@dataclass(frozen=True)
class Finding:
    """Why nothing pairs.

    Attributes:
        offset: how far infrared stamps, as the driver set them, are ahead of visible ones of the same arrival, s;
            None where a camera's stamps tell none.
        text: one line with slop, queue_size and what to do.
    """

    cause: Cause
    offset: float | None
    text: str


class PairMonitor:
    """Sees all frames and pairs that go in and out of a `Pairing`; of a live stream or of a recording.

    Attributes:
        pairing: its slop, queue_size and infrared_offset are read when something is said.
        frames: how many came of each source.
        pairs: how many were made.
    """

    def __init__(self, pairing: Pairing) -> None:
        self.pairing = pairing
        self.frames: Counter[Source] = Counter()
        self.pairs = 0
        self._since: float | None = None
        self._offset_used = pairing.infrared_offset
        self.clear()

    def frame(self, source: Source, stamp: int, received: float) -> None:
        """A frame went into the pairing.

        Args:
            stamp: ns, as given to the pairing.
            received: s of a clock that both cameras share; of a recording, when it was recorded.
        """
        if self.pairing.infrared_offset != self._offset_used:
            self.clear()
            self._offset_used = self.pairing.infrared_offset
        self.frames[source] += 1
        self._stamps[source].append(stamp)
        self._ages[source].append((stamp - round(received * 1e9)) / 1e9)
        self._without_pair[source] += 1
        if self._since is None and all(self._without_pair[name] for name in SOURCES):
            self._since = received

    def paired(self, pairs: Sequence[Pair], received: float) -> None:
        """The pairs that a frame completed."""
        if pairs:
            self.pairs += len(pairs)
            self._offsets.extend(pair.offset for pair in pairs)
            self._restart(received)

    def interrupted(self) -> None:
        """A camera is missing: that nothing pairs is no wonder."""
        self._restart(None)

    def clear(self) -> None:
        """The streams start anew: forget their stamps. The counts stay."""
        self._stamps: dict[Source, deque[int]] = {name: deque(maxlen=MEMORY) for name in SOURCES}
        self._ages: dict[Source, deque[float]] = {name: deque(maxlen=MEMORY) for name in SOURCES}
        self._offsets: deque[float] = deque(maxlen=MEMORY)
        self._restart(None)

    def is_unpaired(self, now: float) -> bool:
        """Whether both cameras have delivered for `PATIENCE` without one pair."""
        if self._since is None or now - self._since < PATIENCE:
            return False
        return all(self._without_pair[name] >= PATIENCE_FRAMES for name in SOURCES)

    def finding(self) -> Finding | None:
        """Why nothing pairs, where that is so, as stamps and arrivals tell it; None before both cameras have sent."""
        if not all(self._stamps.values()):
            return None
        limits = f"slop {self.pairing.slop:g} s, queue_size {self.pairing.queue_size}"
        stuck = [name for name in SOURCES if self._is_stuck(name)]
        if stuck:
            said = " and ".join(
                f"the last {name} frames all bear the stamp {self._stamps[name][-1]} ns" for name in stuck
            )
            return Finding("stuck", None, f"nothing pairs ({limits}): {said}; the driver must stamp each frame anew")
        spread = {name: _spread(self._steady_ages(name)) for name in SOURCES}
        unsteady = [name for name in SOURCES if spread[name] > UNSTEADY]
        if unsteady:
            said = " and ".join(f"{name} stamps vary by {spread[name]:.1f} s" for name in unsteady)
            return Finding(
                "unsteady", None, f"nothing pairs ({limits}): {said} against their arrival; look at the driver's clock"
            )
        return self._missed_by(limits)

    def alias(self) -> str:
        """A warning where frames pair steadily over half a frame time off; empty: nothing to say."""
        periods = [self._period(name) for name in SOURCES]
        if len(self._offsets) < ALIAS_PAIRS or not all(periods):
            return ""
        apart, faster, slower = median(self._offsets), min(periods), max(periods)
        if abs(apart) > ALIAS * faster and _spread(self._offsets) < faster / 2:
            nearest = "" if isinstance(self.pairing, NearestPairing) else "`pairing: nearest`, or "
            return (
                f"pairs are {abs(apart):.3f} s apart all the time, more than half a frame time ({faster / 2:.3f} s): "
                f"a neighbour may be the right partner: set {nearest}`thermal_time_offset: "
                f"{self._rounded(self.pairing.infrared_offset - apart)}` if the cameras' clocks differ"
            )
        arrive = apart - self._ahead() - self.pairing.infrared_offset
        if abs(arrive) > ALIAS * slower and all(_spread(ages) < slower / 2 for ages in self._ages.values()):
            later, sooner = SOURCES if arrive > 0 else SOURCES[::-1]
            return (
                f"{later} frames arrive {abs(arrive):.3f} s after the {sooner} frames that they are paired with, more "
                f"than half a frame time ({slower / 2:.3f} s): right if they take that long on their way; if the "
                f"cameras' clocks differ, set `thermal_time_offset: {self._rounded(-self._ahead())}`"
            )
        return ""

    def summary(self) -> str:
        """For the end of a recording: a warning where most frames found no partner, or pairs are off; else empty."""
        fewest = min(self.frames[name] for name in SOURCES)
        found = self.finding()
        if found is None or 2 * self.pairs >= fewest:
            return self.alias()
        made = f"only {self.pairs} pair{'s' * (self.pairs != 1)} of" if self.pairs else "no pair of"
        reason = found.text.replace("nothing pairs", "most frames find no partner", 1)
        return f"{made} {self.frames['infrared']} infrared and {self.frames['visible']} visible images: {reason}"

    def _missed_by(self, limits: str) -> Finding:
        raw, slop = self._ahead(), self.pairing.slop
        ahead = raw + self.pairing.infrared_offset
        slower = max(self._period(name) for name in SOURCES)
        if abs(ahead) > max(slop, slower / 2):
            side = "ahead of" if ahead > 0 else "behind"
            text = f"nothing pairs: infrared stamps are {abs(ahead):.2f} s {side} visible ones ({limits}); "
            return Finding("offset", raw, text + self._offset_remedy(raw, ahead))
        near = abs(median(self._nearest()))
        if near > slop:
            enough = math.ceil(1.2 * near * 1e3) / 1e3
            text = f"nothing pairs: the nearest stamps are {near:.3f} s apart ({limits}); set `slop: {enough:g}`"
            if not isinstance(self.pairing, NearestPairing):
                text += " or, for cameras of different rates, `pairing: nearest` with it"
            return Finding("slop", raw, text)
        text = f"nothing pairs ({limits}), though stamps are {near:.3f} s apart; frames may be lost on their way"
        return Finding("unknown", raw, text)

    def _offset_remedy(self, raw: float, ahead: float) -> str:
        if abs(raw) > OFFSET_RANGE:
            return "set the cameras' clocks"
        remedy = f"set `thermal_time_offset: {self._rounded(-raw)}`"
        waiting: Source = "infrared" if ahead > 0 else "visible"
        period = self._period(waiting)
        needed = math.ceil(abs(ahead) / period) + 2 if period else 0
        if needed <= self.pairing.queue_size:
            return remedy
        late = "visible" if waiting == "infrared" else "infrared"
        return f"{remedy} if the clocks differ, or `queue_size: {needed}` if {late} frames do come that late"

    def _ahead(self) -> float:
        """Infrared stamps − visible stamps of what arrives at once, s; by the frames that came the quickest."""
        quickest = {name: _quantile(self._steady_ages(name), 0.9) for name in SOURCES}
        return quickest["infrared"] - quickest["visible"]

    def _steady_ages(self, source: Source) -> list[float]:
        """Stamp − receipt, s; while nothing pairs, of the frames since the last pair: a clock may have jumped then."""
        ages = list(self._ages[source])
        counts = [self._without_pair[name] for name in SOURCES]
        return ages[-self._without_pair[source] :] if min(counts) >= PATIENCE_FRAMES else ages

    def _nearest(self) -> list[float]:
        """For each infrared stamp, with the constant offset, how far it is ahead of the nearest visible one, s."""
        visible = sorted(self._stamps["visible"])
        offset = round(self.pairing.infrared_offset * 1e9)
        apart = []
        for stamp in (stamp + offset for stamp in self._stamps["infrared"]):
            place = bisect_left(visible, stamp)
            apart.append(min((stamp - other for other in visible[max(0, place - 1) : place + 1]), key=abs) / 1e9)
        return apart

    def _period(self, source: Source) -> float:
        """Frame time by the stamps, s; 0: not known."""
        stamps = sorted(set(self._stamps[source]))
        return median([after - before for before, after in pairwise(stamps)]) / 1e9 if len(stamps) > 1 else 0.0

    def _is_stuck(self, source: Source) -> bool:
        last = list(self._stamps[source])[-STUCK:]
        return len(last) == STUCK and len(set(last)) == 1

    def _rounded(self, seconds: float) -> float:
        """As fine as slop needs it, to be copied into a parameter file."""
        return round(seconds, 2 if self.pairing.slop >= 0.02 else 3)

    def _restart(self, since: float | None) -> None:
        self._since = since
        self._without_pair: Counter[Source] = Counter()


def _quantile(values: Iterable[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _spread(values: Iterable[float]) -> float:
    """Between the 10 % and the 90 % quantile; one outlier counts for nothing."""
    ordered = list(values)
    return _quantile(ordered, 0.9) - _quantile(ordered, 0.1)
