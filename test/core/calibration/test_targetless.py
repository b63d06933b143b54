"""On scenes made up here, whose registration is known; real pairs in `test_real_rigs.py`."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.calibration.fitting import transform
from ivif_core.calibration.targetless import calibrate, mean_score
from ivif_core.errors import InputError
from ivif_core.registration.orientation import alignment_score, orientation_field

INFRARED_SIZE, VISIBLE_SIZE = (320, 256), (640, 360)


def pair(rng, matrix):
    """Patches of flat grey, each with a temperature of its own that says nothing of its brightness."""
    size = (VISIBLE_SIZE[1], VISIBLE_SIZE[0])
    visible, heat = np.full(size, 120, np.uint8), np.full(size, 100, np.uint8)
    for _ in range(40):
        centre = tuple(int(value) for value in rng.uniform((0, 0), VISIBLE_SIZE))
        box = cv2.boxPoints((centre, tuple(rng.uniform(20, 120, 2).tolist()), float(rng.uniform(-15, 15))))
        for image in (visible, heat):
            cv2.fillPoly(image, [box.astype(np.int32)], int(rng.integers(20, 235)))
    infrared = cv2.warpPerspective(heat, np.linalg.inv(matrix), INFRARED_SIZE, flags=cv2.INTER_AREA)
    noise = rng.normal(0, 4, infrared.shape)
    return np.clip(cv2.GaussianBlur(infrared, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8), visible


def rig(angle, scale, move_x, move_y):
    cosine, sine = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    middle = (np.array(VISIBLE_SIZE) - 1) / 2 + [move_x, move_y]
    return np.vstack([np.c_[turn, middle - turn @ (np.array(INFRARED_SIZE) - 1) / 2], [0, 0, 1]])


@pytest.mark.parametrize("truth", [rig(3, 1.3, 25, -14), rig(-4, 1.7, -30, 10)])
def test_known_rig_is_found(rng, truth):
    pairs = [pair(rng, truth) for _ in range(2)]
    found = calibrate(pairs, scales=(0.55, 0.95))
    grid = np.stack(np.meshgrid(np.linspace(0, 319, 7), np.linspace(0, 255, 7)), axis=-1).reshape(-1, 2)
    error = np.hypot(*(transform(found.matrix, grid) - transform(truth, grid)).T)
    assert np.median(error) < 1.0 and error.max() < 2.5
    assert found.score > found.resize_score + 0.2
    assert found.residual < 2
    assert found.score == pytest.approx(mean_score(pairs, truth), abs=0.03)


@pytest.mark.parametrize("truth", [rig(1.5, 0.5, 60, 20), rig(-1, 0.4, -150, -60)])
def test_a_narrow_thermal_lens_is_found_in_one_pair(rng, truth):
    share = np.hypot(*truth[:2, 0]) * INFRARED_SIZE[0] / VISIBLE_SIZE[0]
    found = calibrate([pair(rng, truth)], scales=(0.9 * share, 1.1 * share))
    grid = np.stack(np.meshgrid(np.linspace(0, 319, 7), np.linspace(0, 255, 7)), axis=-1).reshape(-1, 2)
    error = np.hypot(*(transform(found.matrix, grid) - transform(truth, grid)).T)
    assert np.median(error) < 0.5 and error.max() < 1.0


def test_field_is_blind_to_the_sign_of_contrast(rng):
    image = cv2.GaussianBlur(rng.integers(0, 256, (60, 80), np.uint8), (0, 0), 3)
    np.testing.assert_allclose(orientation_field(255 - image), orientation_field(image), atol=1e-4)


def test_score_tells_same_from_unlike(rng):
    first, second = (cv2.GaussianBlur(rng.random((120, 160)), (0, 0), 2) * 255 for _ in range(2))
    assert alignment_score(first, first) == pytest.approx(1)
    assert abs(alignment_score(first, second)) < 0.15
    assert alignment_score(first, np.roll(first, 4, axis=1)) < 0.4
    seen = np.zeros(first.shape, bool)
    seen[:, :80] = True
    half = np.where(seen, first, second)
    assert alignment_score(half, first, seen) > 0.95 > alignment_score(half, first)


def test_pairs_without_anything_in_common_are_refused():
    flat = (np.full((256, 320), 90, np.uint8), np.full((360, 640), 90, np.uint8))
    with pytest.raises(InputError, match="structure"):
        calibrate([flat])
    with pytest.raises(InputError, match="one size"):
        calibrate([flat, (flat[0][:100], flat[1])])
    with pytest.raises(InputError, match="none"):
        calibrate([])
