"""Whether a registration still holds: a cheap alignment score of the live pictures, and a warning when it falls."""

from __future__ import annotations

from collections import deque
from statistics import median

import cv2
import numpy as np

from ivif_core.registration.blending import StandIn
from ivif_core.registration.orientation import alignment_score

WIDTH = 320


class DriftWatch:
    """Compares the alignment score of the last minutes with that of the beginning.

    Scenes differ, so medians are compared, not frames.

    Attributes:
        score: of the last pair looked at; None before.
    """

    LEARN, RECENT = 30, 30
    """Scores whose median is the reference, and the present."""
    FALL = 0.4
    """Share of the reference under which the present is a warning."""
    FAINT = 0.04
    """References below it say nothing: the scenes have too few edges in common."""

    def __init__(self) -> None:
        self.score: float | None = None
        self._first: list[float] = []
        self._recent: deque[float] = deque(maxlen=self.RECENT)

    def add(self, registered: np.ndarray, visible_y: np.ndarray, stand_in: StandIn | None) -> None:
        """Look at a pair (uint8 H×W, one grid); where the visible image stands in it says nothing."""
        size = (WIDTH, max(1, round(visible_y.shape[0] * WIDTH / visible_y.shape[1])))
        thermal, grey = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (registered, visible_y))
        seen = None
        if stand_in is not None:
            seen = cv2.resize(stand_in.touched, size, interpolation=cv2.INTER_NEAREST) == 0
        self.score = alignment_score(thermal, grey, seen)
        if len(self._first) < self.LEARN:
            self._first.append(self.score)
        self._recent.append(self.score)

    @property
    def warning(self) -> str:
        """Empty, or what is to be done."""
        if len(self._first) < self.LEARN or len(self._recent) < self.RECENT:
            return ""
        reference, present = median(self._first), median(self._recent)
        if reference < self.FAINT or present >= self.FALL * reference:
            return ""
        return f"alignment fell from {reference:.2f} to {present:.2f}: did a camera move? calibrate anew"
