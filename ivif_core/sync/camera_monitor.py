"""Whether a camera is alive, frozen (the shutter of a thermal camera repeats a frame) or silent. No ROS, no clock."""

from __future__ import annotations

import zlib
from collections import deque
from statistics import median
from typing import Literal

import numpy as np

State = Literal["waiting", "live", "frozen", "silent"]

FIRST_WAIT = 1.0
"""A camera whose rate is not known yet is silent after so many seconds."""

FREEZE_PERIODS = 1.75
"""A repeated frame is a freeze when nothing new came for so many frame times: the second repeat, jitter allowed."""

SILENT_PERIODS = 2.0
"""So many frame times without any frame are silence."""

KNOWN = 3
"""Intervals between frames after which their rate counts as known."""

LIVELY = 10
"""Changes after which a source counts as one that never repeats itself, so that repeats are a freeze."""


def fingerprint(data: bytes | memoryview) -> int:
    """A number that changes when a frame's bytes do; a sensor's noise is enough. Looks at every 61st byte."""
    return zlib.crc32(np.ascontiguousarray(np.frombuffer(data, np.uint8)[::61]))


class CameraWatch:
    """Follows one camera by the receipt times (s, of any monotonic clock) of its frames.

    What counts for a freeze is the time between *changes*, so that a driver that sends each frame of a 9 Hz sensor
    three times is not frozen; a source that never changed (a still picture), or hardly, never freezes.
    """

    def __init__(self, started: float, slack: float = 0.0) -> None:
        """
        Args:
            started: now, s.
            slack: seconds beyond one frame time that a frame may be late at least before the camera counts as silent.
        """
        self._started, self._slack = started, slack
        self._arrived: float | None = None
        self._changed: float | None = None
        self._print: int | None = None
        self._frozen = False
        self._arrivals: deque[float] = deque(maxlen=15)
        self._changes: deque[float] = deque(maxlen=15)

    def frame(self, now: float, frame_print: int | None = None) -> None:
        """A frame came; without its `fingerprint` every frame is taken as new."""
        if self._arrived is not None and self.state(now) != "silent":
            self._arrivals.append(now - self._arrived)
        self._arrived = now
        if frame_print is None or frame_print != self._print:
            if self._changed is not None and not self._frozen and now - self._changed < FIRST_WAIT:
                self._changes.append(now - self._changed)
            self._changed, self._print, self._frozen = now, frame_print, False
        elif len(self._changes) >= LIVELY and self._changed is not None:
            self._frozen = now - self._changed >= FREEZE_PERIODS * median(self._changes)

    def state(self, now: float) -> State:
        """What the camera is at a moment not before its last frame."""
        if now - (self._started if self._arrived is None else self._arrived) > self._patience:
            return "silent"
        if self._arrived is None:
            return "waiting"
        return "frozen" if self._frozen else "live"

    def age(self, now: float) -> float:
        """Seconds since the last new content, or since the start where none came."""
        return now - (self._started if self._changed is None else self._changed)

    @property
    def _patience(self) -> float:
        if len(self._arrivals) < KNOWN:
            return FIRST_WAIT
        period = median(self._arrivals)
        return max(SILENT_PERIODS * period, period + self._slack)
