"""16-bit images whose bytes a driver swapped, or whose byte order it states wrongly."""

from __future__ import annotations

import numpy as np


def looks_swapped(counts: np.ndarray) -> bool:
    """Whether a uint16 H×W image is far smoother with its bytes swapped, as only a wrong byte order makes it.

    Neighbouring pixels of a thermal image differ by little; with swapped bytes the fast byte is the high one, and
    they differ by thousands. Flat images, and 8 bits in the high byte alone, are never suspected.
    """
    rows = np.ascontiguousarray(counts[:: max(1, counts.shape[0] // 64)])
    swapped = rows.byteswap()
    if not (rows & 0xFF).any():
        return False
    return 8 * _roughness(swapped) < _roughness(rows)


def _roughness(rows: np.ndarray) -> float:
    return float(np.abs(np.diff(rows.astype(np.int32), axis=1)).sum())
