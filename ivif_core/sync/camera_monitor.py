"""Whether a camera is alive, frozen (the shutter of a thermal camera repeats a frame) or silent. No ROS, no clock."""

from __future__ import annotations

import heapq
import zlib
from collections import deque
from typing import Literal

import numpy as np

State = Literal["waiting", "live", "frozen", "silent"]

FIRST_WAIT = 1.0
"""A camera whose rate is not known yet is silent after so many seconds."""

SILENT_PERIODS = 1.0
"""So many frame times beyond the longest usual gap are silence (steady: two in all), and `SLACK` more."""

SLACK = 0.09
"""Seconds that a frame may be late whatever the rate: large images on a busy network. 0.1 s with the caller's own."""

FREEZE_PERIODS = 0.75
"""So many frame times beyond the longest usual gap between changes are a freeze: the second repeat, jitter allowed."""

LONGEST = 1.0
"""A longer gap (s) is usual only where frames come evenly, from a slow camera; between clumps it is silence."""

STALLS = 4
"""Interruptions at most `LONGEST` apart after which they are part of the rhythm."""

SHORTEST = 1e-4
"""Least frame time that is reckoned with, s: a whole clump may come at one moment."""

KNOWN = 3
"""Gaps after which their rhythm counts as known."""

LIVELY = 10
"""Changes after which a source counts as one that never repeats itself, so that repeats are a freeze."""


def fingerprint(data: bytes | memoryview) -> int:
    """A number that changes when a frame's bytes do; a sensor's noise is enough. Looks at every 61st byte."""
    return zlib.crc32(np.frombuffer(data, np.uint8)[::61].tobytes())


class Rhythm:
    """The frame time of a stream of events, and how many frame times apart they usually are at most.

    The second number is 1 for a steady camera, 2 for one that loses a frame now and then, 3 for one whose frames come
    three at a time. It is the second highest of the last `MEMORY` gaps (99.8 % of them are lower), in whole frame
    times. The frame time is the mean of the last `RECENT` gaps or of a second, whichever is longer.

    An interruption is not part of the rhythm, however long; a rate that fell or a network that began to clump is.
    They differ in that the long gaps of the latter recur at once.
    """

    MEMORY = 512
    RECENT = 16

    def __init__(self) -> None:
        self._gaps: deque[float] = deque(maxlen=self.MEMORY)
        self._in_periods: deque[float] = deque(maxlen=self.MEMORY)  # each gap over the frame time of its day
        self._recent: deque[float] = deque()
        self._recent_sum = 0.0
        self._interruption: tuple[float, float] | None = None  # start and end of the last one
        self._recurred = 0
        self._unlearned: list[float] = []  # lengths of those that may prove to be usual
        self._frames: int | None = None
        self.known = 0

    def gap(self, start: float, end: float, *, interrupted: bool) -> None:
        """Nothing came from `start` to `end` (s), when the next event came.

        Args:
            interrupted: the stream had been given up in between.
        """
        period = self._period or end - start
        if not interrupted:
            self._learn(end - start, period)
            return
        before, self._interruption = self._interruption, (start, end)
        apart = float("inf") if before is None else start - before[1]
        if apart > (LONGEST if end - start <= LONGEST else 0.0):
            self._recurred = 0
            self._unlearned.clear()
        self._recurred += 1
        self._unlearned.append(end - start)
        # Clumps are shorter than the gaps between them. Stalls that leave more time for frames must recur more often.
        if self._recurred < (2 if apart <= end - start else STALLS):
            return
        if apart <= 0:  # twice with one frame between them: this is the frame time now
            self._recent.clear()
            self._recent_sum = 0.0
        for gap in self._unlearned:
            self._learn(gap, period)
        self._unlearned.clear()

    def limit(self, extra: float) -> float | None:
        """The longest usual gap and `extra` frame times, s; None while fewer than `KNOWN` gaps are known."""
        if self.known < KNOWN:
            return None
        period = self._period
        if self._frames is None:
            # After a rate fell, the gaps over their own frame times are too high; after it rose, the gaps themselves.
            highest = min(_highest(self._gaps) / period, _highest(self._in_periods))
            self._frames = max(1, round(highest))
        even = (min(self._frames, 2) + extra) * period  # a frame may be lost at any rate; only clumps are bounded
        return max(even, min((self._frames + extra) * period, LONGEST))

    @property
    def _period(self) -> float:
        """Frame time, s; 0 before the first gap."""
        return max(self._recent_sum / len(self._recent), SHORTEST) if self._recent else 0.0

    def _learn(self, gap: float, period: float) -> None:
        self._gaps.append(gap)
        self._in_periods.append(gap / max(period, SHORTEST))
        self._recent.append(gap)
        self._recent_sum += gap
        while len(self._recent) > self.MEMORY or (
            len(self._recent) > self.RECENT and self._recent_sum - self._recent[0] >= LONGEST
        ):
            self._recent_sum -= self._recent.popleft()
        self._frames = None
        self.known += 1


def _highest(gaps: deque[float]) -> float:
    """The second highest, so that one hiccup counts for nothing; at first the highest, since clumps show once only."""
    return heapq.nlargest(1 if len(gaps) < Rhythm.RECENT else 2, gaps)[-1]


class CameraWatch:
    """Follows one camera by the receipt times (s, of any monotonic clock) of its frames.

    A camera is silent once nothing came for the longest usual gap, a frame time and `slack`: two frame times and 0.1 s
    where frames come evenly. Rates are learned all the time (see `Rhythm`).

    What counts for a freeze is the time between *changes*, so that a driver that sends each frame of a 9 Hz sensor
    three times is not frozen; a source that never changed (a still picture), or hardly, never freezes. A frozen camera
    that goes on sending is frozen, not silent.
    """

    def __init__(self, started: float, slack: float = SLACK) -> None:
        """
        Args:
            started: now, s.
            slack: how late a frame may be whatever the rate, s.
        """
        self._started, self._slack = started, slack
        self._arrived: float | None = None
        self._changed: float | None = None
        self._print: int | None = None
        self._frozen = False
        self._arrivals, self._changes = Rhythm(), Rhythm()
        self._patience = FIRST_WAIT

    def frame(self, now: float, frame_print: int | None = None) -> None:
        """A frame came; without its `fingerprint` every frame is taken as new."""
        silent = self._is_silent(now)
        if self._arrived is not None:
            self._arrivals.gap(self._arrived, now, interrupted=silent)
            usual = self._arrivals.limit(SILENT_PERIODS)
            self._patience = FIRST_WAIT if usual is None else usual + self._slack
        self._arrived = now
        if frame_print is None or frame_print != self._print:
            if self._changed is not None and not silent and now - self._changed < FIRST_WAIT:
                self._changes.gap(self._changed, now, interrupted=self._frozen)
            self._changed, self._print, self._frozen = now, frame_print, False
        elif self._changes.known >= LIVELY and self._changed is not None:
            usual = self._changes.limit(FREEZE_PERIODS)
            self._frozen = usual is not None and now - self._changed >= usual

    def state(self, now: float) -> State:
        """What the camera is at a moment not before its last frame."""
        if self._is_silent(now):
            return "silent"
        if self._arrived is None:
            return "waiting"
        return "frozen" if self._frozen else "live"

    def age(self, now: float) -> float:
        """Seconds since the last new content, or since the start where none came."""
        return now - (self._started if self._changed is None else self._changed)

    def _is_silent(self, now: float) -> bool:
        return now - (self._started if self._arrived is None else self._arrived) > self._patience
