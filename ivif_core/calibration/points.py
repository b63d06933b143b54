"""Matching points picked by hand: a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ivif_core.errors import ConfigError, InputError, one_line
from ivif_core.files.reading import read_text

_FARTHEST = 1 << 20
"""Pixels; no image is larger."""


def read_points(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Infrared and visible pixels [N, 2] of a file `{"points": [{"infrared": [x, y], "visible": [x, y]}, ...]}`.

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    name = one_line(path)
    try:
        content = json.loads(read_text(path))
    except ConfigError as error:
        raise InputError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: cannot be read as JSON: {one_line(error)}") from error
    entries = content.get("points") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f'{name}: expected {{"points": [{{"infrared": [x, y], "visible": [x, y]}}, …]}}')
    return parse_points(entries, name)


def parse_points(entries: list[Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Infrared and visible pixels [N, 2] of entries `{"infrared": [x, y], "visible": [x, y]}`, at least one.

    Args:
        entries: from JSON.
        name: of what they come from, for the error.

    Raises:
        InputError: an entry is anything else.
    """
    columns = []
    for side in ("infrared", "visible"):
        points = []
        for entry in entries:
            point = entry.get(side) if isinstance(entry, dict) else None
            if not isinstance(point, list) or any(type(value) not in (int, float) for value in point):
                raise InputError(f"{name}: a point has no numbers [x, y] under '{side}'")
            try:
                position = [float(value) for value in point]
            except OverflowError as error:  # an integer of hundreds of digits
                raise InputError(f"{name}: a point has no numbers [x, y] under '{side}'") from error
            if len(position) != 2 or not np.isfinite(position).all():
                raise InputError(f"{name}: a point has other than two finite numbers under '{side}'")
            points.append(position)
        column = np.array(points)
        if np.abs(column).max() > _FARTHEST:
            raise InputError(
                f"{name}: a point under '{side}' lies farther than {_FARTHEST} pixels from the image's corner"
            )
        columns.append(column)
    return columns[0], columns[1]
