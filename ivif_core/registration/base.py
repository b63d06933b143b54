"""Infrared onto the visible grid: precomputed tables, so that a frame costs one `cv2.remap`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import cv2
import numpy as np

from ivif_core.errors import ConfigError
from ivif_core.registration.blending import StandIn

Size = tuple[int, int]
"""(width, height) in pixels, as in CameraInfo."""

FLOAT_MAPS = int(cv2.__version__.split(".")[0]) >= 5
"""OpenCV 5 remaps twice as fast with float maps as with fixed-point ones; before, it was the other way round."""

STRIPE = 16
"""Rows that tables are made of at a time, so that what is worked on stays in the processor's cache."""


class Registration(Protocol):
    """Brings infrared intensity onto the visible grid."""

    def apply(self, infrared: np.ndarray, visible_shape: tuple[int, int]) -> tuple[np.ndarray, StandIn | None]:
        """
        Args:
            infrared: uint8 h×w.
            visible_shape: (H, W) of the visible image.

        Returns:
            uint8 H×W, and where the thermal camera does not see and the image is 0 (None: it sees everything).
        """


class Resize:
    """Both cameras see the same field: infrared is resized."""

    def apply(self, infrared: np.ndarray, visible_shape: tuple[int, int]) -> tuple[np.ndarray, StandIn | None]:
        if infrared.shape == visible_shape:
            return infrared, None
        return cv2.resize(infrared, visible_shape[::-1], interpolation=cv2.INTER_LINEAR), None


class Unregistered:
    """Infrared already comes on the visible grid; another size is a mistake of the set-up, not to be hidden."""

    def apply(self, infrared: np.ndarray, visible_shape: tuple[int, int]) -> tuple[np.ndarray, StandIn | None]:
        if infrared.shape != visible_shape:
            raise ConfigError(
                f"registration none: infrared is {infrared.shape[1]}×{infrared.shape[0]}, visible "
                f"{visible_shape[1]}×{visible_shape[0]}; take registration resize, homography or file"
            )
        return infrared, None


class RemapRegistration(ABC):
    """Base of models that say where in the infrared image each visible pixel lies; tables are made once per size."""

    def __init__(self) -> None:
        self._key: tuple[tuple[int, int], tuple[int, int]] | None = None
        self._maps: tuple[np.ndarray, np.ndarray] | None = None
        self._stand_in: StandIn | None = None

    @abstractmethod
    def infrared_position(self, infrared_size: Size, visible_size: Size) -> tuple[np.ndarray, np.ndarray]:
        """Float H×W: x and y in the infrared image of every visible pixel; NaN where there is none."""

    def apply(self, infrared: np.ndarray, visible_shape: tuple[int, int]) -> tuple[np.ndarray, StandIn | None]:
        key = (infrared.shape, visible_shape)
        if self._maps is None or self._key != key:
            x, y = self.infrared_position(infrared.shape[::-1], visible_shape[::-1])
            self._maps, self._stand_in = remap_tables(x, y, infrared.shape)
            self._key = key
        return cv2.remap(infrared, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), self._stand_in


def remap_tables(
    x: np.ndarray, y: np.ndarray, infrared_shape: tuple[int, int]
) -> tuple[tuple[np.ndarray, np.ndarray], StandIn | None]:
    """The two tables for `cv2.remap`, and what stands in outside the infrared image (None: there is no outside)."""
    height, width = infrared_shape
    columns, rows, inside = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32), np.empty(x.shape, bool)
    for top in range(0, len(x), STRIPE):
        part = slice(top, top + STRIPE)
        across, down = x[part], y[part]
        # A pixel is an area: half a pixel beyond the outermost centres is still seen, and has the outermost's value.
        with np.errstate(invalid="ignore"):
            seen = (across >= -0.5) & (down >= -0.5) & (across <= width - 0.5) & (down <= height - 0.5)
        columns[part] = np.where(seen, np.clip(across, 0, width - 1), -16.0)
        rows[part] = np.where(seen, np.clip(down, 0, height - 1), -16.0)
        inside[part] = seen
    maps = (columns, rows) if FLOAT_MAPS else cv2.convertMaps(columns, rows, cv2.CV_16SC2)
    return maps, None if inside.all() else StandIn(~inside)


class Homography(RemapRegistration):
    """A 3×3 matrix from infrared pixels to visible pixels: exact for a plane or for a scene far away."""

    def __init__(
        self, matrix: np.ndarray, *, infrared_size: Size | None = None, visible_size: Size | None = None
    ) -> None:
        """
        Args:
            matrix: nine numbers, row by row; pixel centres at whole numbers.
            infrared_size, visible_size: the sizes that the matrix is for; images of another size are taken as the
                same view at another resolution. None: whatever comes is what the matrix is for.

        Raises:
            ConfigError: not nine finite numbers, or no inverse.
        """
        super().__init__()
        matrix = np.asarray(matrix, np.float64)
        if matrix.size != 9 or not np.isfinite(matrix).all() or not _is_invertible(matrix.reshape(3, 3)):
            raise ConfigError(
                "registration homography: expected nine finite numbers, row by row, of an invertible matrix"
            )
        self.matrix = matrix.reshape(3, 3)
        self.infrared_size, self.visible_size = infrared_size, visible_size

    def scaled_to(self, infrared_size: Size, visible_size: Size) -> np.ndarray:
        """The matrix for images of these sizes."""
        from_infrared = rescaling(infrared_size, self.infrared_size or infrared_size)
        return rescaling(self.visible_size or visible_size, visible_size) @ self.matrix @ from_infrared

    def infrared_position(self, infrared_size: Size, visible_size: Size) -> tuple[np.ndarray, np.ndarray]:
        inverse = np.linalg.inv(self.scaled_to(infrared_size, visible_size))
        columns, rows = np.arange(visible_size[0], dtype=np.float64), np.arange(visible_size[1], dtype=np.float64)
        x, y, w = (a * columns[None, :] + b * rows[:, None] + c for a, b, c in inverse)
        # The sign of w tells before from behind the camera; it is fixed by what the image's middle sees.
        middle = inverse[2] @ [(visible_size[0] - 1) / 2, (visible_size[1] - 1) / 2, 1.0]
        w[w * middle <= 0] = np.nan
        return x / w, y / w


def _is_invertible(matrix: np.ndarray) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest, which no camera has
        return bool(abs(np.linalg.det(matrix)) > 1e-18 * np.linalg.norm(matrix) ** 3)


def rescaling(size: Size, to: Size) -> np.ndarray:
    """Matrix that takes pixels of an image of `size` to those of the same view at size `to`."""
    scale_x, scale_y = to[0] / size[0], to[1] / size[1]
    return np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1.0]])


def onto_visible(registration: Registration, intensity: np.ndarray, visible_y: np.ndarray) -> np.ndarray:
    """Infrared intensity (uint8 h×w) on the visible grid (uint8 H×W); outside its view the luminance stands in."""
    registered, stand_in = registration.apply(intensity, visible_y.shape)
    return registered if stand_in is None else stand_in.fill(registered, visible_y)


def mask_onto_visible(registration: Registration, mask: np.ndarray, visible_shape: tuple[int, int]) -> np.ndarray:
    """A mask (uint8 h×w, 0 or 255) on the visible grid (uint8 H×W, 0 or 255); 0 outside the thermal view."""
    registered, _ = registration.apply(mask, visible_shape)
    return cv2.threshold(registered, 127, 255, cv2.THRESH_BINARY)[1]
