from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core import backends
from ivif_core.backends import available
from ivif_core.errors import ConfigError, InputError
from ivif_core.fusion import Fuser
from ivif_core.imaging import colour
from ivif_core.registration.base import Homography
from ivif_core.settings import Settings
from ivif_core.thermal.scaling import FixedScaling


@pytest.fixture(scope="module")
def fuser():
    with Fuser() as fuser:
        yield fuser


def smooth(seed: int, *shape: int) -> np.ndarray:
    random = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(random, (0, 0), 2)


@given(st.integers(32, 90), st.integers(32, 90), st.integers(1, 100), st.integers(1, 100), st.booleans())
@settings(max_examples=30)
def test_any_size_gives_the_visible_shape(fuser, height, width, infrared_height, infrared_width, grey):
    visible = smooth(0, height, width) if grey else smooth(0, height, width, 3)
    fused = fuser.fuse(smooth(1, infrared_height, infrared_width), visible)
    assert fused.shape == visible.shape and fused.dtype == np.uint8


def test_luminance_is_fused_and_chrominance_is_the_visibles(fuser):
    infrared, visible = smooth(1, 96, 128), smooth(0, 96, 128, 3)
    grey = fuser.fuse(infrared, visible, grey=True)
    registered = fuser.prepare(infrared, visible).registered
    np.testing.assert_array_equal(grey, fuser.fuse_luminance(registered, colour.luminance(visible)))
    np.testing.assert_array_equal(fuser.fuse(infrared, visible), colour.recompose(grey, visible))


def test_a_result_survives_the_next_call(fuser):
    visible = smooth(0, 64, 64)
    first = fuser.fuse(smooth(1, 64, 64), visible)
    kept = first.copy()
    fuser.fuse(smooth(2, 64, 64), 255 - visible)
    np.testing.assert_array_equal(first, kept)


def test_counts_floats_and_bytes_of_one_scene_fuse_alike(fuser):
    intensity, visible = smooth(1, 64, 64), smooth(0, 64, 64, 3)
    expected = fuser.fuse(intensity, visible)
    np.testing.assert_array_equal(fuser.fuse(cv2.merge([intensity] * 3), visible), expected)
    with Fuser(scaling=FixedScaling(1000, 1000 + 255 * 16)) as scaled:
        for kind in (np.uint16, np.int32, np.float32, np.float64):
            counts = intensity.astype(kind) * 16 + 1000
            np.testing.assert_array_equal(scaled.fuse(counts, visible), expected)


def test_kelvin_celsius_and_dead_pixels_go_through_the_scaling(fuser):
    visible, celsius = smooth(0, 64, 64, 3), smooth(1, 64, 64) / np.float32(8) - 5
    expected = fuser.fuse(celsius, visible)
    np.testing.assert_allclose(fuser.fuse(celsius + np.float32(273.15), visible), expected, atol=2)
    celsius[3, 4] = np.nan
    assert fuser.prepare(celsius, visible).intensity.std() > 10


def test_where_thermal_does_not_see_the_visible_is_left(fuser):
    visible = smooth(0, 128, 128, 3)
    shift = np.array([[1, 0, 64], [0, 1, 0], [0, 0, 1]], float)
    with Fuser(registration=Homography(shift)) as shifted:
        y = colour.luminance(visible)
        registered = shifted.prepare(smooth(1, 128, 128), visible).registered
    np.testing.assert_array_equal(registered[:, :63], y[:, :63])
    np.testing.assert_array_equal(registered[:, 71:], smooth(1, 128, 128)[:, 7:64])  # past the soft border


@pytest.mark.parametrize(
    ("infrared", "visible", "told"),
    [
        (smooth(0, 64, 64, 4), smooth(0, 64, 64), "infrared: expected H×W"),
        (smooth(0, 64, 64) > 3, smooth(0, 64, 64), "infrared: expected an array of numbers, got bool"),
        (smooth(0, 64, 64), smooth(0, 64, 64, 4), "visible: expected H×W grey or H×W×3 BGR"),
        (smooth(0, 64, 64), smooth(0, 64, 64) * 1.0, "visible: expected a uint8"),
        (smooth(0, 64, 64), smooth(0, 20, 64), "at least 32×32"),
        (np.zeros((0, 5), np.uint8), smooth(0, 64, 64), "infrared"),
        (None, smooth(0, 64, 64), "infrared"),
        (smooth(0, 64, 64), None, "visible"),
    ],
)
def test_bad_input_says_what_came_and_what_was_expected(fuser, infrared, visible, told):
    with pytest.raises(InputError, match=told):
        fuser.fuse(infrared, visible)


@pytest.mark.parametrize("backend", [name for name in ("onnxruntime", "openvino") if not available()[name]])
def test_workers_share_the_threads_and_fuse_as_the_fuser_does(backend):
    infrared, visible = smooth(1, 96, 128), smooth(0, 96, 128, 3)
    shifted = Homography(np.array([1, 0, 8, 0, 1, 0, 0, 0, 1.0]))
    with Fuser(None, backend, vividness=0.8, registration=shifted, threads=3) as fuser:
        with fuser.workers() as workers:
            assert [worker.backend.threads for worker in workers] == [1, 1, 1]
            assert all(worker.scaling is fuser.scaling for worker in workers)
            for worker in workers:
                np.testing.assert_array_equal(worker.fuse(infrared, visible), fuser.fuse(infrared, visible))
        for threads, of_each in ((1, [1]), (9, [2, 2, 2, 2])):
            fuser.backend.threads = threads
            with fuser.workers() as workers:
                assert [worker.backend.threads for worker in workers] == of_each
        fuser.backend.name = "torch"
        with fuser.workers() as workers:
            assert workers == [fuser]


@pytest.mark.parametrize("backend", backends.ON_CPU)
def test_the_aim_chooses_between_two_calls(aimed_model, rng, backend) -> None:
    if reason := backends.backend_class(backend).why_unavailable():
        pytest.skip(reason)
    infrared, visible = rng.integers(0, 256, (2, 40, 50), np.uint8)
    with Fuser(aimed_model, backend, aim="rgb", threads=1) as fuser:
        assert fuser.aims == ("thermal", "rgb")
        np.testing.assert_array_equal(fuser.fuse(infrared, visible), visible)
        for fuser.aim in ("thermal", ""):
            np.testing.assert_array_equal(fuser.fuse(infrared, visible), infrared)
        fuser.aim = "rgb"
        with fuser.workers() as workers:
            np.testing.assert_array_equal(workers[-1].fuse(infrared, visible), visible)
        fuser.aim = "people"
        with pytest.raises(ConfigError, match="aim: the model has no 'people'; choose from thermal, rgb"):
            fuser.fuse(infrared, visible)


def test_an_aim_that_the_model_has_not_is_refused_at_once(aimed_model) -> None:
    with pytest.raises(ConfigError, match="choose from thermal, rgb"):
        Fuser(aimed_model, "onnxruntime", aim="people")
    with pytest.raises(ConfigError, match="it has one only, without a name"):
        Fuser(backend="onnxruntime", aim="people")
    with pytest.raises(ConfigError, match="no 'people'"):
        Settings.from_values({"aim": "people"}).fuser()
