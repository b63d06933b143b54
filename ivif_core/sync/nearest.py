"""Pairing for cameras of different rates: each visible frame with the nearest infrared, which may serve several."""

from __future__ import annotations

from ivif_core.errors import ConfigError
from ivif_core.sync.pairing import Pair, Pairing, Source


class NearestPairing(Pairing):
    """Each visible frame is paired with the nearest infrared frame within `slop`; the earlier one wins a tie.

    A visible frame waits until no nearer infrared frame can come: one at or after its stamp has come, or the visible
    stream itself has gone on by the distance to the nearest known one. So it waits `slop` at most, by the stamps.

    Where none is within `slop` and `hold` is over 0, the last infrared frame at most `hold` seconds older serves; the
    pair's `offset` is then its age, negative.
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
        return [pair for stamp in list(self._queues["visible"]) for pair in self._decide(stamp)]

    def _match(self, source: Source, stamp: int) -> list[Pair]:
        pairs: list[Pair] = []
        for visible in list(self._queues["visible"]):
            if not self._is_decided(visible):
                break
            pairs += self._decide(visible)
        return pairs

    def _is_decided(self, visible: int) -> bool:
        nearest = self._nearest(visible)
        if self._newest.get("infrared", visible - 1) >= visible:
            return True
        wait = self._slop_ns + 1 if nearest is None else abs(nearest - visible)
        return self._newest["visible"] >= visible + wait

    def _nearest(self, visible: int) -> int | None:
        nearest = min(self._queues["infrared"], key=lambda other: abs(other - visible), default=None)
        return nearest if nearest is not None and abs(nearest - visible) <= self._slop_ns else None

    def _decide(self, visible: int) -> list[Pair]:
        infrared = self._nearest(visible)
        if infrared is None:
            before = [other for other in self._queues["infrared"] if visible - self._hold_ns <= other <= visible]
            if not before:
                self._discard("visible", visible)
                return []
            infrared = before[-1]
        self._served.add(infrared)
        item = self._queues["infrared"][infrared]
        pair = self._take(infrared, visible)
        # Back in its place: it may serve the next visible frame too. Queues are in the order of their stamps.
        self._queues["infrared"] = dict(sorted([*self._queues["infrared"].items(), (infrared, item)]))
        return [pair]

    def _discard(self, source: Source, stamp: int) -> None:
        if source == "infrared" and stamp in self._served:
            self._served.remove(stamp)
            del self._queues[source][stamp]
        else:
            super()._discard(source, stamp)
