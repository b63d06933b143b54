"""What an image looks like, whatever its encoding says: coloured or grey, and how many bits are in use."""

from __future__ import annotations

import numpy as np

SAMPLES = 160
"""Rows and columns that are looked at, at most."""

SPREAD = 16
"""Grey levels between a pixel's channels from which it is coloured; chroma of a grey JPEG differs by less."""

SHARE = 0.1
"""Of coloured pixels that make a coloured image; a coloured scale or crosshair in a grey one has fewer."""


SENSOR_BITS = (10, 12, 14)
"""Of cameras between 8 and 16."""


def is_coloured(pixels: np.ndarray) -> bool:
    """Whether a uint8 image (H×W×C, C ≥ 3: BGR or RGB first; or H×W) has colours, and not only their channels."""
    if pixels.ndim < 3 or pixels.shape[2] < 3:
        return False
    sample = _sample(pixels)[..., :3].astype(np.int16)
    return bool(((sample.max(axis=-1) - sample.min(axis=-1)) > SPREAD).mean() > SHARE)


def low_aligned_bits(pixels: np.ndarray) -> int:
    """10, 12 or 14 where a uint16 image fills only so many of its lower bits and so looks black; 0: it does not."""
    if pixels.dtype != np.uint16 or not pixels.size:
        return 0
    sample = _sample(pixels)
    largest = int(sample.max())
    # A dark image of 16 bits that once had 8 holds multiples of 256 (shifted) or of 257 (stretched) only.
    if largest < 256 or not (sample % 256).any() or not (sample % 257).any():
        return 0
    return next((bits for bits in SENSOR_BITS if largest < 1 << bits), 0)


def _sample(pixels: np.ndarray) -> np.ndarray:
    rows, columns = (max(1, size // SAMPLES) for size in pixels.shape[:2])
    return pixels[::rows, ::columns]
