from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.errors import ConfigError
from ivif_core.thermal.clahe import LocalContrast


def scene(rng, shape):
    smooth = cv2.GaussianBlur(rng.random(shape), (0, 0), 9)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 200 + 20
    return np.clip(smooth + rng.normal(0, 3, shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("clip_limit", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("shape", [(512, 640), (509, 645)])
def test_one_frame_is_opencvs_clahe(rng, shape, clip_limit):
    intensity = scene(rng, shape)
    expected = cv2.createCLAHE(clip_limit, (8, 8)).apply(intensity)
    difference = np.abs(LocalContrast(clip_limit, smoothing=0)(intensity).astype(int) - expected)
    # OpenCV cuts limits to whole numbers and hands out the remainder level by level; padding mirrors another way.
    assert np.median(difference) <= 2
    assert difference[: shape[0] * 3 // 4, : shape[1] * 3 // 4].max() <= 8


def test_curves_move_slowly(rng):
    contrast, intensity = LocalContrast(2.0), scene(rng, (96, 128))
    before = contrast(intensity)
    hot = intensity.copy()
    hot[20:60, 30:80] = 255
    background = np.ones(intensity.shape, bool)
    background[20:60, 30:80] = False
    for _ in range(20):
        after = contrast(hot)
        assert np.abs(after[background].astype(int) - before[background]).max() <= 1
        before = after
    assert np.abs(before[background].astype(int) - contrast(hot)[background]).max() <= 1


def test_curves_arrive(rng):
    contrast = LocalContrast(2.0)
    contrast(scene(rng, (96, 128)))
    other = scene(rng, (96, 128))
    for _ in range(1500):
        last = contrast(other)
    assert np.abs(last.astype(int) - LocalContrast(2.0)(other)).max() <= 1


def test_another_size_starts_anew(rng):
    contrast = LocalContrast()
    contrast(scene(rng, (96, 128)))
    other = scene(rng, (64, 80))
    np.testing.assert_array_equal(contrast(other), LocalContrast()(other))
    assert contrast(other[:3, :3]).shape == (3, 3)


def test_bad_values_are_named():
    with pytest.raises(ConfigError, match="clip limit"):
        LocalContrast(0)
