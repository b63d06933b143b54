"""Rows and columns that are no image: telemetry of a sensor, black borders, a driver's text."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ivif_core.errors import ConfigError, InputError
from ivif_core.types import Source

MOST = 10_000
"""Rows or columns from one side."""

_LARGEST = 2**32 - 1  # what a RegionOfInterest holds


class Crop(NamedTuple):
    """How many rows and columns of an image are left out at each side."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    @classmethod
    def of(cls, name: str, values: Sequence[float]) -> Crop:
        """From the value of a parameter.

        Args:
            name: of the parameter, for the message.

        Raises:
            ConfigError: not four whole numbers from 0 to `MOST`.
        """
        if len(values) != 4 or not all(0 <= value <= MOST and value == int(value) for value in values):
            raise ConfigError(
                f"{name}: expected four whole numbers from 0 to {MOST} (rows at the top and bottom, columns at "
                f"the left and right), got {list(values)[:8]}"
            )
        return cls(*(round(value) for value in values))

    def apply(self, pixels: np.ndarray, what: str) -> np.ndarray:
        """What is left of an image H×W or H×W×C; without a copy where only rows go.

        Args:
            what: which camera's, for the message.

        Raises:
            InputError: nothing is left.
        """
        height, width = pixels.shape[:2]
        if not any(self):
            return pixels
        if self.top + self.bottom >= height or self.left + self.right >= width:
            raise InputError(f"{what}: image of {width}×{height}, of which the crop {list(self)} leaves nothing")
        return np.ascontiguousarray(pixels[self.top : height - self.bottom, self.left : width - self.right])

    def camera_info(self, info: Any) -> Any:
        """A CameraInfo of the cropped image, with a smaller region of interest; the same object if nothing goes."""
        if not any(self):
            return info
        cropped = copy.deepcopy(info)
        across, down = max(1, info.binning_x), max(1, info.binning_y)  # the region counts pixels that are not binned
        roi = cropped.roi
        whole = roi.width and roi.height
        width, height = (roi.width, roi.height) if whole else (info.width, info.height)
        roi.x_offset = min(roi.x_offset + self.left * across, _LARGEST)
        roi.y_offset = min(roi.y_offset + self.top * down, _LARGEST)
        roi.width = max(0, width - (self.left + self.right) * across)
        roi.height = max(0, height - (self.top + self.bottom) * down)
        return cropped


Crops = Mapping[Source, Crop]
"""What each camera's images are cropped by, before anything else is done with them."""

UNCROPPED: Crops = {"infrared": Crop(), "visible": Crop()}
