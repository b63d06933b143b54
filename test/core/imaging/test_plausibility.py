from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.imaging.plausibility import is_coloured, low_aligned_bits


@pytest.fixture
def grey(rng):
    return cv2.GaussianBlur(rng.integers(0, 256, (96, 128), np.uint8), (0, 0), 2)


def test_false_colour_is_coloured_and_grey_in_three_channels_is_not(grey):
    for palette in (cv2.COLORMAP_JET, cv2.COLORMAP_INFERNO, cv2.COLORMAP_HOT, cv2.COLORMAP_TURBO):
        stretched = cv2.normalize(grey, None, 0, 255, cv2.NORM_MINMAX)
        assert is_coloured(cv2.applyColorMap(stretched, palette))
    three = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    assert not is_coloured(three) and not is_coloured(grey) and not is_coloured(cv2.merge([three, grey]))
    jpeg = cv2.imdecode(cv2.imencode(".jpg", three)[1], cv2.IMREAD_COLOR)
    assert not is_coloured(jpeg)
    three[:, :6] = (0, 0, 255)  # a scale at the side
    assert not is_coloured(three)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_low_aligned_bits(rng, bits):
    sent = rng.integers(0, 2**bits, (480, 640), np.uint16)
    assert low_aligned_bits(sent) == bits and low_aligned_bits(sent << (16 - bits)) == 0


def test_dark_images_that_had_8_bits_are_not_taken_for_low_ones(rng):
    dark = rng.integers(0, 40, (480, 640), np.uint16)
    assert not any(low_aligned_bits(dark * step) for step in (0, 1, 256, 257))


def test_real_colour_images_are_coloured(shared):
    for path in sorted((shared / "data" / "msrs_dev" / "visible").glob("*D.png"))[:10]:
        assert is_coloured(cv2.imread(str(path))), path.name
