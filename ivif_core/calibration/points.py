"""Matching points picked by hand: a JSON file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ivif_core.errors import ConfigError, InputError
from ivif_core.files.reading import read_text

_FARTHEST = 1 << 20
"""Pixels; no image is larger."""


def read_points(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Infrared and visible pixels [N, 2] of a file `{"points": [{"infrared": [x, y], "visible": [x, y]}, ...]}`.

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    try:
        content = json.loads(read_text(path))
    except ConfigError as error:
        raise InputError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    entries = content.get("points") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f'{path}: expected {{"points": [{{"infrared": [x, y], "visible": [x, y]}}, …]}}')
    columns = []
    for name in ("infrared", "visible"):
        try:
            points = np.array([[float(value) for value in entry[name]] for entry in entries])
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: a point has no numbers [x, y] under '{name}'") from error
        if points.shape != (len(entries), 2) or not np.isfinite(points).all():
            raise InputError(f"{path}: a point has other than two finite numbers under '{name}'")
        if np.abs(points).max() > _FARTHEST:
            raise InputError(
                f"{path}: a point under '{name}' lies farther than {_FARTHEST} pixels from the image's corner"
            )
        columns.append(points)
    return columns[0], columns[1]
