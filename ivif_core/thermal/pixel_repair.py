"""Dead, stuck and invalid pixels of a thermal camera take the value of the nearest good pixel."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_core.errors import InputError

NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


class PixelRepair:
    """Repairs a stream of frames.

    NaN and infinite pixels are replaced in every frame. Dead and stuck ones are looked for in the first frame, then in
    every `interval`-th, and count when two searches in a row find them: what stands out for one frame may be real.
    """

    def __init__(self, interval: int = 30) -> None:
        self.interval = interval
        self.reset()

    def reset(self) -> None:
        """Look anew at the next frame."""
        self._until_search = 0
        self._found: np.ndarray | None = None  # by the last search
        self._stuck: np.ndarray | None = None
        self._bad = self._from = np.empty(0, np.intp)  # flat positions to repair, and where their values come from
        self._bad_mask: np.ndarray | None = None

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """The frame itself where nothing is bad, else a repaired copy.

        Args:
            counts: H×W, integers or floats.

        Raises:
            InputError: no pixel is finite.
        """
        invalid = None
        if counts.dtype.kind == "f" and not np.isfinite(counts).all():
            invalid = ~np.isfinite(counts)
            if invalid.all():
                raise InputError("infrared: no pixel has a finite value")
        if self._stuck is not None and self._stuck.shape != counts.shape:
            self.reset()
        if self._until_search == 0:
            self._search(counts if invalid is None else _filled(counts, *_sources(invalid)))
        self._until_search = (self._until_search - 1) % self.interval
        mask = self._stuck
        if invalid is not None:
            mask = invalid if mask is None else mask | invalid
        if mask is not None and not (self._bad_mask is not None and _same(mask, self._bad_mask)):
            self._bad_mask = mask
            self._bad, self._from = _sources(mask)
        return _filled(counts, self._bad, self._from) if self._bad.size else counts

    @property
    def repaired(self) -> int:
        """Number of pixels that the last frame needed repaired."""
        return self._bad.size

    def _search(self, counts: np.ndarray) -> None:
        found = stuck_pixels(counts)
        self._stuck = found if self._found is None else found & self._found
        self._found = found


def _same(mask: np.ndarray, other: np.ndarray) -> bool:
    return mask is other or np.array_equal(mask, other)


def stuck_pixels(counts: np.ndarray) -> np.ndarray:
    """Bool H×W: pixels that stand out alone, far over or under all eight neighbours, and thin spots of 0 or 65535.

    Alone: no neighbour takes part in the excursion by more than a tenth; optics spread a real point over more than one
    pixel. Far: 12 standard deviations of the frame's noise and a fifth of its central range.

    Args:
        counts: H×W, finite.
    """
    if min(counts.shape) < 3:
        return np.zeros(counts.shape, bool)
    wide = counts.astype(np.float32)
    native = counts if counts.dtype == np.uint16 else wide  # 16-bit medians are far faster
    residual = np.abs(wide[::2, ::2] - cv2.medianBlur(native, 3)[::2, ::2])
    low, high = np.percentile(wide[::4, ::4], [5, 95])
    rounding = float(np.spacing(np.float32(abs(high) + abs(low))))
    far = max(12 * 1.4826 * float(np.median(residual)), 0.2 * (high - low), rounding)
    excursion = wide - cv2.medianBlur(native, 5)
    over = wide - cv2.dilate(wide, NEIGHBOURS)
    under = cv2.erode(wide, NEIGHBOURS) - wide
    found = (over > np.maximum(far, 0.9 * excursion)) | (under > np.maximum(far, -0.9 * excursion))
    if counts.dtype == np.uint16:
        for extreme in (0, 65535):
            spots = (counts == extreme).astype(np.uint8)
            if 0 < np.count_nonzero(spots) < 0.02 * spots.size:  # more are the scene's, not the sensor's
                broad = cv2.morphologyEx(spots, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
                found |= spots > broad
    return found


def _sources(bad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions of bad pixels, and for each that of the nearest good one."""
    if not bad.any() or bad.all():
        return np.empty(0, np.intp), np.empty(0, np.intp)
    _, labels = cv2.distanceTransformWithLabels(
        bad.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    good = np.flatnonzero(~bad)
    position_of = np.empty(good.size + 1, np.intp)
    position_of[labels.ravel()[good]] = good
    at = np.flatnonzero(bad)
    return at, position_of[labels.ravel()[at]]


def _filled(counts: np.ndarray, bad: np.ndarray, source: np.ndarray) -> np.ndarray:
    filled = counts.copy()
    filled.flat[bad] = counts.ravel()[source]
    return filled
