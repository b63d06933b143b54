"""Where two calibrated cameras stand to each other, from a board of known size that both see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ivif_core.calibration.board import Board
from ivif_core.errors import InputError
from ivif_core.registration.base import Size
from ivif_core.registration.pinhole import Camera, Pinhole

LEAST_VIEWS = 3
"""One view leaves tilt and shift to each other's mercy: a few pixels of error become centimetres."""


@dataclass(frozen=True)
class StereoPose:
    """What was found.

    Attributes:
        pinhole: both cameras, rotation and translation (infrared point = rotation · visible point + translation), and
            the median distance of the boards from the visible camera, m.
        residual: root mean square distance of the corners from where the boards' corners are projected, px, over both
            cameras.
        spread: how far the translations of single views lie from it, m: the median.
        views: of the board.
    """

    pinhole: Pinhole
    residual: float
    spread: float
    views: int


def find_pose(
    corners: Sequence[tuple[np.ndarray, np.ndarray]],
    board: Board,
    square: float,
    cameras: tuple[Camera, Camera],
    sizes: tuple[Size, Size],
) -> StereoPose:
    """Rotation and translation between two cameras whose intrinsics are known.

    Lenses are straightened first; then one pose and the board's in each view are fitted to all corners together.

    Args:
        corners: infrared and visible [N, 2] of each view, as `match_corners` gives them, px.
        square: side of a square of the board (circles: half the distance in a row), m.
        cameras, sizes: infrared and visible; the sizes of the images.

    Raises:
        InputError: fewer than `LEAST_VIEWS` views, or the board fits none.
    """
    if len(corners) < LEAST_VIEWS:
        raise InputError(f"a pose needs the board in {LEAST_VIEWS} pairs, each tilted differently; got {len(corners)}")
    points = _board_points(board, square)
    matrices = tuple(camera.matrix_for(size) for camera, size in zip(cameras, sizes, strict=True))
    straight = [tuple(_straightened(*view) for view in zip(pair, cameras, matrices, strict=True)) for pair in corners]
    singles = [_single(points, pair, matrices) for pair in straight]
    turns, moves = [single[0] for single in singles], [single[1] for single in singles]
    first = _middle(moves)
    start = [_vector(turns[first]), moves[first], *(vector for single in singles for vector in single[2:])]
    fitted, residual = _least_squares(
        lambda guess: _distances(guess, points, straight, matrices), np.concatenate(start)
    )
    rotation, translation = cv2.Rodrigues(fitted[:3])[0], fitted[3:6]
    spread = float(np.median(np.linalg.norm(np.array(moves) - translation, axis=1)))
    distance = float(np.median(fitted[11::6]))
    return StereoPose(Pinhole(*cameras, rotation, translation, distance), residual, spread, len(straight))


def _distances(
    guess: np.ndarray, points: np.ndarray, views: Sequence[tuple[np.ndarray, ...]], matrices: tuple[np.ndarray, ...]
) -> np.ndarray:
    """All corners' x and y minus where they are projected, px.

    Args:
        guess: rotation vector and translation between the cameras, then of the board before the visible one, view by
            view.
    """
    turn, found = cv2.Rodrigues(guess[:3])[0], []
    for (infrared, visible), pose in zip(views, guess[6:].reshape(-1, 6), strict=True):
        behind = _vector(turn @ cv2.Rodrigues(pose[:3])[0]), turn @ pose[3:] + guess[3:6]
        for seen, (turned, moved), matrix in zip(
            (infrared, visible), (behind, (pose[:3], pose[3:])), matrices, strict=True
        ):
            found.append((cv2.projectPoints(points, turned, moved, matrix, np.zeros(5))[0] - seen).ravel())
    return np.concatenate(found)


def _least_squares(
    distances: Callable[[np.ndarray], np.ndarray], guess: np.ndarray, rounds: int = 30
) -> tuple[np.ndarray, float]:
    """Parameters of the least squares by Levenberg and Marquardt, and the root mean square distance of points there."""
    now, damping, step = distances(guess), 1e-3, 1e-6
    for _ in range(rounds):
        slopes = np.stack([(distances(guess + step * unit) - now) / step for unit in np.eye(len(guess))], axis=1)
        normal = slopes.T @ slopes
        change = np.linalg.solve(normal + damping * np.diag(normal.diagonal()), -slopes.T @ now)
        tried = distances(guess + change)
        if tried @ tried < now @ now:
            guess, now, damping = guess + change, tried, damping / 10
        else:
            damping *= 10
        if np.abs(change).max() < 1e-9:
            break
    return guess, float(np.sqrt(2 * np.mean(now * now)))


def _board_points(board: Board, square: float) -> np.ndarray:
    """float64 [N, 3], m, in the order in which OpenCV finds them."""
    row, column = np.indices((board.rows, board.columns)).reshape(2, -1)
    across = column if board.kind == "chessboard" else 2 * column + row % 2
    return square * np.stack([across, row, 0 * row], axis=1)


def _straightened(pixels: np.ndarray, camera: Camera, matrix: np.ndarray) -> np.ndarray:
    """float64 N×1×2: where a lens without distortion would show them."""
    rays = camera.distortion.straighten(pixels.reshape(-1, 1, 2).astype(np.float64), matrix)
    return rays * matrix.diagonal()[:2] + matrix[:2, 2]


def _single(
    points: np.ndarray, pair: tuple[np.ndarray, ...], matrices: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """By one view: rotation and translation between the cameras; rotation vector and place of the board (visible)."""
    poses = []
    for seen, matrix in zip(pair, matrices, strict=True):
        found, turn, move = cv2.solvePnP(points, seen, matrix, np.zeros(5))
        if not found or not np.isfinite([*turn, *move]).all():
            raise InputError("the corners fit no board: are its size and the cameras' files right?")
        poses.append((cv2.Rodrigues(turn)[0], move.ravel()))
    (turn_i, move_i), (turn_v, move_v) = poses
    rotation = turn_i @ turn_v.T
    return rotation, move_i - rotation @ move_v, _vector(turn_v), move_v


def _vector(rotation: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.Rodrigues(rotation)[0]).ravel()


def _middle(moves: list[np.ndarray]) -> int:
    """The translation that is nearest to all others: no view that went wrong."""
    return int(np.argmin([np.linalg.norm(np.array(moves) - move, axis=1).sum() for move in moves]))
