"""Rows at the edge of a thermal image that hold the camera's telemetry (FLIR Lepton, Boson) and no temperatures."""

from __future__ import annotations

import numpy as np

MOST_ROWS = 4
"""Lepton sends up to 3 rows, as header or footer; Boson one."""
_FOREIGN_SHARE = 0.3
_SPANS = 2.0
"""Spans of the image's own counts that a foreign count lies beyond them."""
_LEAST_SPAN = 64.0
"""Counts; an image of one temperature has hardly a span of its own."""
_LEAST_HEIGHT = 16


def telemetry_rows(counts: np.ndarray) -> tuple[int, int]:
    """How many rows at the top and at the bottom are telemetry.

    Such a row holds zeros, counters and serial numbers, far outside of what the image measures and without any likeness
    of neighbouring pixels. At most `MOST_ROWS` at each edge; a larger foreign area is something in view.

    Args:
        counts: H×W uint16 as the camera sent them; of other types, and of images under 16 rows, nothing is said.
    """
    if counts.dtype != np.uint16 or counts.ndim != 2 or counts.shape[0] < _LEAST_HEIGHT or counts.shape[1] < 2:
        return 0, 0
    body = counts[MOST_ROWS + 1 : -MOST_ROWS - 1].astype(np.float32)
    low, high = np.percentile(body, (1, 99))
    margin = _SPANS * max(float(high - low), _LEAST_SPAN)
    edges = counts[: MOST_ROWS + 1], counts[: -MOST_ROWS - 2 : -1]
    return _foreign(edges[0], low - margin, high + margin), _foreign(edges[1], low - margin, high + margin)


def _foreign(rows: np.ndarray, low: float, high: float) -> int:
    """Foreign rows in a row from the first; 0 where they go on beyond what telemetry takes."""
    foreign = ((rows < low) | (rows > high)).mean(axis=1) >= _FOREIGN_SHARE
    count = int(np.argmin(foreign)) if not foreign.all() else len(foreign)
    rough = np.abs(np.diff(rows[:count].astype(np.float32), axis=1)).max(initial=0.0)
    return count if count <= MOST_ROWS and rough > high - low else 0
