"""What infrared and visible have in common: where edges run, whatever their contrast and its sign.

Each pixel gets the double-angle vector of its gradient (cos 2θ, sin 2θ), shorter where the gradient is weak (normalised
gradient fields: E. Haber, J. Modersitzki, MICCAI 2006). Turning a contrast round leaves it as it is.
"""

from __future__ import annotations

import cv2
import numpy as np

SIGMA = 1.2
"""Blur before the gradient, px."""


def orientation_field(image: np.ndarray) -> np.ndarray:
    """float32 [H, W, 2] of a grey image, its slow part (an even pattern matches everywhere) taken out."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), SIGMA)
    across = cv2.Scharr(smooth, cv2.CV_32F, 1, 0)
    down = cv2.Scharr(smooth, cv2.CV_32F, 0, 1)
    strength = across * across + down * down
    weak = max(float(np.percentile(strength[::2, ::2], 70)), 1.0)
    field = np.stack([across * across - down * down, 2 * across * down], axis=-1) / (strength + weak)[..., None]
    return field - cv2.GaussianBlur(field, (0, 0), 12 * SIGMA)


def alignment_score(infrared: np.ndarray, visible: np.ndarray, seen: np.ndarray | None = None) -> float:
    """How well the edges of two grey images of one grid agree: 0 by chance, 1 the same image.

    Args:
        seen: bool H×W where both cameras see; None: everywhere.
    """
    first, second = orientation_field(infrared), orientation_field(visible)
    if seen is not None:
        inner = cv2.erode(seen.astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0)[..., None]
        first, second = first * inner, second * inner
    energy = float((first**2).sum()) * float((second**2).sum())
    return float((first * second).sum() / energy**0.5) if energy > 0 else 0.0
