"""What is hotter than a limit: a mask, and its outline in a picture."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_core.errors import ConfigError
from ivif_core.thermal.radiometry import Radiometry
from ivif_core.thermal.range_tracker import sample

RED = (0, 0, 255)


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


def draw_outline(image: np.ndarray, mask: np.ndarray) -> None:
    """Draw the mask's outlines into an image (uint8 H×W×3 BGR: red, or H×W: white) of the mask's size, in place."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    thickness = max(1, round(max(image.shape[:2]) / 640))
    cv2.drawContours(image, contours, -1, RED if image.ndim == 3 else 255, thickness)
