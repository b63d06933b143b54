"""Looks now and then at what cameras send, for mistakes of drivers and wiring that only pixels show."""

from __future__ import annotations

from typing import Any

import numpy as np

from ivif_core.imaging.crop import Crop
from ivif_core.imaging.messages import as_sent
from ivif_core.thermal.suspicion import Suspicion, suspicions

INTERVAL = 30
"""Every so many pairs the pixels are looked at."""


class PixelChecks:
    """Warnings from every `INTERVAL`-th pair, each with the part of the diagnostics that says it."""

    def __init__(self) -> None:
        self._until = 0
        self.warnings: list[Suspicion] = []

    def look(self, infrared: Any, visible: Any, pixels: np.ndarray, crop: Crop, maximum_megapixels: float) -> None:
        """Take a pair.

        Args:
            infrared, visible: the messages.
            pixels: 8-bit ones of the visible message, which is decoded again only where it has 16 bits.
            crop: the thermal camera's.
        """
        if self._until == 0:
            wide = "16" in (getattr(visible, "encoding", "") or getattr(visible, "format", ""))
            visible_sent = as_sent(visible, maximum_megapixels) if wide else pixels
            self.warnings = suspicions(as_sent(infrared, maximum_megapixels), visible_sent, crop)
        self._until = (self._until - 1) % INTERVAL
