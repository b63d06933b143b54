"""The pose between two cameras, against corners that OpenCV projects from a known one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ivif_core.calibration.board import Board
from ivif_core.calibration.stereo import find_pose
from ivif_core.errors import InputError
from ivif_core.registration.distortion import Distortion
from ivif_core.registration.pinhole import Camera

TURN = Rotation.from_euler("xyz", [2, -4, 1], degrees=True).as_matrix()
MOVE = np.array([0.06, -0.01, 0.02])
SIZES = ((320, 256), (640, 480))
SQUARE = 0.04


def camera(size, focal, coefficients, model="plumb_bob") -> Camera:
    matrix = np.array([[focal, 0, size[0] / 2 - 3], [0, focal * 1.01, size[1] / 2 + 2], [0, 0, 1.0]])
    return Camera(size, matrix, Distortion(model, coefficients))


LENSES = {
    "plumb_bob": (camera(SIZES[0], 300, [-0.3, 0.1, 1e-3, -1e-3, 0]), camera(SIZES[1], 600, [0.05, -0.1, 0, 0, 0])),
    "fisheye": (
        camera(SIZES[0], 220, [-0.02, 0.01, 0, 0], "equidistant"),
        camera((1280, 960), 1200, [0.05, -0.1, 0, 0, 0]),  # calibrated at twice the size of the images
    ),
}


def views(board, cameras, rng, noise, count=6):
    """Corners in both cameras of a board that is held before the visible one; written from the definitions."""
    points = []
    for row in range(board.rows):
        for column in range(board.columns):
            across = column if board.kind == "chessboard" else 2 * column + row % 2
            points.append([across * SQUARE, row * SQUARE, 0])
    points = np.array(points) - np.mean(points, axis=0)
    for _ in range(count):
        held = Rotation.from_euler("xyz", rng.uniform(-30, 30, 3), degrees=True)
        in_visible = held.apply(points) + np.array([*rng.uniform(-0.05, 0.05, 2), rng.uniform(0.8, 1.2)])
        in_infrared = in_visible @ TURN.T + MOVE
        seen = []
        for lens, size, place in zip(cameras, SIZES, (in_infrared, in_visible), strict=True):
            scale = size[0] / lens.size[0]
            matrix = np.diag([scale, scale, 1.0]) @ lens.matrix
            matrix[:2, 2] += (scale - 1) / 2
            project = cv2.fisheye.projectPoints if lens.distortion.fisheye else cv2.projectPoints
            pixels, _ = project(place[:, None], np.zeros(3), np.zeros(3), matrix, lens.distortion.coefficients)
            seen.append(pixels[:, 0] + rng.normal(0, noise, (len(place), 2)))
        yield tuple(seen)


@pytest.mark.parametrize("lenses", LENSES)
@pytest.mark.parametrize("board", [Board("chessboard", 9, 6), Board("circles", 4, 11)], ids=lambda board: board.kind)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_pose_is_found(rng, lenses, board, noise):
    cameras = LENSES[lenses]
    found = find_pose(list(views(board, cameras, rng, noise)), board, SQUARE, cameras, SIZES)
    degrees = np.degrees(Rotation.from_matrix(found.pinhole.rotation @ TURN.T).magnitude())
    assert degrees < 0.01 + noise and np.linalg.norm(found.pinhole.translation - MOVE) < 1e-4 + 0.02 * noise
    assert 0.7 < found.pinhole.distance < 1.3 and found.views == 6
    assert found.residual == pytest.approx(noise * np.sqrt(2), abs=0.05) or found.residual < 0.01
    assert found.spread < 1e-3 + 0.1 * noise


def test_a_board_of_another_size_moves_the_cameras_apart(rng):
    board, cameras = Board("chessboard", 9, 6), LENSES["plumb_bob"]
    found = find_pose(list(views(board, cameras, rng, 0.0)), board, 2 * SQUARE, cameras, SIZES)
    np.testing.assert_allclose(found.pinhole.translation, 2 * MOVE, atol=1e-3)


def test_too_few_views_are_refused(rng):
    board, cameras = Board("chessboard", 9, 6), LENSES["plumb_bob"]
    with pytest.raises(InputError, match="in 3 pairs, each tilted differently; got 2"):
        find_pose(list(views(board, cameras, rng, 0.0, count=2)), board, SQUARE, cameras, SIZES)


def test_the_homography_is_the_pinhole_model_of_a_wall(rng):
    lenses = (camera(SIZES[0], 300, np.zeros(5)), camera(SIZES[1], 600, np.zeros(5)))
    board = Board("chessboard", 9, 6)
    pinhole = find_pose(list(views(board, lenses, rng, 0.0)), board, SQUARE, lenses, SIZES).pinhole
    x, y = pinhole.infrared_position(*SIZES)
    for column, row in [(320, 240), (200, 300), (400, 180)]:
        back = pinhole.homography(*SIZES) @ [x[row, column], y[row, column], 1]
        np.testing.assert_allclose(back[:2] / back[2], [column, row], atol=0.01)
