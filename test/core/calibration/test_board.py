from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.calibration.board import Board, find_corners, match_corners
from ivif_core.errors import InputError

CELL = 40
TILT = np.array([[0.9, 0.08, 30], [-0.05, 0.85, 40], [1e-4, 5e-5, 1.0]])


def drawn(board: Board) -> tuple[np.ndarray, np.ndarray]:
    """A picture of the board, and where its corners are."""
    if board.kind == "chessboard":
        rows, columns = np.indices(((board.rows + 3) * CELL, (board.columns + 3) * CELL)) // CELL
        inside = (rows > 0) & (rows < board.rows + 2) & (columns > 0) & (columns < board.columns + 2)
        picture = np.where(inside & ((rows + columns) % 2 == 0), 30, 220).astype(np.uint8)
        corners = [
            [(c + 2) * CELL - 0.5, (r + 2) * CELL - 0.5] for r in range(board.rows) for c in range(board.columns)
        ]
        return picture, np.array(corners)
    picture = np.full(((board.rows + 3) * CELL // 2 + CELL, (2 * board.columns + 3) * CELL // 2 + CELL), 220, np.uint8)
    corners = [
        [(2 * c + r % 2 + 2) * CELL / 2, (r + 2) * CELL / 2] for r in range(board.rows) for c in range(board.columns)
    ]
    for x, y in corners:
        cv2.circle(picture, (int(x), int(y)), CELL // 4, 30, -1, cv2.LINE_AA)
    return picture, np.array(corners, np.float64)


def seen(board: Board, matrix: np.ndarray, size: tuple[int, int], low: float, high: float, noise: float, rng):
    picture, corners = drawn(board)
    image = cv2.warpPerspective(picture, matrix, size, borderValue=220, flags=cv2.INTER_AREA)
    image = low + (cv2.GaussianBlur(image, (0, 0), 0.8).astype(float) - 30) / 190 * (high - low)
    return (image + rng.normal(0, noise, image.shape)).clip(0, 255).astype(np.uint8), cv2.perspectiveTransform(
        corners[None], matrix
    )[0]


BOARDS = [Board("chessboard", 9, 6), Board("circles", 4, 11)]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.kind)
@pytest.mark.parametrize(("low", "high"), [(30, 220), (190, 60), (100, 130), (128, 100)])
def test_corners_of_either_sign_and_little_contrast(rng, board, low, high):
    image, expected = seen(board, TILT, (640, 512), low, high, 1.0, rng)
    corners = find_corners(image, board)
    assert corners is not None
    if np.dot(corners[-1] - corners[0], expected[-1] - expected[0]) < 0:
        corners = corners[::-1]
    assert np.hypot(*(corners - expected).T).max() < 1.0


def test_both_cameras_are_matched_in_one_order(rng):
    board = BOARDS[0]
    small = np.diag([0.5, 0.5, 1.0]) @ TILT
    infrared, _ = seen(board, small, (320, 256), 180, 80, 1.0, rng)
    visible, _ = seen(board, TILT, (640, 512), 30, 220, 2.0, rng)
    first, second = match_corners(infrared, visible, board)
    truth = TILT @ np.linalg.inv(small)
    assert np.hypot(*(cv2.perspectiveTransform(first[None], truth)[0] - second).T).max() < 1.5


def test_no_board_is_none(rng):
    noise = rng.integers(0, 256, (200, 260), np.uint8)
    assert find_corners(noise, BOARDS[0]) is None
    assert match_corners(noise, noise, BOARDS[1]) is None


@pytest.mark.parametrize("text", ["chessboard", "chessboard:9", "squares:9x6", "circles:0x4", "chessboard:9x6x2"])
def test_unclear_boards_are_refused(text):
    with pytest.raises(InputError, match="chessboard:COLUMNSxROWS"):
        Board.parse(text)
    assert Board.parse("circles:4x11") == BOARDS[1]
