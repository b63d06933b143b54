"""A picture to judge a registration by eye."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_core.registration.base import rescaling

TILES = 8


def overlay(infrared: np.ndarray, visible: np.ndarray, matrix: np.ndarray, width: int = 960) -> np.ndarray:
    """Checkerboard of both images, and infrared edges (red) on visible ones (green, white where they meet).

    Args:
        infrared, visible: uint8 grey.
        matrix: infrared -> visible pixels.

    Returns:
        uint8 H×2W×3 BGR.
    """
    size = (width, round(visible.shape[0] * width / visible.shape[1]))
    onto = rescaling(visible.shape[::-1], size) @ matrix
    small = cv2.resize(visible, size, interpolation=cv2.INTER_AREA)
    warped = cv2.warpPerspective(infrared, onto, size)
    seen = cv2.warpPerspective(np.full(infrared.shape, 255, np.uint8), onto, size) > 127
    side = width // TILES
    rows, columns = np.indices(small.shape)
    tiles = ((rows // side + columns // side) % 2 == 0) & seen
    board = np.where(tiles, warped, small)
    edges = np.dstack([small // 3] * 3)
    edges[_edges(small) & seen] = (0, 200, 0)
    hot = _edges(warped) & cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    both = hot & (cv2.dilate(_edges(small).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    edges[hot] = (0, 0, 255)
    edges[both] = (255, 255, 255)
    return cv2.hconcat([cv2.cvtColor(board, cv2.COLOR_GRAY2BGR), edges])


def _edges(image: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(image, (0, 0), 1.5)
    middle = float(np.median(cv2.Laplacian(smooth, cv2.CV_32F, ksize=3) ** 2)) ** 0.5
    return cv2.Canny(smooth, 25 + 4 * middle, 60 + 10 * middle) > 0
