from __future__ import annotations

import math
import statistics

import cv2
import numpy as np
import pytest

from ivif_core.evaluation import metrics

CLOSE = {"rel": 1e-6, "abs": 1e-9}


def around(image, y, x, reach, border):
    """Pixels of the window around one; `border` is NumPy's padding mode."""
    padded = np.pad(image.astype(float), reach, mode=border)
    return padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1]


def test_noise_gain_by_slow_loops(rng):
    infrared = (100 + rng.normal(0, 1.5, (28, 24))).round().astype(np.uint8)
    visible = (50 + rng.normal(0, 3.0, (28, 24))).round().astype(np.uint8)
    visible[:, 18:] = 200  # an edge: not flat
    fused = (90 + rng.normal(0, 5.0, (28, 24))).round().astype(np.uint8)
    ratios = []
    for y in range(28):
        for x in range(24):
            f, i, v = (around(image, y, x, 7, "reflect").std() for image in (fused, infrared, visible))
            if i < 4 and v < 4:
                ratios.append(f / max(i, v, 1))
    assert 0 < len(ratios) < 28 * 24
    assert metrics.noise_gain(fused, infrared, visible) == pytest.approx(statistics.median(ratios), **CLOSE)


def test_noise_gain_is_undefined_without_flat_parts(rng):
    noise = rng.integers(0, 256, (40, 40)).astype(np.uint8)
    assert math.isnan(metrics.noise_gain(noise, noise, noise))


def test_overshoot_by_slow_loops(rng):
    infrared = cv2.resize(rng.integers(0, 256, (5, 6)).astype(np.uint8), (45, 40))
    visible = cv2.resize(rng.integers(0, 256, (6, 5)).astype(np.uint8), (45, 40))
    fused = cv2.resize(rng.integers(0, 256, (9, 9)).astype(np.uint8), (45, 40))
    count = 0
    for y in range(40):
        for x in range(45):
            both = [around(image, y, x, 15, "edge") for image in (infrared, visible)]
            lowest, highest = min(w.min() for w in both), max(w.max() for w in both)
            count += not lowest - 6 <= fused[y, x] <= highest + 6
    assert count > 0
    assert metrics.overshoot(fused, infrared, visible) == pytest.approx(count / fused.size, **CLOSE)


def test_overshoot_counts_from_the_seventh_level():
    grey = np.full((32, 32), 100, np.uint8)
    assert metrics.overshoot(grey + 6, grey, grey) == 0
    assert metrics.overshoot(grey - 7, grey, grey) == 1


def test_glare_detail_by_slow_loops(rng):
    infrared = cv2.resize(rng.integers(0, 256, (8, 8)).astype(np.uint8), (40, 36))
    visible = np.full((36, 40), 30, np.uint8)
    visible[6:30, 8:34] = 250
    fused = (infrared * 0.4 + 60).astype(np.uint8)
    ratios = []
    for y in range(36):
        for x in range(40):
            if around(visible, y, x, 7, "edge").min() >= 245:
                f, i = (around(image, y, x, 7, "reflect").std() for image in (fused, infrared))
                if i > 6:
                    ratios.append(f / i)
    assert len(ratios) > 20
    assert metrics.glare_detail(fused, infrared, visible) == pytest.approx(statistics.median(ratios), **CLOSE)


def test_glare_detail_is_undefined_without_glare(rng):
    dark = rng.integers(0, 200, (40, 40)).astype(np.uint8)
    assert math.isnan(metrics.glare_detail(dark, dark, dark))
