"""Luminance and recomposition against formulas in floating point."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ivif_core.errors import InputError
from ivif_core.imaging import colour


def random_case(seed, height, width):
    rng = np.random.default_rng(seed)
    visible = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    visible[: height // 3] //= 8  # a dark part, where chrominance is lifted most
    return rng.integers(0, 256, (height, width), dtype=np.uint8), visible


def recompose_slowly(fused_y, visible, visible_y):
    """The docstring's formula, pixel by pixel."""
    out = np.zeros(visible.shape)
    for (row, column), y in np.ndenumerate(visible_y):
        y, fused = float(y), float(fused_y[row, column])
        gain = min(max(fused - y, 0.0), y) / min(y + 16, 255)
        for channel in range(3):
            value = float(visible[row, column, channel])
            out[row, column, channel] = min(max(value + fused - y + (value - y) * gain, 0), 255)
    return out


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 40))
@example(0, 4, 1)
@example(0, 68, 1)
@settings(max_examples=25, deadline=None)
def test_recompose_is_its_formula(seed, height, width):
    fused_y, visible = random_case(seed, height, width)
    visible_y = colour.luminance(visible)
    expected = recompose_slowly(fused_y, visible, visible_y)
    out = colour.recompose(fused_y, visible)
    np.testing.assert_allclose(out, expected, atol=1.6)
    np.testing.assert_array_equal(colour.recompose(fused_y, visible, visible_y), out)


def test_unchanged_luminance_gives_back_the_image():
    _, visible = random_case(1, 130, 50)
    np.testing.assert_array_equal(colour.recompose(colour.luminance(visible), visible), visible)


def test_grey_stays_grey():
    fused_y, visible = random_case(2, 100, 60)
    grey = cv2.cvtColor(colour.luminance(visible), cv2.COLOR_GRAY2BGR)
    out = colour.recompose(fused_y, grey)
    np.testing.assert_array_equal(out, np.repeat(fused_y[..., None], 3, axis=2))


def test_lifted_street_keeps_its_colour_and_darkness_its_noise():
    lifted = colour.recompose(np.full((40, 40), 120, np.uint8), np.full((40, 40, 3), (30, 50, 90), np.uint8))
    assert int(lifted[0, 0, 2]) - int(lifted[0, 0, 0]) > 1.6 * (90 - 30)
    noise = np.random.default_rng(0).integers(0, 7, (64, 64, 3), dtype=np.uint8)
    out = colour.recompose(np.full((64, 64), 90, np.uint8), noise).astype(float)
    assert (out[..., 2] - out[..., 0]).std() < 1.3 * (noise[..., 2].astype(float) - noise[..., 0]).std()


@pytest.mark.parametrize("fused", [np.zeros((4, 5), np.uint8), np.zeros((4, 4), np.float32)])
def test_wrong_fused_luminance_is_refused(fused):
    with pytest.raises(InputError, match="fused_y"):
        colour.recompose(fused, np.zeros((4, 4, 3), np.uint8))


def test_luminance_is_bt601():
    _, visible = random_case(3, 20, 20)
    expected = visible @ np.array([0.114, 0.587, 0.299])
    np.testing.assert_allclose(colour.luminance(visible), expected, atol=0.51)
    np.testing.assert_array_equal(colour.luminance(visible[..., 0]), visible[..., 0])
    with pytest.raises(InputError, match="uint8"):
        colour.luminance(visible.astype(np.float32))
