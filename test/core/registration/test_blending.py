from __future__ import annotations

import math

import numpy as np
import pytest

from ivif_core.registration.blending import StandIn


def slow(outside, registered, visible):
    """Every pixel by the nearest one outside, found by looking at all of them."""
    ramp = max(2.0, outside.shape[1] / 20)
    filled = visible.astype(float)
    rows, columns = np.nonzero(outside)
    for row, column in zip(*np.nonzero(~outside), strict=True):
        place = min(1.0, math.sqrt(((rows - row) ** 2 + (columns - column) ** 2).min()) / ramp)
        share = 3 * place**2 - 2 * place**3
        filled[row, column] = share * registered[row, column] + (1 - share) * visible[row, column]
    return filled


def wedge(shape, turn):
    """Outside of a turned rectangle."""
    down, across = np.mgrid[: shape[0], : shape[1]] - (np.array(shape) / 2).reshape(2, 1, 1)
    x, y = across * math.cos(turn) + down * math.sin(turn), down * math.cos(turn) - across * math.sin(turn)
    return (np.abs(x) > 0.35 * shape[1]) | (np.abs(y) > 0.3 * shape[0])


@pytest.mark.parametrize("turn", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(60, 90), (97, 201)])
def test_thermal_gives_way_over_the_ramp(rng, shape, turn):
    outside = wedge(shape, turn)
    registered, visible = rng.integers(0, 256, (2, *shape), np.uint8)
    registered[outside] = 0
    expected = slow(outside, registered, visible)
    stand_in = StandIn(outside)
    filled = stand_in.fill(registered.copy(), visible)
    np.testing.assert_array_equal(filled[outside], visible[outside])
    np.testing.assert_array_equal(stand_in.outside, outside * 255)
    untouched = expected == registered
    np.testing.assert_array_equal(filled[untouched], registered[untouched])
    assert np.abs(filled - expected).max() <= 255 * 0.06  # the distances are good to some hundredths


def test_no_step_of_level_is_left_at_the_border():
    outside = np.zeros((48, 640), bool)
    outside[:, :200] = True
    dark, bright = np.zeros((48, 640), np.uint8), np.full((48, 640), 240, np.uint8)
    steps = np.diff(StandIn(outside).fill(dark, bright)[20].astype(int))
    assert steps.sum() == -240
    assert (steps <= 0).all() and steps.min() >= -13  # 1.5 / 32 px of the difference at the steepest


def test_the_edge_of_the_visible_image_is_no_border(rng):
    outside = np.zeros((64, 640), bool)
    outside[:10] = True
    registered, visible = rng.integers(0, 256, (2, 64, 640), np.uint8)
    np.testing.assert_array_equal(StandIn(outside).fill(registered.copy(), visible)[42:], registered[42:])


def test_nothing_seen_is_the_visible_image(rng):
    visible = rng.integers(0, 256, (40, 60), np.uint8)
    filled = StandIn(np.ones((40, 60), bool)).fill(np.zeros((40, 60), np.uint8), visible)
    np.testing.assert_array_equal(filled, visible)
