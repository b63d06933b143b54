"""What happened lately: rates, latencies, drops. No ROS in it; safe to call from several threads."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

WINDOW = 5.0
"""Seconds over which rates and latencies are taken."""


@dataclass(frozen=True)
class Fused:
    """One published frame; times in seconds.

    Attributes:
        latency: publish − visible stamp.
        offset: infrared stamp − visible stamp, the constant offset added.
        total: from both messages at hand to published.
        network: the backend's share of it.
    """

    latency: float
    offset: float
    total: float
    network: float


@dataclass
class Statistics:
    """Collects events with the time (monotonic, s) at which they happened."""

    started: float
    dropped: Counter[str] = field(default_factory=Counter)
    fused_count: int = 0
    _received: dict[str, deque[float]] = field(default_factory=dict)
    _fused: deque[tuple[float, Fused]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def received(self, source: str, now: float) -> None:
        """A frame of `source` came."""
        with self._lock:
            _push(self._received.setdefault(source, deque()), now, now)

    def fused(self, event: Fused, now: float) -> None:
        """A fused frame was published."""
        with self._lock:
            self.fused_count += 1
            self._fused.append((now, event))
            while self._fused and self._fused[0][0] < now - WINDOW:
                self._fused.popleft()

    def drop(self, cause: str, count: int = 1) -> None:
        """Frames or pairs were lost."""
        with self._lock:
            self.dropped[cause] += count

    def rate(self, source: str, now: float) -> float:
        """Frames a second of `source` ('infrared', 'visible' or 'fused') over the window."""
        with self._lock:
            times = [t for t, _ in self._fused] if source == "fused" else list(self._received.get(source, ()))
        return sum(t >= now - WINDOW for t in times) / max(min(WINDOW, now - self.started), 1e-9)

    def count(self, source: str, now: float) -> int:
        """Frames of `source` within the window."""
        with self._lock:
            return sum(t >= now - WINDOW for t in self._received.get(source, ()))

    def silence(self, source: str, now: float) -> float:
        """Seconds since the last frame of a camera or the last fused one; since the start where none came."""
        with self._lock:
            times = [t for t, _ in self._fused] if source == "fused" else self._received.get(source)
            return now - (times[-1] if times else self.started)

    def recent(self, now: float) -> list[Fused]:
        """Frames published within the window."""
        with self._lock:
            return [event for t, event in self._fused if t >= now - WINDOW]


def _push(times: deque[float], value: float, now: float) -> None:
    times.append(value)
    while times[0] < now - WINDOW:
        times.popleft()


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank); NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
