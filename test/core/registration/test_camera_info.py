from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ivif_core.errors import ConfigError
from ivif_core.registration.base import Resize
from ivif_core.registration.camera_info import CameraInfos
from ivif_core.registration.pinhole import Camera, Pinhole

PLUMB = [-0.28, 0.09, 0.001, -0.0005, -0.01]
MOVE = [0.06, -0.01, 0.02]


def info(size=(64, 48), focal=60.0, **changes) -> SimpleNamespace:
    fields = {
        "width": size[0],
        "height": size[1],
        "distortion_model": "plumb_bob",
        "k": [focal, 0.0, size[0] / 2, 0.0, focal, size[1] / 2, 0.0, 0.0, 1.0],
        "d": list(PLUMB),
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    }
    return SimpleNamespace(**{**fields, **changes})


@pytest.fixture
def image(rng):
    return rng.integers(1, 256, (48, 64), np.uint8)


def same(ours, theirs, image):
    np.testing.assert_array_equal(ours.apply(image, (60, 80))[0], theirs.apply(image, (60, 80))[0])


def test_resize_until_both_are_known_then_pinhole(image):
    registration = CameraInfos(np.eye(3).ravel(), MOVE, 4.0)
    same(registration, Resize(), image)
    assert "no thermal/camera_info and no rgb/camera_info yet" in registration.problem
    assert registration.set_info("visible", info((80, 60), 70.0))
    same(registration, Resize(), image)
    assert "no thermal/camera_info yet" in registration.problem and "rgb" not in registration.problem
    assert registration.set_info("infrared", info())
    assert registration.problem == ""
    cameras = (Camera.from_camera_info(info()), Camera.from_camera_info(info((80, 60), 70.0)))
    same(registration, Pinhole(*cameras, np.eye(3), MOVE, 4.0), image)


def test_tables_are_kept_until_an_info_says_something_else(image, monkeypatch):
    made = []
    position = Pinhole.infrared_position
    monkeypatch.setattr(Pinhole, "infrared_position", lambda *given: made.append(1) or position(*given))
    registration = CameraInfos(np.eye(3), MOVE, 4.0)
    registration.set_info("visible", info((80, 60), 70.0))
    for _ in range(3):
        registration.set_info("infrared", info())
        registration.apply(image, (60, 80))
    assert len(made) == 1
    assert not registration.set_info("infrared", info())
    assert registration.set_info("infrared", info(focal=66.0))
    registration.apply(image, (60, 80))
    assert len(made) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"k": [0.0] * 9}, "all zeros"),
        ({"distortion_model": "mystery"}, "'mystery'"),
        ({"distortion_model": "Inverse Brown Conrady"}, "takes no distortion"),
        ({"d": [0.1]}, "14 coefficients"),
        ({"width": 0}, "0×48"),
        ({"k": [float("nan")] * 9}, "not calibrated"),
    ],
)
def test_what_cannot_be_used_is_refused_once_and_resize_serves(image, changes, said):
    registration = CameraInfos(np.eye(3), MOVE, 4.0)
    registration.set_info("visible", info((80, 60), 70.0))
    with pytest.raises(ConfigError, match=said) as refused:
        registration.set_info("infrared", info(**changes))
    assert "thermal/camera_info" in str(refused.value)
    assert not registration.set_info("infrared", info(**changes))
    assert said in registration.problem
    same(registration, Resize(), image)
    assert registration.set_info("infrared", info())
    assert registration.problem == ""
    with pytest.raises(ConfigError):
        registration.set_info("infrared", info(**changes))
    same(registration, Resize(), image)


def test_depth_is_kept_for_cameras_that_come_later(image):
    depth = np.full((60, 80), 0.7, np.float32)
    registration = CameraInfos(np.eye(3), MOVE, 4.0)
    registration.set_depth(depth)
    registration.set_info("infrared", info())
    registration.set_info("visible", info((80, 60), 70.0))
    cameras = (Camera.from_camera_info(info()), Camera.from_camera_info(info((80, 60), 70.0)))
    same(registration, Pinhole(*cameras, np.eye(3), MOVE, 0.7), image)


def test_no_distortion_and_region_of_interest():
    assert Camera.from_camera_info(info(d=[])).distortion.coefficients.tolist() == [0] * 5
    region = SimpleNamespace(x_offset=10, y_offset=6, width=40, height=30)
    cut, whole = Camera.from_camera_info(info(roi=region)), Camera.from_camera_info(info())
    x, y = cut.project(np.array([0.1]), np.array([-0.2]), (40, 30))
    expected = whole.project(np.array([0.1]), np.array([-0.2]), (64, 48))
    np.testing.assert_allclose((x + 10, y + 6), expected)


@pytest.mark.parametrize("geometry", [(np.ones(9), MOVE, 4.0), ([1, 0], MOVE, 4.0), (np.eye(3), [1, 2], 4.0),
                                      (np.eye(3), MOVE, 0.0)])  # fmt: skip
def test_geometry_is_checked_before_any_info_comes(geometry):
    with pytest.raises(ConfigError):
        CameraInfos(*geometry)
