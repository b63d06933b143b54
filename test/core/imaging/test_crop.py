from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.errors import ConfigError, InputError
from ivif_core.imaging.crop import Crop
from ivif_core.registration.pinhole import Camera

SIDES = st.lists(st.integers(0, 12), min_size=4, max_size=4)


@given(SIDES, st.sampled_from([(), (3,)]))
def test_what_is_left(sides, channels):
    image = np.arange(20 * 30 * (3 if channels else 1)).reshape(20, 30, *channels)
    crop = Crop.of("thermal_crop", sides)
    top, bottom, left, right = sides
    expected = [row[left : 30 - right] for row in image.tolist()[top : 20 - bottom]]
    if not expected or not expected[0]:
        with pytest.raises(InputError, match="leaves nothing"):
            crop.apply(image, "thermal")
    else:
        assert crop.apply(image, "thermal").tolist() == expected


@pytest.mark.parametrize("values", [[1, 2, 3], [0, 0, 0, -1], [0, 0, 0, 0.5], [np.nan] * 4, [np.inf] * 4, [1e300] * 4])
def test_what_is_no_crop(values):
    with pytest.raises(ConfigError, match="rgb_crop: expected four whole numbers"):
        Crop.of("rgb_crop", values)


def info(**changes) -> SimpleNamespace:
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    fields = {"width": 160, "height": 122, "distortion_model": "plumb_bob", "d": [], "binning_x": 0, "binning_y": 0}
    matrix = [150.0, 0.0, 79.5, 0.0, 151.0, 60.5, 0.0, 0.0, 1.0]
    return SimpleNamespace(**{**fields, "k": matrix, "roi": roi, **changes})


def test_a_camera_info_of_the_cropped_image_sees_the_same_rays():
    whole, crop = info(), Crop(2, 0, 5, 7)
    rays = Camera.from_camera_info(whole).rays((160, 122))
    np.testing.assert_allclose(Camera.from_camera_info(crop.camera_info(whole)).rays((148, 120)), rays[2:, 5:-7])
    assert whole.roi.y_offset == 0  # the original is left alone
    assert Crop().camera_info(whole) is whole


def test_a_region_of_interest_and_binning_are_kept_in_mind():
    given_roi = SimpleNamespace(x_offset=20, y_offset=10, width=80, height=60)
    cropped = Crop(1, 2, 3, 4).camera_info(info(roi=given_roi, binning_x=2, binning_y=2)).roi
    assert (cropped.x_offset, cropped.y_offset, cropped.width, cropped.height) == (26, 12, 66, 54)
