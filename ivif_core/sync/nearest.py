"""Pairing for cameras of different rates: each visible frame with the nearest infrared, which may serve several."""

from __future__ import annotations

from ivif_core.errors import ConfigError
from ivif_core.sync.pairing import Pair, Pairing
from ivif_core.types import Source


class NearestPairing(Pairing):
    """Each visible frame is paired with the nearest infrared frame within `slop`; the earlier one wins a tie.

    A visible frame waits until no nearer infrared frame can come: one at or after its stamp has come, or the visible
    stream itself has gone on by the distance to the nearest known one. So it waits `slop` at most, by the stamps.

    Where none is within `slop` and `hold` is over 0, the last infrared frame at most `hold` seconds older serves; the
    pair's `offset` is then its age, negative. A visible frame that finds none at all stays in its queue as long as that
    has room, since its infrared frame may be late.
    """

    def __init__(self, slop: float, queue_size: int, infrared_offset: float = 0.0, hold: float = 0.0) -> None:
        """
        Raises:
            ConfigError: negative slop or hold, or an empty queue.
        """
        self._served: set[int] = set()
        super().__init__(slop, queue_size, infrared_offset)
        self.hold = hold

    @property
    def hold(self) -> float:
        return self._hold_ns / 1e9

    @hold.setter
    def hold(self, seconds: float) -> None:
        if not 0 <= seconds < float("inf"):
            raise ConfigError(f"hold: expected seconds, zero or more, got {seconds}")
        self._hold_ns = round(seconds * 1e9)

    def clear(self) -> None:
        super().clear()
        self._served.clear()

    def finish(self) -> list[Pair]:
        pairs = []
        for visible in sorted(self._queues["visible"]):
            infrared = self._partner(visible)
            if infrared is None:
                self._discard("visible", visible)
            else:
                pairs.append(self._serve(infrared, visible))
        return pairs

    def _match(self, source: Source, stamp: int) -> list[Pair]:
        decided = ((visible, self._partner(visible)) for visible in sorted(self._queues["visible"]))
        return [
            self._serve(infrared, visible)
            for visible, infrared in decided
            if infrared is not None and self._is_decided(visible, infrared)
        ]

    def _is_decided(self, visible: int, infrared: int) -> bool:
        """Whether no better infrared frame can come, unless it is late."""
        if self._newest["infrared"] >= visible:
            return True
        return self._newest.get("visible", visible) - visible >= min(abs(infrared - visible), self._slop_ns + 1)

    def _partner(self, visible: int) -> int | None:
        infrared = self._queues["infrared"]
        nearest = min(infrared, key=lambda other: (abs(other - visible), other), default=None)
        if nearest is not None and abs(nearest - visible) <= self._slop_ns:
            return nearest
        return max((other for other in infrared if visible - self._hold_ns <= other <= visible), default=None)

    def _serve(self, infrared: int, visible: int) -> Pair:
        self._served.add(infrared)
        item = self._queues["infrared"][infrared]
        pair = self._take(infrared, visible)
        self._queues["infrared"][infrared] = item  # it may serve the next visible frame too
        return pair

    def _discard(self, source: Source, stamp: int) -> None:
        if source == "infrared" and stamp in self._served:
            self._served.remove(stamp)
            del self._queues[source][stamp]
        else:
            super()._discard(source, stamp)
