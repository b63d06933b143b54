"""A picture in the making, in light and heat and with depth, and sprites that are drawn into it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np

from ivif_core.scene.optics import View

_FRACTION = 4  # bits of sub-pixel precision for OpenCV's drawing

_TURN = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_DISC = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


class Label(IntEnum):
    """What a pixel shows, by what is nearest to the camera there; lamps are the heads of the street lamps."""

    STREET = 0
    PERSON = 1
    CAR = 2
    LAMP = 3


@dataclass
class Canvas:
    """radiance H×W×3 linear BGR, celsius H×W, depth H×W in metres; all float32. labels H×W uint8 of `Label`."""

    view: View
    radiance: np.ndarray
    celsius: np.ndarray
    depth: np.ndarray
    labels: np.ndarray

    def copy(self) -> Canvas:
        return Canvas(
            self.view, self.radiance.copy(), self.celsius.copy(), self.depth.copy(), labels=self.labels.copy()
        )


class Sprite:
    """Polygons drawn finer than the canvas, over each other, then blended in behind what is nearer.

    Attributes:
        layer: linear blue, green, red and °C (never 0 where something is drawn); once shrunk, times `alpha`.
        alpha: once shrunk, the share of each pixel that is covered.
    """

    def __init__(self, view: View, outline: np.ndarray, fineness: int = 3) -> None:
        """
        Args:
            outline: N×2 pixels; the sprite covers their bounding box, as far as it is in the picture.
        """
        low = np.floor(outline.min(axis=0)).astype(int) - 2
        high = np.ceil(outline.max(axis=0)).astype(int) + 3
        self.left, self.top = np.maximum(low, 0)
        self.right, self.bottom = np.minimum(high, view.size)
        self.empty = self.right <= self.left or self.bottom <= self.top
        self.fineness = fineness
        if self.empty:
            return
        self.layer = np.zeros(((self.bottom - self.top) * fineness, (self.right - self.left) * fineness, 4), np.float32)

    def polygon(self, pixels: np.ndarray, colour: np.ndarray, celsius: float) -> None:
        """A convex polygon N×2 in canvas pixels."""
        local = (np.asarray(pixels) - (self.left, self.top)) * self.fineness - 0.5
        points = np.rint(np.clip(local, -4000, 8000) * (1 << _FRACTION)).astype(np.int32)
        cv2.fillConvexPoly(self.layer, points, (*map(float, colour), float(celsius)), shift=_FRACTION)

    def limb(
        self, start: np.ndarray, radius: float, end: np.ndarray, end_radius: float, colour: np.ndarray, celsius: float
    ) -> None:
        """Two discs and what lies between them; radii in pixels."""
        both = np.concatenate([start + radius * _DISC, end + end_radius * _DISC]).astype(np.float32)
        self.polygon(cv2.convexHull(both)[:, 0], colour, celsius)

    def shrink(self) -> None:
        """To the canvas's own pixels, once all is drawn."""
        size = (self.right - self.left, self.bottom - self.top)
        cover = cv2.compare(cv2.extractChannel(self.layer, 3), 0, cv2.CMP_NE)  # type: ignore[call-overload]
        self.alpha = cv2.resize(cover, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        self.layer = cv2.resize(self.layer, size, interpolation=cv2.INTER_AREA)

    def blend(self, canvas: Canvas, depth: float, label: Label) -> None:
        """Put what was shrunk into the canvas at one depth, m; it gets the label where it covers half of a pixel."""
        box = (slice(self.top, self.bottom), slice(self.left, self.right))
        shown = (canvas.depth[box] > depth).astype(np.float32)
        alpha, layer = self.alpha * shown, self.layer * shown[..., None]
        canvas.radiance[box] = canvas.radiance[box] * (1 - alpha)[..., None] + layer[..., :3]
        canvas.celsius[box] = canvas.celsius[box] * (1 - alpha) + layer[..., 3]
        canvas.depth[box][alpha > 0.5] = depth
        canvas.labels[box][alpha > 0.5] = label


def darken(canvas: Canvas, pixels: np.ndarray, share: float, softness: float) -> None:
    """The soft shadow of a convex outline N×2 (pixels)."""
    low = np.maximum(np.floor(pixels.min(axis=0) - 3 * softness).astype(int), 0)
    high = np.minimum(np.ceil(pixels.max(axis=0) + 3 * softness).astype(int), canvas.view.size)
    if (high <= low).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.float32)
    cv2.fillConvexPoly(mask, np.rint(pixels - low).astype(np.int32), share, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, softness))
    canvas.radiance[low[1] : high[1], low[0] : high[0]] *= (1 - mask)[..., None]
