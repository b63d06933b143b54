from __future__ import annotations

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml

from ivif_core.errors import ConfigError
from ivif_core.registration.base import Homography
from ivif_core.registration.distortion import Distortion
from ivif_core.registration.file import load_registration
from ivif_core.registration.pinhole import Camera, Pinhole

TURN = cv2.Rodrigues(np.array([0.02, -0.03, 0.05]))[0]
MOVE = np.array([0.06, -0.01, 0.02])
PLUMB = [-0.28, 0.09, 0.001, -0.0005, -0.01]


def camera(size=(64, 48), focal=60.0, model="plumb_bob", distortion=(0,) * 5) -> Camera:
    matrix = np.array([[focal, 0, size[0] / 2 - 1], [0, focal * 1.02, size[1] / 2 + 1], [0, 0, 1.0]])
    return Camera(size, matrix, Distortion(model, distortion))


def distorted(lens, x, y):
    """The model's formula, for one ray."""
    r = math.hypot(x, y)
    coefficients = lens.coefficients
    if lens.fisheye:
        angle = math.atan(r)
        bent = angle * (1 + sum(k * angle ** (2 * i + 2) for i, k in enumerate(coefficients)))
        return (x * bent / r, y * bent / r) if r else (x, y)
    k1, k2, p1, p2, k3, *rest = coefficients
    factor = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6
    if rest:
        factor /= 1 + rest[0] * r**2 + rest[1] * r**4 + rest[2] * r**6
    return (
        x * factor + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2),
        y * factor + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y,
    )


def infrared_pixel(infrared: Camera, point):
    x, y, z = TURN @ point + MOVE
    x, y = distorted(infrared.distortion, x / z, y / z)
    k = infrared.matrix
    return k[0, 0] * x + k[0, 2], k[1, 1] * y + k[1, 2]


@pytest.mark.parametrize(
    ("model", "distortion"),
    [
        ("plumb_bob", PLUMB),
        ("rational_polynomial", [0.1, -0.05, 0.001, 0.0005, 0.01, 0.2, -0.02, 0.004]),
        ("equidistant", [0.02, -0.01, 0.003, -0.001]),
    ],
)
def test_points_at_the_distance_meet(rng, model, distortion):
    """Points are projected into both cameras by the formulas; the table must lead from one pixel to the other."""
    infrared, visible = camera(model=model, distortion=distortion), camera((80, 60), 70.0, model, distortion)
    distance = 3.0
    x, y = Pinhole(infrared, visible, TURN, MOVE, distance).infrared_position((64, 48), (80, 60))
    for _ in range(60):
        ray = rng.uniform([-0.35, -0.25], [0.35, 0.25])
        bent = distorted(visible.distortion, *ray)
        column = visible.matrix[0, 0] * bent[0] + visible.matrix[0, 2]
        row = visible.matrix[1, 1] * bent[1] + visible.matrix[1, 2]
        if not (0 <= column < 79 and 0 <= row < 59):
            continue
        expected = infrared_pixel(infrared, np.array([*ray, 1]) * distance)
        left, top = int(column), int(row)
        a, b = column - left, row - top
        for table, value in zip((x, y), expected, strict=True):
            patch = table[top : top + 2, left : left + 2]
            got = (1 - b) * ((1 - a) * patch[0, 0] + a * patch[0, 1]) + b * ((1 - a) * patch[1, 0] + a * patch[1, 1])
            assert got == pytest.approx(value, abs=0.02)  # what linear interpolation leaves out


@pytest.mark.parametrize(
    ("model", "distortion"),
    [
        ("plumb_bob", PLUMB),
        ("plumb_bob", [0.0] * 5),
        ("rational_polynomial", [0.1, -0.05, 0.001, 0.0005, 0.01, 0.2, -0.02, 0.004]),
        ("equidistant", [0.02, -0.01, 0.003, -0.001]),
        ("equidistant", [0.0] * 4),
        ("radtan", [0.1, -0.05, 0.001, 0.0005]),
        ("thin_prism", [0.1, -0.05, 0.001, 0.0005, 0.01, 0.2, -0.02, 0.004, 0.01, -0.02, 0.005, 0.003]),
        ("rational_polynomial", [0.1, -0.05, 0, 0, 0.01, 0.2, -0.02, 0.004, 0.01, -0.02, 0.005, 0.003, 0.06, -0.04]),
        ("plumb_bob", [0.0] * 12 + [0.1, 0.05]),
    ],
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_projection_is_opencvs(rng, model, distortion, kind):
    seen = camera(model=model, distortion=distortion)
    x, y = rng.uniform(-0.6, 0.6, (2, 50)).astype(kind)
    x[0] = y[0] = 0
    points, zero = np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float64)[:, None], np.zeros(3)
    project = cv2.fisheye.projectPoints if seen.distortion.fisheye else cv2.projectPoints
    expected, _ = project(points, zero, zero, seen.matrix, seen.distortion.coefficients)
    ours = seen.project(x, y, seen.size)
    assert ours[0].dtype == kind
    np.testing.assert_allclose(
        np.stack(ours, axis=-1), expected.reshape(-1, 2), atol=1e-4 if kind is np.float32 else 1e-9
    )


def test_without_distortion_a_plane_is_a_homography(rng):
    infrared, visible = camera(), camera((80, 60), 70.0)
    normal = np.array([0, 0, 1.0])
    plane = infrared.matrix @ (TURN + np.outer(MOVE, normal) / 4.0) @ np.linalg.inv(visible.matrix)
    image = cv2.GaussianBlur(rng.integers(0, 256, (48, 64), np.uint8), (0, 0), 2)
    ours, ours_in = Pinhole(infrared, visible, TURN, MOVE, 4.0).apply(image, (60, 80))
    theirs, theirs_in = Homography(np.linalg.inv(plane)).apply(image, (60, 80))
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    np.testing.assert_array_equal(ours_in.outside, theirs_in.outside)


