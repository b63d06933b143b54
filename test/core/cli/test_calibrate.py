from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import yaml

from ivif_core.calibration.fitting import transform
from ivif_core.calibration.picture_in_picture import picture_in_picture
from ivif_core.cli.main import main
from ivif_core.registration.file import load_registration

MATRIX = np.array([[1.5, -0.04, 60], [0.04, 1.5, 20], [0, 0, 1.0]])
INFRARED_SIZE, VISIBLE_SIZE = (320, 256), (640, 360)


@pytest.fixture
def folders(tmp_path, rng):
    """Two pairs of boxes, as 16-bit counts and colour."""
    for name in ("infrared", "visible"):
        (tmp_path / name).mkdir()
    for number in range(2):
        visible, heat = np.full((360, 640), 120, np.uint8), np.full((360, 640), 100, np.uint8)
        for _ in range(40):
            x, y, width, height = (int(value) for value in rng.uniform((0, 0, 20, 20), (600, 320, 110, 110)))
            visible[y : y + height, x : x + width] = rng.integers(20, 235)
            heat[y : y + height, x : x + width] = rng.integers(20, 235)
        infrared = cv2.warpPerspective(heat, np.linalg.inv(MATRIX), INFRARED_SIZE).astype(np.uint16) * 10 + 7000
        cv2.imwrite(str(tmp_path / "infrared" / f"{number}.png"), infrared)
        cv2.imwrite(str(tmp_path / "visible" / f"{number}.jpg"), cv2.cvtColor(visible, cv2.COLOR_GRAY2BGR))
    return tmp_path


NEAR = ("--scales", 0.7, 0.85, "--rotation", 3)
"""Around what is true: each search is run again three times, for what chance gives."""


def calibrate(folder, *more):
    arguments = [str(folder / "infrared"), str(folder / "visible"), "-o", str(folder / "rig.yaml"), *map(str, more)]
    kind = next((word for word in ("points", "board") if f"--{word}" in arguments), "scene")
    return main(["calibrate", kind, *arguments])


def points(folder, infrared, visible):
    entries = [{"infrared": list(map(float, a)), "visible": list(map(float, b))} for a, b in zip(infrared, visible)]  # noqa: B905
    path = folder / "points.json"
    path.write_text(json.dumps({"points": entries}))
    return path


def test_ordinary_pairs(folders, capsys):
    assert calibrate(folders, *NEAR) == 0
    found = load_registration(folders / "rig.yaml")
    corners = np.array([[0, 0], [319, 0], [0, 255], [319, 255.0]])
    assert np.abs(transform(found.matrix, corners) - transform(MATRIX, corners)).max() < 2.5
    assert (found.infrared_size, found.visible_size) == (INFRARED_SIZE, VISIBLE_SIZE)
    notes = yaml.safe_load((folders / "rig.yaml").read_text())
    assert notes["alignment_score"] > notes["alignment_score_of_resize"]
    assert cv2.imread(str(folders / "rig.png")).shape == (540, 1920, 3)
    assert "residual_px" in capsys.readouterr().out


def test_what_a_flir_camera_notes_sets_the_scale(folders):
    assert calibrate(folders, "--picture-in-picture", 1.33, -15, 22, "--rotation", 3) == 0
    found = load_registration(folders / "rig.yaml")
    corners = np.array([[0, 0], [319, 0], [0, 255], [319, 255.0]])
    assert np.abs(transform(found.matrix, corners) - transform(MATRIX, corners)).max() < 2.5


