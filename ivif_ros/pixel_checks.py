"""Looks now and then at what cameras send, for mistakes of drivers and wiring that only pixels show."""

from __future__ import annotations

from typing import Any

import numpy as np

from ivif_core.imaging.crop import Crop
from ivif_core.imaging.messages import decode_image, to_visible
from ivif_core.imaging.plausibility import is_coloured, used_bits
from ivif_core.thermal.byte_order import looks_swapped
from ivif_core.thermal.telemetry import telemetry_rows

INTERVAL = 30
"""Every so many pairs the pixels are looked at."""

LOW_BITS = 14
"""A 16-bit image that never uses more is aligned low: 10-, 12- or 14-bit sensors, of which the upper byte is dark."""


class PixelChecks:
    """Warnings from every `INTERVAL`-th pair, each with the part of the diagnostics that says it."""

    def __init__(self) -> None:
        self._until = 0
        self._visible_bits = 0
        self.warnings: list[tuple[str, str]] = []

    def look(self, infrared: Any, visible: Any, counts: np.ndarray, pixels: np.ndarray, crop: Crop) -> None:
        """Take a pair.

        Args:
            infrared, visible: the messages.
            counts, pixels: what was made of them, cropped.
            crop: the thermal camera's.
        """
        if self._until == 0:
            found = [
                ("thermal", self._byte_order(counts)),
                ("thermal", self._telemetry(counts, crop)),
                ("thermal", self._colours(infrared, counts, pixels)),
                ("rgb", self._low_bits(visible)),
            ]
            self.warnings = [(part, warning) for part, warning in found if warning]
        self._until = (self._until - 1) % INTERVAL

    def _byte_order(self, counts: np.ndarray) -> str:
        swapped = counts.dtype == np.uint16 and looks_swapped(counts)
        return "thermal bytes look swapped: the driver states a wrong is_bigendian" if swapped else ""

    def _telemetry(self, counts: np.ndarray, crop: Crop) -> str:
        top, bottom = telemetry_rows(counts)
        if not top and not bottom:
            return ""
        where = " and ".join(f"the {side} {rows}" for side, rows in (("first", top), ("last", bottom)) if rows)
        remedy = [crop.top + top, crop.bottom + bottom, crop.left, crop.right]
        return f"{where} rows of the thermal image look like telemetry, not image: set thermal_crop: {remedy}"

    def _colours(self, infrared: Any, counts: np.ndarray, pixels: np.ndarray) -> str:
        if counts.dtype != np.uint8 or not is_coloured(to_visible(infrared)):
            return ""
        if is_coloured(pixels):
            return "thermal images are in false colour, of which only the brightness is used: choose a grey palette"
        return (
            "the cameras look swapped: thermal images are in colour, RGB images grey; exchange the topics "
            "(or is the thermal image in false colour?)"
        )

    def _low_bits(self, visible: Any) -> str:
        if "16" not in (getattr(visible, "encoding", "") or getattr(visible, "format", "")):
            return ""
        sent = decode_image(visible)
        if sent.dtype != np.uint16:
            return ""
        self._visible_bits = max(self._visible_bits, used_bits(sent))
        if not 0 < self._visible_bits <= LOW_BITS:
            return ""
        return (
            f"16-bit RGB images use {self._visible_bits} bits only and come out dark: the driver must align them high, "
            "or send 8 bits"
        )
