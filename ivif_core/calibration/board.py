"""Corners of a board that both cameras see: a chessboard, or asymmetric circles (heated, or cut out before heat)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np

from ivif_core.errors import InputError


@dataclass(frozen=True)
class Board:
    """What to look for.

    Attributes:
        kind: 'chessboard' (inner corners) or 'circles' (asymmetric grid).
        columns, rows: corners or circles, as OpenCV counts them.
    """

    kind: str
    columns: int
    rows: int

    @classmethod
    def parse(cls, text: str) -> Board:
        """From 'chessboard:9x6' or 'circles:4x11'.

        Raises:
            InputError: written otherwise.
        """
        match = re.fullmatch(r"(chessboard|circles):(\d+)x(\d+)", text)
        if not match or min(int(match[2]), int(match[3])) < 3:
            raise InputError(f"board: expected chessboard:COLUMNSxROWS (inner corners) or circles:4x11, got '{text}'")
        return cls(match[1], int(match[2]), int(match[3]))


def find_corners(image: np.ndarray, board: Board) -> np.ndarray | None:
    """Corners [N, 2] in pixels, or None where the board is not seen whole.

    A thermal image has either contrast (ink is warmer in the sun, colder when the board is heated from behind), little
    of it, and few pixels: both signs are tried, stretched and enlarged.

    Args:
        image: uint8 grey.
    """
    stretched = cv2.createCLAHE(3.0, (4, 4)).apply(cv2.normalize(image, np.empty_like(image), 0, 255, cv2.NORM_MINMAX))
    enlargement = 1 if max(image.shape) >= 1000 else 2
    for candidate in (image, stretched):
        large = cv2.resize(candidate, None, fx=enlargement, fy=enlargement, interpolation=cv2.INTER_CUBIC)
        for signed in (large, 255 - large):
            corners = _search(signed, board)
            if corners is not None:
                # Enlarging keeps pixel areas, so that centres move by half a pixel.
                return (corners + 0.5) / enlargement - 0.5
    return None


def match_corners(infrared: np.ndarray, visible: np.ndarray, board: Board) -> tuple[np.ndarray, np.ndarray] | None:
    """Corners [N, 2] of both images, in one order; None where either does not show the board whole.

    A board that looks the same upside down may be counted from either end; the cameras are taken to be the same way up.
    """
    first, second = find_corners(infrared, board), find_corners(visible, board)
    if first is None or second is None:
        return None
    if np.dot(first[-1] - first[0], second[-1] - second[0]) < 0:
        first = first[::-1]
    return first, second


def _search(image: np.ndarray, board: Board) -> np.ndarray | None:
    size = (board.columns, board.rows)
    if board.kind == "chessboard":
        found, corners = cv2.findChessboardCornersSB(image, size)
    else:
        found, corners = cv2.findCirclesGrid(image, size, flags=cv2.CALIB_CB_ASYMMETRIC_GRID)
    return np.asarray(corners, np.float64).reshape(-1, 2) if found else None
