"""Which way up a picture is: EXIF's orientation of image files, display matrices of videos, followed by one rule.

Both cameras' readers of files follow it. Messages on ROS topics are taken as they were sent, for their CameraInfo
speaks of those pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

_TAG = 274
_MOST_TAGS = 1000
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
"""EXIF's value -> exchange rows and columns, then turn the rows' order, then the columns' (TIFF 6.0, Orientation)."""


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """The picture as it is to be seen.

    Args:
        image: H×W or H×W×C as stored.
        orientation: as EXIF has it, 1 (as stored) to 8.
    """
    exchange, rows, columns = _TURNS[orientation]
    if exchange:
        image = image.swapaxes(0, 1)
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])


def upright_matrix(size: tuple[int, int], orientation: int) -> np.ndarray:
    """3×3: where `upright` brings the pixels of an image of this (width, height)."""
    exchange, rows, columns = _TURNS[orientation]
    matrix = np.eye(3)[[1, 0, 2]] if exchange else np.eye(3)
    for axis, is_turned, length in zip((0, 1), (columns, rows), size[::-1] if exchange else size, strict=True):
        if is_turned:
            matrix[axis] = [0, 0, length - 1] - matrix[axis]
    return matrix


def exif_orientation(data: bytes) -> int:
    """Orientation that a JPEG (APP1), PNG (eXIf) or WebP (EXIF) file notes; 1 where it notes none that can be read.

    TIFF files are left out: OpenCV follows their tag whatever it is told.
    """
    try:
        exif = _find_exif(data)
        return 1 if exif is None else _orientation_tag(exif)
    except (struct.error, IndexError):
        return 1


def matrix_orientation(matrix: Sequence[int]) -> int:
    """The value of EXIF that means the same as a video's display matrix; 1 where it turns by no quarter.

    Args:
        matrix: nine integers; a pixel (x, y) is shown at (x·m₀ + y·m₃, x·m₁ + y·m₄) (libavutil/display.h).
    """
    a, b, c, d = (0 if abs(value) < 1 << 10 else (1 if value > 0 else -1) for value in (*matrix[0:2], *matrix[3:5]))
    if a and d and not (b or c):
        turn = (False, d < 0, a < 0)
    elif b and c and not (a or d):
        turn = (True, b < 0, c < 0)
    else:
        return 1
    return next(value for value, known in _TURNS.items() if known == turn)


def _find_exif(data: bytes) -> bytes | None:
    """The TIFF structure that holds the notes."""
    if data[:3] == b"\xff\xd8\xff":
        place = 2
        while data[place] == 0xFF and data[place + 1] != 0xDA:
            (length,) = struct.unpack_from(">H", data, place + 2)
            if data[place + 1] == 0xE1 and data[place + 4 : place + 10] == b"Exif\0\0":
                return data[place + 10 : place + 2 + length]
            place += 2 + max(length, 2)
        return None
    if data[:4] == b"\x89PNG":
        return _find_chunk(data, 8, b"eXIf", ">", 12, 0)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        exif = _find_chunk(data, 12, b"EXIF", "<", 8, 1)
        return exif[6:] if exif is not None and exif[:6] == b"Exif\0\0" else exif
    return None


def _find_chunk(data: bytes, place: int, name: bytes, order: str, extra: int, pad: int) -> bytes | None:
    """Content of the first chunk of that name; PNG writes length, name, content, checksum, RIFF name, length, content.

    Args:
        extra: bytes of a chunk beside its content.
        pad: 1 where contents of odd length have a byte behind them.
    """
    while place + 8 <= len(data):
        first, second = data[place : place + 4], data[place + 4 : place + 8]
        kind, size = (second, first) if order == ">" else (first, second)
        (length,) = struct.unpack(order + "I", size)
        if kind == name:
            return data[place + 8 : place + 8 + length]
        place += extra + length + (length & pad)
    return None


def _orientation_tag(exif: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    (place,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, place)
    for entry in range(min(count, _MOST_TAGS)):
        tag, _, _, value = struct.unpack_from(order + "HHIH", exif, place + 2 + 12 * entry)
        if tag == _TAG:
            return int(value) if value in _TURNS else 1
    return 1
