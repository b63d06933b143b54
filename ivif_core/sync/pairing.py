"""Stamps -> pairs. No ROS in it: the live node and recorded bags are paired alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from ivif_core.errors import ConfigError
from ivif_core.types import Source

_OTHER: dict[Source, Source] = {"infrared": "visible", "visible": "infrared"}

JUMP_NS = 1_000_000_000
"""A step back by more than this, and beyond the last `queue_size` frames, is a jump; a smaller one is a late frame."""

LASTING = 8
"""So many late frames in a row are no late frames: the source's stamps have jumped by less than `JUMP_NS`."""


@dataclass(frozen=True)
class Pair:
    """What was added for both sources, their stamps as they came (ns), and what is left between them.

    Attributes:
        offset: infrared stamp (with the constant offset added) minus visible stamp, s.
    """

    infrared: Any
    visible: Any
    infrared_stamp: int
    visible_stamp: int
    offset: float


class Pairing(ABC):
    """Keeps what waits for its partner; a subclass says who belongs together.

    Frames may come late, behind a newer one of their camera. A late frame is paired like any other with what still
    waits, so pairs come in the order in which they are complete. Where it finds no partner, it is lost alone.

    Attributes:
        dropped: how often, by cause: `infrared_unmatched`, `visible_unmatched` (left its queue without a partner),
            `infrared_late`, `visible_late` (the same, of a frame that came behind a newer one), `infrared_duplicate`,
            `visible_duplicate` (replaced by another of the same stamp) and `stamp_jump` (a source's stamps went back
            far or for good, as when a bag loops: once per jump; what waited is counted as unmatched).
        infrared_offset: constant, s, added to infrared stamps before they are compared.
        queue_size: how many of each source wait for a partner. It and `slop` may be changed between two calls.
        slop: largest difference of two stamps that belong together, s.
    """

    def __init__(self, slop: float, queue_size: int, infrared_offset: float = 0.0) -> None:
        """
        Raises:
            ConfigError: negative slop or an empty queue.
        """
        self.dropped: Counter[str] = Counter()
        self._queues: dict[Source, dict[int, Any]] = {"infrared": {}, "visible": {}}
        self._newest: dict[Source, int] = {}
        self._recent: dict[Source, deque[int]] = {}  # stamps in order, for how far back a late frame may be
        self._late: dict[Source, set[int]] = {"infrared": set(), "visible": set()}  # of those that wait
        self._late_in_a_row: Counter[Source] = Counter()
        self.slop = slop
        self.queue_size = queue_size
        self.infrared_offset = infrared_offset

    @property
    def slop(self) -> float:
        return self._slop_ns / 1e9

    @slop.setter
    def slop(self, seconds: float) -> None:
        if not 0 <= seconds < float("inf"):
            raise ConfigError(f"slop: expected seconds, zero or more, got {seconds}")
        self._slop_ns = round(seconds * 1e9)

    @property
    def queue_size(self) -> int:
        return self._queue_size

    @queue_size.setter
    def queue_size(self, size: int) -> None:
        if size < 1:
            raise ConfigError(f"queue_size: expected at least 1, got {size}")
        self._queue_size = size

    @property
    def infrared_offset(self) -> float:
        return self._infrared_offset_ns / 1e9

    @infrared_offset.setter
    def infrared_offset(self, seconds: float) -> None:
        self._infrared_offset_ns = round(seconds * 1e9)
        self.clear()  # what waits was queued under the old offset

    def add(self, source: Source, stamp: int, item: Any) -> list[Pair]:
        """Take one frame and give the pairs that it completes.

        Args:
            source: 'infrared' or 'visible'.
            stamp: acquisition time, ns.
            item: whatever the pair shall carry.
        """
        if source == "infrared":
            stamp += self._infrared_offset_ns
        late = self._is_late(source, stamp)
        queue = self._queues[source]
        if stamp in queue:
            self.dropped[f"{source}_duplicate"] += 1
        queue[stamp] = item
        self._late[source] &= queue.keys()
        if late:  # it is matched even where it is the oldest of a full queue
            self._late[source].add(stamp)
            pairs = self._match(source, stamp)
            self._bound(source)
            return pairs
        self._newest[source] = stamp
        self._bound(source)
        return self._match(source, stamp)

    def clear(self) -> None:
        """Forget what waits and which stamps came; the counts stay."""
        for queue in self._queues.values():
            queue.clear()
        for late in self._late.values():
            late.clear()
        self._newest.clear()
        self._recent.clear()
        self._late_in_a_row.clear()

    def finish(self) -> list[Pair]:
        """The pairs that were still open at the end of a recording."""
        return []

    def _is_late(self, source: Source, stamp: int) -> bool:
        """Whether the frame came behind a newer one; at a jump everything starts anew, and it did not."""
        recent = self._recent.setdefault(source, deque())
        if stamp >= self._newest.get(source, stamp):
            self._late_in_a_row[source] = 0
            recent.append(stamp)
            while len(recent) > self.queue_size:
                recent.popleft()
            return False
        self._late_in_a_row[source] += 1
        oldest = min(recent[0], self._newest[source] - JUMP_NS)
        if stamp >= oldest and self._late_in_a_row[source] < LASTING:
            return True
        self.dropped["stamp_jump"] += 1
        for name, queue in self._queues.items():
            for waiting in list(queue):
                self._discard(name, waiting)
        self.clear()
        return self._is_late(source, stamp)

    def _bound(self, source: Source) -> None:
        """Let the oldest go where more than `queue_size` wait."""
        queue = self._queues[source]
        while len(queue) > self.queue_size:
            self._discard(source, min(queue))

    def _discard(self, source: Source, stamp: int) -> None:
        """A frame out of its queue, without a partner."""
        del self._queues[source][stamp]
        self.dropped[f"{source}_late" if stamp in self._late[source] else f"{source}_unmatched"] += 1

    @abstractmethod
    def _match(self, source: Source, stamp: int) -> list[Pair]:
        """The pairs that the frame just queued (offset stamp) completes; each is taken by `_take`."""

    def _take(self, infrared_stamp: int, visible_stamp: int) -> Pair:
        """Both frames out of their queues."""
        return Pair(
            infrared=self._queues["infrared"].pop(infrared_stamp),
            visible=self._queues["visible"].pop(visible_stamp),
            infrared_stamp=infrared_stamp - self._infrared_offset_ns,
            visible_stamp=visible_stamp,
            offset=(infrared_stamp - visible_stamp) / 1e9,
        )


class ApproximatePairing(Pairing):
    """A frame is paired at once with the nearest one that waits within `slop`; the earlier one wins a tie.

    The rule of `message_filters.ApproximateTimeSynchronizer` (Python), and for growing stamps the same pairs, but for
    stamps exactly `slop` apart, which belong together here and never meet there.
    """

    def _match(self, source: Source, stamp: int) -> list[Pair]:
        waiting = self._queues[_OTHER[source]]
        nearest = min(waiting, key=lambda other: (abs(other - stamp), other), default=None)
        if nearest is None or abs(nearest - stamp) > self._slop_ns:
            return []
        return [self._take(stamp, nearest) if source == "infrared" else self._take(nearest, stamp)]
