"""BGR <-> luminance, and recomposition of a fused luminance with the visible image's chrominance.

Luminance is BT.601 full range, Y = 0.299 R + 0.587 G + 0.114 B, as OpenCV's BGR2YCrCb (ITU-R BT.601-7).
"""

from __future__ import annotations

import cv2
import numpy as np

from ivif_core.errors import InputError

_STRIPE = 32
"""Rows at a time, so that what lies between two steps stays in the processor's cache."""

_PEDESTAL = 16
"""Levels that are added to luminance before dividing by it."""


def check_visible(visible: np.ndarray) -> np.ndarray:
    """Return `visible` if it is uint8 H×W or H×W×3 (H×W×1 is squeezed).

    Raises:
        InputError: another dtype or shape.
    """
    if not isinstance(visible, np.ndarray) or visible.dtype != np.uint8:
        raise InputError(f"visible: expected a uint8 array, got {getattr(visible, 'dtype', type(visible).__name__)}")
    if visible.ndim == 3 and visible.shape[2] == 1:
        visible = visible[:, :, 0]
    if visible.ndim not in (2, 3) or (visible.ndim == 3 and visible.shape[2] != 3):
        raise InputError(f"visible: expected H×W grey or H×W×3 BGR, got shape {visible.shape}")
    return visible


def luminance(visible: np.ndarray) -> np.ndarray:
    """Luminance of a visible image.

    Args:
        visible: uint8, H×W×3 BGR or H×W grey (returned as it is).

    Returns:
        uint8 H×W.

    Raises:
        InputError: another dtype or shape.
    """
    visible = check_visible(visible)
    return visible if visible.ndim == 2 else cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)


def recompose(fused_y: np.ndarray, visible: np.ndarray, visible_y: np.ndarray | None = None) -> np.ndarray:
    """Give a fused luminance the chrominance of the visible image.

    In YCrCb, replacing Y and keeping Cr and Cb adds the same amount, fused − Y, to R, G and B. Where luminance is
    lifted, the chrominance C = (B, G, R) − Y follows, or an opened night street would be grey:

        out = visible + (fused − Y) + C · min(max(fused − Y, 0), Y) / (Y + 16)

    It is never doubled, and hardly lifted where there was hardly any light, for there it is noise. Grey stays grey and
    fused == Y gives back the visible image, both bit by bit; chrominance is never rounded to 8 bits.

    Args:
        fused_y: uint8 H×W.
        visible: uint8 H×W×3 BGR, or H×W grey, for which the fused luminance itself is the answer.
        visible_y: `luminance(visible)` where the caller has it already.

    Returns:
        uint8, of the visible's shape.
    """
    visible = check_visible(visible)
    if fused_y.shape != visible.shape[:2] or fused_y.dtype != np.uint8:
        raise InputError(f"fused_y: expected uint8 of shape {visible.shape[:2]}, got {fused_y.dtype} {fused_y.shape}")
    if visible.ndim == 2:
        return fused_y
    if visible_y is None:
        visible_y = luminance(visible)
    out, buffers = np.empty_like(visible), _Buffers(min(_STRIPE, len(visible)), visible.shape[1])
    for top in range(0, len(visible), _STRIPE):
        rows = slice(top, top + _STRIPE)
        buffers.recompose(fused_y[rows], visible[rows], visible_y[rows], out[rows])
    return out


class _Buffers:
    """What lies between the steps of a stripe."""

    def __init__(self, rows: int, columns: int) -> None:
        self._planes = np.empty((4, rows, columns), np.uint8)
        self._pedestal = np.full((rows, columns), _PEDESTAL, np.uint8)
        self._colour = np.empty((rows, columns, 3), np.uint8)

    def recompose(self, fused_y: np.ndarray, visible: np.ndarray, visible_y: np.ndarray, out: np.ndarray) -> None:
        rows = len(fused_y)
        up, down, lift, product = self._planes[:, :rows]
        # uint8 subtraction saturates at 0, so the two one-sided differences together are the signed one.
        cv2.subtract(fused_y, visible_y, dst=up)
        cv2.subtract(visible_y, fused_y, dst=down)
        cv2.add(visible_y, self._pedestal[:rows], dst=product)
        cv2.divide(cv2.min(up, visible_y, dst=lift), product, dst=lift, scale=255)
        # Y · lift is at most `up`, so everything that is added is positive and saturates as the whole sum would.
        cv2.subtract(up, cv2.multiply(visible_y, lift, dst=product, scale=1 / 255), dst=up)
        # One plane three times over is made faster than colour is taken apart.
        cv2.multiply(visible, self._of_three(lift), dst=out, scale=1 / 255)
        cv2.add(out, visible, dst=out)
        cv2.add(out, self._of_three(up), dst=out)
        cv2.subtract(out, self._of_three(down), dst=out)

    def _of_three(self, plane: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(plane, cv2.COLOR_GRAY2BGR, dst=self._colour[: len(plane)])
