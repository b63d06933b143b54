"""`ivif calibrate board --cameras`: from pictures of a board to a file with the pose, and to TF."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from ivif_core.calibration.board import Board
from ivif_core.cli.main import main
from ivif_core.registration.file import load_registration
from ivif_core.registration.pinhole import Pinhole
from test.core.calibration.test_board import drawn
from test.core.calibration.test_stereo import MOVE, SIZES, SQUARE, TURN, camera

BOARD = Board("chessboard", 9, 6)
LENSES = camera(SIZES[0], 300, np.zeros(5)), camera(SIZES[1], 600, np.zeros(5))
TF = ["--tf", "rgb_optical", "thermal_optical"]


@pytest.fixture
def rig(tmp_path, rng, monkeypatch):
    """Four pairs of a board that is held before both cameras, and their files."""
    monkeypatch.chdir(tmp_path)
    picture, corners = drawn(BOARD)
    cell = np.linalg.norm(corners[1] - corners[0])
    for name in ("infrared", "visible"):
        (tmp_path / name).mkdir()
    for number in range(4):
        held = Rotation.from_euler("xyz", rng.uniform(-25, 25, 3), degrees=True).as_matrix()
        place = np.array([0, 0, rng.uniform(0.8, 1.0)])
        # Pixel of the picture -> metres on the board, its middle at zero.
        onto = np.diag([SQUARE / cell, SQUARE / cell, 1.0])
        onto[:2, 2] = -SQUARE / cell * corners.mean(axis=0)
        for name, lens, turn, move in (
            ("infrared", LENSES[0], TURN @ held, TURN @ place + MOVE),
            ("visible", LENSES[1], held, place),
        ):
            seen = lens.matrix @ np.column_stack([turn[:, 0], turn[:, 1], move]) @ onto
            image = cv2.warpPerspective(picture, seen, lens.size, borderValue=220, flags=cv2.INTER_AREA)
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), cv2.GaussianBlur(image, (0, 0), 0.7))
    for name, lens in (("boson", LENSES[0]), ("rgb", LENSES[1])):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(lens.as_yaml()))
    return tmp_path


def calibrate(*more: str) -> int:
    return main(["calibrate", "board", "infrared", "visible", "--board", "chessboard:9x6", "-o", "rig.yaml", *more])


def test_the_file_holds_the_pose_and_tf_gets_the_same(rig, capsys):
    assert calibrate("--cameras", "boson.yaml", "rgb.yaml", "--square", str(SQUARE), *TF) == 0
    found = load_registration("rig.yaml")
    assert isinstance(found, Pinhole)
    assert np.linalg.norm(found.translation - MOVE) < 0.01
    assert np.degrees(Rotation.from_matrix(found.rotation @ TURN.T).magnitude()) < 0.5
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if line.startswith("ros2 run tf2_ros"))
    x = float(line.split("--x ")[1].split()[0])
    assert x == pytest.approx((-found.rotation.T @ found.translation)[0], abs=1e-5)
    assert '<child link="thermal_optical"/>' in out and (rig / "rig.png").is_file()


def test_what_finds_no_pose_says_so(rig, capsys):
    assert calibrate(*TF) == 2
    assert "`ivif calibrate board` finds a homography" in capsys.readouterr().err
    assert main(["calibrate", "scene", "infrared", "visible", "-o", "rig.yaml", *TF]) == 2
    assert "`ivif calibrate scene` finds a homography" in capsys.readouterr().err
    assert calibrate("--square", "0.04") == 2
    assert "--cameras and --square belong together" in capsys.readouterr().err
    assert calibrate("--cameras", "boson.yaml", "rgb.yaml", "--square", "0.04", "--tf", "a b", "c") == 2
    assert "name of a frame" in capsys.readouterr().err
    assert not (rig / "rig.yaml").exists() and not (rig / "rig.png").exists()


def test_a_wrong_camera_is_noticed(rig, capsys):
    wrong = LENSES[1].as_yaml()
    wrong["camera_matrix"]["data"][0] *= 2
    (rig / "rgb.yaml").write_text(yaml.safe_dump(wrong))
    assert calibrate("--cameras", "boson.yaml", "rgb.yaml", "--square", str(SQUARE), *TF) == 1
    said = capsys.readouterr()
    assert "px from where the board is projected" in said.err and "tf2_ros" not in said.out
    assert not (rig / "rig.yaml").exists()
