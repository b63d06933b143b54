"""Rows at the top or bottom of a thermal image that are no image: a sensor's telemetry, or padding."""

from __future__ import annotations

import numpy as np

MOST_ROWS = 8
"""Rows at each side that are looked at. Lepton sends two to four, Boson and Tau one or two."""

LEAST_HEIGHT = 4 * MOST_ROWS
"""Of an image in which there is enough beside them to compare with."""

SHARE = 0.5
"""Of a row's values that lie outside of the image's range: counters, flags and zeros among temperatures."""


def telemetry_rows(counts: np.ndarray) -> tuple[int, int]:
    """How many rows at the top and at the bottom look like telemetry.

    They turn the image white or black, since scaling takes their values for the coldest or hottest of the scene. A row
    counts as telemetry if over `SHARE` of its values lie further from the range of the image's middle than that range
    is wide, or are zeros, of which the middle has none. A part of a scene that cold or hot (the sky) is higher than
    `MOST_ROWS`.

    Args:
        counts: uint16 or float H×W; of others, and of low images, nothing is said.
    """
    if counts.ndim != 2 or counts.shape[0] < LEAST_HEIGHT or counts.dtype == np.uint8:
        return 0, 0
    inner = counts[MOST_ROWS:-MOST_ROWS:2, ::2].astype(np.float64)
    inner = inner[np.isfinite(inner)]
    if inner.size == 0:
        return 0, 0
    low, high = np.percentile(inner, (0.5, 99.5))
    span = max(high - low, 1.0)
    edges = np.concatenate([counts[:MOST_ROWS], counts[: -MOST_ROWS - 1 : -1]]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        outside = ~((edges >= low - span) & (edges <= high + span))  # NaN is outside too
    if inner.min() > 0:
        outside |= edges == 0
    strange = outside.mean(axis=1) > SHARE
    return _leading(strange[:MOST_ROWS]), _leading(strange[MOST_ROWS:])


def _leading(strange: np.ndarray) -> int:
    """Rows from the edge on; none where all are strange, since that is a part of the scene."""
    return 0 if strange.all() else int(np.argmin(strange))
