"""What is hotter than a limit: a mask, its outline in a picture, and one box for each spot."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ivif_core.errors import ConfigError
from ivif_core.thermal.radiometry import Radiometry
from ivif_core.thermal.range_tracker import sample

RED = (0, 0, 255)
MOST_SPOTS = 100
"""Noise over a low limit falls into thousands; the hottest ones count."""


class HotSpots:
    """Pixels over a temperature, or the hottest few per cent of a frame. No state."""

    def __init__(
        self, *, celsius: float | None = None, percent: float | None = None, radiometry: Radiometry | None = None
    ) -> None:
        """
        Args:
            celsius: limit in °C; needs `radiometry`.
            percent: share of the frame, in (0, 100); exactly one of both is given.
            radiometry: what counts mean.

        Raises:
            ConfigError: none or both limits, one out of range, or a temperature without radiometry.
        """
        if (celsius is None) == (percent is None):
            raise ConfigError("hot spots: expected either a temperature or a percentage")
        if percent is not None and not 0 < percent < 100:
            raise ConfigError(f"hot spots: percent must be in (0, 100), got {percent:g}")
        if celsius is not None and radiometry is None:
            raise ConfigError("hot spots: a limit in °C needs radiometry, which says what counts mean")
        self._percent = percent
        self._counts = None if celsius is None or radiometry is None else float(radiometry.counts(celsius))

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """uint8 H×W, 255 where hot, of repaired counts H×W."""
        limit = self._counts
        if self._percent is not None:
            limit = float(np.percentile(sample(counts), 100 - self._percent))
        return (counts > limit).astype(np.uint8) * 255


@dataclass(frozen=True)
class HotSpot:
    """One connected part of the mask.

    Attributes:
        left, top, width, height: px of the mask's grid.
        peak: the largest of `counts` in it.
    """

    left: int
    top: int
    width: int
    height: int
    peak: float


def find_spots(mask: np.ndarray, counts: np.ndarray) -> list[HotSpot]:
    """The connected parts of a mask, the hottest first, `MOST_SPOTS` of them.

    Args:
        mask: uint8 H×W, 255 where hot.
        counts: float32 H×W.
    """
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask)
    if count == 1:  # the background alone
        return []
    peaks = np.full(count, -np.inf, np.float32)
    np.maximum.at(peaks, np.asarray(labels, np.intp)[mask > 0], counts[mask > 0])
    hottest = 1 + np.argsort(-peaks[1:], kind="stable")[:MOST_SPOTS]
    return [HotSpot(*_sides(boxes[spot]), peak=float(peaks[spot])) for spot in hottest]


def _sides(box: np.ndarray) -> tuple[int, int, int, int]:
    left, top, width, height = (int(value) for value in box[:4])
    return left, top, width, height


def draw_outline(image: np.ndarray, mask: np.ndarray) -> None:
    """Draw the mask's outlines into an image (uint8 H×W×3 BGR: red, or H×W: white) of the mask's size, in place."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    thickness = max(1, round(max(image.shape[:2]) / 640))
    cv2.drawContours(image, contours, -1, RED if image.ndim == 3 else 255, thickness)
