from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.calibration.fitting import fit, residuals, transform
from ivif_core.errors import InputError

TRUTH = {
    "similarity": np.array([[1.9, -0.2, 300], [0.2, 1.9, 40], [0, 0, 1.0]]),
    "affine": np.array([[1.9, -0.1, 300], [0.25, 2.1, 40], [0, 0, 1.0]]),
    "homography": np.array([[1.9, -0.1, 300], [0.25, 2.1, 40], [2e-4, -1e-4, 1.0]]),
}


@pytest.mark.parametrize("model", TRUTH)
def test_exact_points_give_the_truth(rng, model):
    source = rng.uniform(0, 640, (8, 2))
    target = cv2.perspectiveTransform(source[None], TRUTH[model])[0]
    np.testing.assert_allclose(transform(TRUTH[model], source), target)
    np.testing.assert_allclose(fit(source, target, model), TRUTH[model], atol=1e-6)


def test_noisy_homography_is_as_good_as_opencvs(rng):
    source = rng.uniform(0, 640, (40, 2))
    target = transform(TRUTH["homography"], source) + rng.normal(0, 2, (40, 2))
    reference, _ = cv2.findHomography(source, target, 0)
    ours = residuals(fit(source, target, "homography"), source, target)
    theirs = residuals(reference, source, target)
    assert (ours**2).sum() <= (theirs**2).sum() * 1.02


def test_weights_are_repetitions(rng):
    source, target = rng.uniform(0, 640, (2, 9, 2))
    repeats = rng.integers(1, 4, 9)
    repeated = fit(np.repeat(source, repeats, axis=0), np.repeat(target, repeats, axis=0), "affine")
    np.testing.assert_allclose(fit(source, target, "affine", repeats), repeated, atol=1e-6)


@pytest.mark.parametrize("model", TRUTH)
def test_outliers_lose_their_say(rng, model):
    source = rng.uniform(0, 640, (40, 2))
    target = transform(TRUTH[model], source) + rng.normal(0, 0.5, (40, 2))
    target[:8] += rng.uniform(20, 60, (8, 2))
    found = fit(source, target, model, outlier=3.0)
    assert np.median(residuals(found, source[8:], target[8:])) < 1.0
    assert np.abs(transform(found, source[8:]) - transform(TRUTH[model], source[8:])).max() < 2


@pytest.mark.parametrize("points", [np.zeros((9, 2)), np.c_[np.arange(9.0), np.arange(9.0)], np.eye(2)])
def test_points_that_fix_nothing_are_refused(points):
    with pytest.raises(InputError, match=r"homography: "):
        fit(points, points, "homography")
