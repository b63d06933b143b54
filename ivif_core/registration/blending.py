"""Where the visible image stands in for a thermal one that does not reach, with a soft border."""

from __future__ import annotations

import cv2
import numpy as np


class StandIn:
    """The part of the visible grid that the thermal camera does not see; made once a registration.

    Attributes:
        outside: uint8 H×W, 255 where it does not see.
        touched: uint8 H×W, 255 where `fill` writes: outside and in the border.
    """

    RAMP = 1 / 20
    """Width of the border in which thermal gives way, as a share of the visible width."""
    TILE = 32
    """Side of the squares that the border is looked for in, px."""

    def __init__(self, outside: np.ndarray) -> None:
        """
        Args:
            outside: bool H×W.
        """
        self.outside = outside.astype(np.uint8) * np.uint8(255)
        ramp = max(2.0, self.RAMP * outside.shape[1])
        distance = cv2.distanceTransform(~self.outside, cv2.DIST_L2, 3)  # px to the nearest pixel outside
        self.touched = cv2.compare(distance, ramp, cv2.CMP_LE)
        self._border = []
        for area in _rectangles(cv2.inRange(distance, 0.5, ramp), self.TILE):
            place = np.minimum(distance[area] / np.float32(ramp), 1)
            thermal = place * place * (3 - 2 * place)  # no kink at either end
            self._border.append((area, thermal, 1 - thermal))

    def fill(self, registered: np.ndarray, visible_y: np.ndarray) -> np.ndarray:
        """Both as one, uint8 H×W; `registered`, which is 0 outside, is written over."""
        for area, thermal, visible in self._border:
            registered[area] = cv2.blendLinear(registered[area], visible_y[area], thermal, visible)
        return cv2.copyTo(visible_y, self.outside, registered)


def _rectangles(mask: np.ndarray, tile: int) -> list[tuple[slice, slice]]:
    """Few rectangles, made of whole tiles, that hold all set pixels once."""
    starts = [np.arange(0, length, tile) for length in mask.shape]
    tiles = np.logical_or.reduceat(np.logical_or.reduceat(mask, starts[0], axis=0), starts[1], axis=1)
    edges = np.diff(np.pad(tiles, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    runs = [list(zip(np.flatnonzero(row > 0), np.flatnonzero(row < 0), strict=True)) for row in edges]
    found = []
    for top, row in enumerate(runs):
        for run in row:
            if top and run in runs[top - 1]:
                continue  # belongs to a rectangle that began above
            bottom = top + 1
            while bottom < len(runs) and run in runs[bottom]:
                bottom += 1
            found.append((slice(top * tile, bottom * tile), slice(run[0] * tile, run[1] * tile)))
    return found
