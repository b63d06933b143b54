from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.errors import ConfigError
from ivif_core.registration.base import Homography, Resize, Unregistered, onto_visible
from ivif_core.registration.file import load_registration, make_registration, save_homography


def sampled(infrared: np.ndarray, matrix: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Slow oracle: bilinear value at the inverse image of each visible pixel; NaN outside. Also the position."""
    height, width = infrared.shape
    values, inverse = np.full(shape, np.nan), np.linalg.inv(matrix)
    for row in range(shape[0]):
        for column in range(shape[1]):
            x, y, w = inverse @ [column, row, 1.0]
            x, y = x / w, y / w
            if -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5:
                x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
                left, top = min(int(x), width - 2), min(int(y), height - 2)
                a, b = x - left, y - top
                patch = infrared[top : top + 2, left : left + 2].astype(float)
                values[row, column] = (1 - b) * ((1 - a) * patch[0, 0] + a * patch[0, 1]) + b * (
                    (1 - a) * patch[1, 0] + a * patch[1, 1]
                )
    return values


MATRICES = st.tuples(
    st.floats(-0.3, 0.3), st.floats(0.5, 3), st.floats(-20, 20), st.floats(-20, 20), st.floats(-2e-3, 2e-3)
)


@settings(max_examples=25, deadline=None)
@given(parameters=MATRICES, seed=st.integers(0, 99))
def test_homography_is_bilinear_sampling(parameters, seed):
    angle, scale, dx, dy, tilt = parameters
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[c, -s, dx], [s, c, dy], [tilt, -tilt / 2, 1]])
    infrared = cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (32, 40), np.uint8), (0, 0), 1)
    registered, stand_in = Homography(matrix).apply(infrared, (36, 44))
    expected = sampled(infrared, matrix, (36, 44))
    seen = np.ones(expected.shape, bool) if stand_in is None else stand_in.outside == 0
    assert np.count_nonzero(seen != np.isfinite(expected)) <= 3  # positions a rounding away from the edge
    both = seen & np.isfinite(expected)
    slope = 255 / 32  # fixed-point tables hold 1/32 pixel
    assert np.abs(registered[both] - expected[both]).max(initial=0) <= slope
    assert not registered[~seen].any()


def test_homography_behind_the_camera_is_outside():
    # Visible (x, y) lies at (x, y) / (1 - 0.04 x): past x = 25 that is behind the camera, and mirrored.
    inverse = np.array([[1, 0, 0], [0, 1, 0], [-0.04, 0, 1.0]])
    _, stand_in = Homography(np.linalg.inv(inverse)).apply(np.full((2000, 2000), 9, np.uint8), (32, 48))
    assert stand_in is not None
    assert stand_in.outside[:, 25:].all()
    assert not stand_in.outside[:, :24].any()
    mirrored = Homography(-np.linalg.inv(inverse)).apply(np.full((2000, 2000), 9, np.uint8), (32, 48))[1]
    np.testing.assert_array_equal(mirrored.outside, stand_in.outside)


def test_tables_follow_the_sizes(rng):
    registration = Homography(np.eye(3))
    for shape in ((20, 30), (40, 30), (20, 30)):
        infrared = rng.integers(0, 256, shape, np.uint8)
        registered, stand_in = registration.apply(infrared, (20, 30))
        np.testing.assert_array_equal(registered, infrared[:20])
        assert stand_in is None


def test_sizes_say_what_the_matrix_is_for(rng):
    infrared = cv2.GaussianBlur(rng.integers(0, 256, (64, 80), np.uint8), (0, 0), 4)
    matrix = np.array([[2.0, 0.1, 5], [-0.1, 2.0, 3], [0, 0, 1]])
    registration = Homography(matrix, infrared_size=(80, 64), visible_size=(160, 128))
    full, _ = registration.apply(infrared, (128, 160))
    half, _ = registration.apply(infrared, (64, 80))
    expected = cv2.resize(full, (80, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(half[8:-8, 8:-8].astype(int) - expected[8:-8, 8:-8]).max() <= 3
    doubled, _ = registration.apply(cv2.resize(infrared, (160, 128)), (128, 160))
    assert np.abs(doubled[8:-8, 8:-8].astype(int) - full[8:-8, 8:-8]).max() <= 5


def test_plain_resize_as_a_homography_sees_everything(rng):
    infrared = cv2.GaussianBlur(rng.integers(0, 256, (30, 40), np.uint8), (0, 0), 2)
    matrix = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    registered, stand_in = Homography(matrix).apply(infrared, (60, 80))
    resized, nowhere = Resize().apply(infrared, (60, 80))
    assert stand_in is None
    assert nowhere is None
    assert np.abs(registered.astype(int) - resized).max() <= 2


def test_outside_the_view_the_visible_stands_in(rng):
    visible = rng.integers(1, 256, (20, 30), np.uint8)
    infrared = np.full((20, 30), 200, np.uint8)
    shifted = Homography(np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1.0]]))
    combined = onto_visible(shifted, infrared, visible)
    np.testing.assert_array_equal(combined[:, :10], visible[:, :10])
    assert (combined[:, 12:] == 200).all()


def test_unregistered_wants_one_size(rng):
    infrared = rng.integers(0, 256, (20, 30), np.uint8)
    assert Unregistered().apply(infrared, (20, 30))[0] is infrared
    with pytest.raises(ConfigError, match="30×20"):
        Unregistered().apply(infrared, (40, 60))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "matrix", [[1] * 9, [1, 0, 0], [np.nan] * 9, [0] * 9, [1, 0, 0, 0, 1, 0, -1e308, 0, 1], [1e308] * 8 + [-1e308]]
)
def test_what_is_no_homography_is_refused(matrix):
    with pytest.raises(ConfigError, match="nine"):
        make_registration("homography", homography=matrix)


def test_file_round_trip(tmp_path, rng):
    matrix = np.array([[1.1, 0.02, -7.25], [0.01, 0.93, 12], [1e-5, -2e-5, 1]])
    path = tmp_path / "registration.yaml"
    save_homography(path, Homography(matrix, infrared_size=(640, 512), visible_size=(1280, 720)), {"made": "by hand"})
    loaded = make_registration("file", file=path)
    assert isinstance(loaded, Homography)
    np.testing.assert_allclose(loaded.matrix, matrix, rtol=1e-9)
    assert (loaded.infrared_size, loaded.visible_size) == ((640, 512), (1280, 720))
    assert [entry.name for entry in tmp_path.iterdir()] == ["registration.yaml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: homography\nhomography: [1, 0, 0, 0, 1, 0, 0, 0, x]", "expected 9 finite numbers"),
        ("model: homography", "expected 9 finite numbers"),
        ("model: homography\nhomography: [1,0,0, 0,1,0, 0,0,1]\nvisible_size: [640]", "visible_size"),
        ("model: homography\nhomography: [1,0,0, 0,1,0, 0,0,1]\nvisible_size: [640, 0.5]", "visible_size"),
        ("model: spline", "'spline'"),
        ("- 1", "mapping"),
        ("a: [", "cannot be read"),
    ],
)
def test_broken_files_are_named(tmp_path, text, said):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_registration(path)
    assert str(path) in str(caught.value)


def test_bad_modes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="none, resize, homography, file, camera_info"):
        make_registration("auto")
    with pytest.raises(ConfigError, match="no path"):
        make_registration("file")
    with pytest.raises(ConfigError, match="cannot be read"):
        make_registration("file", file=tmp_path / "missing.yaml")
