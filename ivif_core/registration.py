"""Infrared onto the visible grid."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from ivif_core.errors import ConfigError


class Registration(Protocol):
    """Brings infrared intensity onto the visible grid."""

    def apply(self, infrared: np.ndarray, visible_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """
        Args:
            infrared: uint8 h×w.
            visible_shape: (H, W) of the visible image.

        Returns:
            uint8 H×W, and a uint8 mask H×W that is non-zero where the thermal camera does not see (None: nowhere).
        """


class Resize:
    """Both cameras see the same field: infrared is resized."""

    def apply(self, infrared: np.ndarray, visible_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        if infrared.shape == visible_shape:
            return infrared, None
        return cv2.resize(infrared, visible_shape[::-1], interpolation=cv2.INTER_LINEAR), None


class Homography:
    """A 3×3 matrix from infrared pixels to visible pixels, remapped with tables made once per size."""

    def __init__(self, matrix: np.ndarray) -> None:
        matrix = np.asarray(matrix, np.float64)
        if matrix.size != 9 or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix.reshape(3, 3))) < 1e-12:
            raise ConfigError(
                "registration homography: expected nine finite numbers, row by row, of an invertible matrix"
            )
        self.matrix = matrix.reshape(3, 3)
        self._tables: tuple[tuple, np.ndarray, np.ndarray, np.ndarray | None] | None = None

    def apply(self, infrared: np.ndarray, visible_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        key = (infrared.shape, visible_shape)
        if self._tables is None or self._tables[0] != key:
            self._tables = (key, *self._make_tables(infrared.shape, visible_shape))
        _, points, weights, outside = self._tables
        return cv2.remap(infrared, points, weights, cv2.INTER_LINEAR), outside

    def _make_tables(
        self, infrared_shape: tuple[int, int], visible_shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        height, width = visible_shape
        grid = np.stack([*np.meshgrid(np.arange(width), np.arange(height)), np.ones((height, width))])
        x, y, w = np.einsum("ij,jhw->ihw", np.linalg.inv(self.matrix), grid)
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = (x / w).astype(np.float32), (y / w).astype(np.float32)
        inside = (w > 0) & (x >= -0.5) & (y >= -0.5) & (x <= infrared_shape[1] - 0.5) & (y <= infrared_shape[0] - 0.5)
        x, y = np.where(inside, x, -1e4).astype(np.float32), np.where(inside, y, -1e4).astype(np.float32)
        points, weights = cv2.convertMaps(x, y, cv2.CV_16SC2)
        return points, weights, None if inside.all() else (~inside).astype(np.uint8) * 255


def onto_visible(registration: Registration, intensity: np.ndarray, visible_y: np.ndarray) -> np.ndarray:
    """Infrared intensity (uint8 h×w) on the visible grid (uint8 H×W); outside its view the luminance stands in."""
    registered, outside = registration.apply(intensity, visible_y.shape)
    return registered if outside is None else cv2.copyTo(visible_y, outside, registered)
