"""What an image looks like, whatever its encoding says: coloured or grey, and how many bits are in use."""

from __future__ import annotations

import numpy as np

SAMPLES = 160
"""Rows and columns that are looked at, at most."""

SPREAD = 16
"""Grey levels between a pixel's channels from which it is coloured; chroma of a grey JPEG differs by less."""

SHARE = 0.1
"""Of coloured pixels that make a coloured image; a coloured scale or crosshair in a grey one has fewer."""


def is_coloured(pixels: np.ndarray) -> bool:
    """Whether a uint8 image (H×W×C, C ≥ 3: BGR or RGB first; or H×W) has colours, and not only their channels."""
    if pixels.ndim < 3 or pixels.shape[2] < 3:
        return False
    sample = _sample(pixels)[..., :3].astype(np.int16)
    return bool(((sample.max(axis=-1) - sample.min(axis=-1)) > SPREAD).mean() > SHARE)


def used_bits(pixels: np.ndarray) -> int:
    """Bits that the largest value of an integer image takes; 0 of a black one."""
    return int(_sample(pixels).max()).bit_length()


def _sample(pixels: np.ndarray) -> np.ndarray:
    rows, columns = (max(1, size // SAMPLES) for size in pixels.shape[:2])
    return pixels[::rows, ::columns]
