from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.fusion import Fuser
from ivif_core.imaging.colour import luminance
from ivif_core.imaging.palette import COLOURS, paint
from ivif_core.registration.base import Homography

HALF = np.diag([0.5, 0.5, 1.0])
"""The thermal camera sees the upper left quarter."""


@pytest.fixture
def images(rng):
    smooth = cv2.resize(rng.integers(0, 256, (8, 12, 3), np.uint8), (96, 64))
    return smooth, cv2.resize(rng.integers(0, 256, (6, 8), np.uint8), (96, 64))


def by_hand(y: int, heat: int) -> np.ndarray:
    """One pixel of ironbow: inferno's chrominance (BT.601, by its defining formula) beside the fused brightness."""
    blue, green, red = cv2.applyColorMap(np.array([[heat]], np.uint8), cv2.COLORMAP_INFERNO)[0, 0].astype(float)
    own = 0.299 * red + 0.587 * green + 0.114 * blue
    more_red, more_blue = red - own, blue - own
    return np.clip([y + more_blue, y - (0.299 * more_red + 0.114 * more_blue) / 0.587, y + more_red], 0, 255)


def test_ironbow_has_the_hue_of_heat_and_the_brightness_of_the_fused_image(images):
    fused, heat = images
    painted, y = paint(fused, heat, None, "ironbow"), luminance(fused)
    for row, column in [(0, 0), (10, 30), (40, 80), (63, 95)]:
        expected = by_hand(int(y[row, column]), int(heat[row, column]))
        np.testing.assert_allclose(painted[row, column], expected, atol=2)


def test_overlay_is_the_fused_image_where_it_is_cold_and_ironbow_where_it_is_hot(images):
    fused, heat = images
    painted = paint(fused, heat, None, "overlay", warm=0.5)
    cold, hot = heat <= 127, heat >= 128 + 32
    assert cold.any() and hot.any()
    np.testing.assert_array_equal(painted[cold], fused[cold])
    np.testing.assert_array_equal(painted[hot], paint(fused, heat, None, "ironbow")[hot])
    np.testing.assert_array_equal(paint(fused, heat, None, "overlay", warm=1.0), fused)


@pytest.mark.parametrize("colour", ["ironbow", "overlay"])
def test_what_is_not_seen_in_thermal_has_no_colour_of_heat(images, colour):
    fused, heat = np.repeat(luminance(images[0])[:, :, None], 3, axis=2), np.full((64, 96), 255, np.uint8)
    blind = np.zeros((64, 96), np.uint8)
    blind[:, 50:] = 255
    painted = paint(fused, heat, blind, colour)
    np.testing.assert_array_equal(painted[:, 50:], fused[:, 50:])
    assert (painted[:, :50] != fused[:, :50]).any(axis=2).mean() > 0.9


def test_fused_is_the_image_itself_and_white_hot_its_luminance(images):
    fused, heat = images
    assert paint(fused, heat, None, "fused") is fused
    np.testing.assert_array_equal(paint(fused, heat, None, "white_hot"), luminance(fused))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("is_grey", [False, True])
def test_the_fuser_paints_what_it_fuses(images, colour, is_grey):
    visible, infrared = images
    visible = luminance(visible) if is_grey else visible
    with Fuser(registration=Homography(HALF), colour=colour, warm=0.3) as fuser:
        pair = fuser.prepare(infrared, visible)
        plain = fuser.fuse_prepared(pair, grey=colour in ("ironbow", "white_hot"))
        made = fuser.fuse(infrared, visible)
        fuser.colour = "fused"
        own = fuser.fuse(infrared, visible)
    assert made.shape == {"fused": visible.shape, "white_hot": (64, 96)}.get(colour, (64, 96, 3))
    if colour == "fused":
        np.testing.assert_array_equal(made, own)
    elif colour == "overlay":
        np.testing.assert_array_equal(made, paint(own, pair.registered, pair.outside.touched, colour, 0.3))
    else:
        np.testing.assert_array_equal(made, paint(plain, pair.registered, pair.outside.touched, colour))
    if made.ndim == 3 and colour != "fused":
        right = made[40:, 60:]  # not seen in thermal
        assert colour == "overlay" or (np.ptp(right.astype(int), axis=2) <= 1).all()