def test_depth_image_takes_the_place_of_the_distance():
    infrared, visible = camera(), camera((80, 60), 70.0)
    depth = np.full((60, 80), 2.0, np.float32)
    depth[:, 40:] = 8.0
    depth[0, :4] = 0.0, np.nan, np.inf, -1.0
    registration = Pinhole(infrared, visible, TURN, MOVE, 5.0)
    registration.set_depth(depth)
    x, _ = registration.infrared_position((64, 48), (80, 60))
    for distance, part in ((2.0, np.s_[1:, :40]), (8.0, np.s_[:, 40:]), (5.0, np.s_[0, :4])):
        alone, _ = Pinhole(infrared, visible, TURN, MOVE, distance).infrared_position((64, 48), (80, 60))
        np.testing.assert_allclose(x[part], alone[part])


def test_tables_are_made_anew_for_new_depth(rng):
    registration = Pinhole(camera(), camera((80, 60), 70.0), TURN, MOVE, 5.0)
    image = rng.integers(0, 256, (48, 64), np.uint8)
    before = registration.apply(image, (60, 80))[0]
    registration.set_depth(np.full((60, 80), 0.5, np.float32))
    assert not np.array_equal(registration.apply(image, (60, 80))[0], before)
    registration.set_depth(None)
    np.testing.assert_array_equal(registration.apply(image, (60, 80))[0], before)


def test_other_resolutions_of_the_same_view():
    infrared, visible = camera(), camera((80, 60), 70.0)
    registration = Pinhole(infrared, visible, TURN, MOVE, 3.0)
    x, y = registration.infrared_position((64, 48), (80, 60))
    double_x, double_y = registration.infrared_position((128, 96), (160, 120))
    inner = np.s_[5:-5, 5:-5]
    for table, double in ((x, double_x), (y, double_y)):
        middle = (double[::2, ::2] + double[1::2, ::2] + double[::2, 1::2] + double[1::2, 1::2]) / 4
        np.testing.assert_allclose(
            middle[inner], (2 * table + 0.5)[inner], atol=1e-3
        )  # straight between pixels, nearly


def test_strong_distortion_shows_nothing_twice():
    infrared = camera(distortion=[-0.4, 0.1, 0, 0, 0])
    wide = camera((80, 60), 20.0)
    _, stand_in = Pinhole(infrared, wide, np.eye(3), np.zeros(3), 5.0).apply(np.full((48, 64), 9, np.uint8), (60, 80))
    parts, _ = cv2.connectedComponents((stand_in.outside == 0).astype(np.uint8))
    assert parts == 2  # one field of view, and the rest


def written(size, focal):
    return {
        "image_width": size[0],
        "image_height": size[1],
        "camera_name": "boson",
        "camera_matrix": {"rows": 3, "cols": 3, "data": [focal, 0, 31, 0, focal * 1.02, 25, 0, 0, 1]},
        "distortion_model": "plumb_bob",
        "distortion_coefficients": {"rows": 1, "cols": 5, "data": PLUMB},
    }


def test_from_a_file(tmp_path):
    (tmp_path / "boson.yaml").write_text(yaml.safe_dump(written((64, 48), 60.0)))
    content = {
        "model": "pinhole",
        "infrared": "boson.yaml",
        "visible": {**written((80, 60), 70.0)},
        "rotation": np.eye(3).ravel().tolist(),
        "translation": [0.1, 0, 0],
        "distance": 6,
    }
    (tmp_path / "rig.yaml").write_text(yaml.safe_dump(content))
    loaded = load_registration(tmp_path / "rig.yaml")
    assert isinstance(loaded, Pinhole)
    assert loaded.infrared.size == (64, 48)
    np.testing.assert_allclose(loaded.visible.distortion.coefficients, PLUMB)
    assert (loaded.translation.tolist(), loaded.distance) == ([0.1, 0, 0], 6.0)


def test_from_camera_info():
    message = SimpleNamespace(
        width=64, height=48, distortion_model="plumb_bob", k=[60, 0, 31, 0, 61, 25, 0, 0, 1], d=PLUMB
    )
    assert Camera.from_camera_info(message).matrix[1, 2] == 25
    empty = SimpleNamespace(width=64, height=48, distortion_model="plumb_bob", k=[0] * 9, d=[0.0] * 5)
    with pytest.raises(ConfigError, match="not calibrated"):
        Camera.from_camera_info(empty)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rotation": [1] * 9}, "rotation"),
        ({"distance": 0}, "distance"),
        ({"translation": [1, 2]}, "translation"),
        ({"infrared": "missing.yaml"}, "missing.yaml"),
        ({"infrared": 5}, "camera_calibration"),
        ({"visible": {}}, "image_width"),
        ({"visible": {**written((80, 60), 70.0), "distortion_model": "mystery"}}, "mystery"),
        (
            {"visible": {**written((80, 60), 70.0), "distortion_coefficients": {"data": [1]}}},
            "14 coefficients",
        ),
    ],
)
def test_broken_files_are_named(tmp_path, change, said):
    content = {
        "model": "pinhole",
        "infrared": written((64, 48), 60.0),
        "visible": written((80, 60), 70.0),
        "rotation": np.eye(3).ravel().tolist(),
        "translation": [0.1, 0, 0],
        "distance": 6,
    }
    (tmp_path / "rig.yaml").write_text(yaml.safe_dump({**content, **change}))
    with pytest.raises(ConfigError, match=said):
        load_registration(tmp_path / "rig.yaml")