def test_a_fit_by_chance_is_not_written_and_force_takes_what_the_camera_notes(folders, rng, capsys):
    for number in range(2):  # of some other scene
        noise = cv2.GaussianBlur(rng.integers(0, 256, (256, 320), np.uint8), (0, 0), 4)
        cv2.imwrite(str(folders / "infrared" / f"{number}.png"), noise)
    noted = ("--picture-in-picture", 1.6, 10, -20, "--rotation", 3)
    assert calibrate(folders, *noted) == 1
    assert "not written" in capsys.readouterr().err
    assert not (folders / "rig.yaml").exists()
    assert calibrate(folders, *noted, "--force") == 0
    expected = picture_in_picture(1.6, 10, -20, INFRARED_SIZE, VISIBLE_SIZE)
    np.testing.assert_allclose(load_registration(folders / "rig.yaml").matrix, expected, atol=1e-6)
    assert "camera notes" in yaml.safe_load((folders / "rig.yaml").read_text())["method"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scales", 0, 1), "0.04 <= MIN"),
        (("--scales", 0.01, 0.02), "0.04 <= MIN"),
        (("--scales", 2, 1), "MIN <= MAX"),
        (("--scales", "nan", 1), "0.04 <= MIN"),
        (("--rotation", -3), "0 to 45"),
        (("--rotation", 1e9), "0 to 45"),
        (("--picture-in-picture", 0, 0, 0), "Real2IR"),
    ],
)
def test_impossible_numbers_are_named(folders, capsys, options, said):
    assert calibrate(folders, *options) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("place", [".", "nowhere/rig.yaml"])
def test_a_place_that_cannot_be_written_is_named_at_once(folders, capsys, place):
    assert calibrate(folders, "-o", folders / place) == 2
    assert "folder that exists" in capsys.readouterr().err


def test_swapped_cameras_are_pointed_out(folders, capsys):
    folders_swapped = [str(folders / "visible"), str(folders / "infrared")]
    assert main(["calibrate", "scene", *folders_swapped, "-o", str(folders / "rig.yaml"), "--rotation", "-1"]) == 2
    assert "swapped" in capsys.readouterr().err


def test_points_by_hand(folders, rng):
    infrared = rng.uniform(0, 250, (10, 2))
    path = points(folders, infrared, transform(MATRIX, infrared))
    assert calibrate(folders, "--points", path) == 0
    np.testing.assert_allclose(load_registration(folders / "rig.yaml").matrix, MATRIX, atol=1e-4)


def test_worse_than_resize_is_not_written_unless_forced(folders, rng, capsys):
    infrared = rng.uniform(0, 250, (10, 2))
    stretched = (infrared + 0.5) * [2, 360 / 256] - 0.5
    path = points(folders, infrared, stretched)
    assert calibrate(folders, "--points", path, "--model", "similarity") == 1
    assert "plain resize fits" in capsys.readouterr().err
    assert not (folders / "rig.yaml").exists()
    assert calibrate(folders, "--points", path, "--model", "similarity", "--force") == 0
    assert (folders / "rig.yaml").exists()


def test_points_that_lead_to_no_inverse_leave_nothing(folders, capsys):
    infrared = np.array([[x, y] for x in (3.0, 16, 28) for y in (3.0, 28)])
    visible = infrared + np.array([1, 0])
    visible[-1, 1] = -1
    before = sorted(folders.rglob("*"))
    path = points(folders, infrared, visible)
    assert calibrate(folders, "--points", path, "--force") == 2
    assert "invertible" in capsys.readouterr().err
    assert set(folders.rglob("*")) - set(before) <= {path}


def test_board_that_is_not_there(folders, capsys):
    assert calibrate(folders, "--board", "chessboard:9x6") == 2
    assert "in none of 2 pairs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "JSON"),
        ("[]", "expected"),
        ('{"points": [{"infrared": [1, 2]}]}', "visible"),
        ('{"points": [{"infrared": [1, "x"], "visible": [1, 2]}]}', "infrared"),
        ('{"points": [{"infrared": [1, 2, 3], "visible": [1, 2]}]}', "two finite numbers"),
        ('{"points": [{"infrared": [1, 2], "visible": [1, 2]}]}', "at least"),
    ],
)
def test_broken_points_are_named(folders, capsys, text, said):
    (folders / "points.json").write_text(text)
    assert calibrate(folders, "--points", folders / "points.json") == 2
    assert said in capsys.readouterr().err
