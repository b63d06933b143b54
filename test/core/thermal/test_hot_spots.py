from __future__ import annotations

import numpy as np
import pytest

from ivif_core.errors import ConfigError
from ivif_core.registration.base import Homography, mask_onto_visible
from ivif_core.thermal.hot_spots import MOST_SPOTS, HotSpot, HotSpots, draw_outline, find_spots
from ivif_core.thermal.radiometry import LinearRadiometry


def test_over_a_temperature():
    counts = np.array([[29315, 31315, 33316]], np.uint16)  # 20, 40 and 60.01 °C
    spots = HotSpots(celsius=60, radiometry=LinearRadiometry(0.01, -273.15))
    assert spots(counts).tolist() == [[0, 0, 255]]


def test_hottest_share(rng):
    counts = rng.permutation(100 * 80).reshape(80, 100).astype(np.uint16)
    mask = HotSpots(percent=5)(counts)
    assert np.count_nonzero(mask) == 400
    assert counts[mask > 0].min() > counts[mask == 0].max()


def test_mask_follows_the_registration():
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 5:10] = 255
    shifted = mask_onto_visible(Homography(np.array([[1, 0, 7.4], [0, 1, 0], [0, 0, 1]])), mask, (20, 40))
    expected = np.zeros((20, 40), np.uint8)
    expected[5:10, 12:17] = 255
    np.testing.assert_array_equal(shifted, expected)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
def test_outline_surrounds_the_spot(shape):
    image, mask = np.zeros(shape, np.uint8), np.zeros(shape[:2], np.uint8)
    mask[10:20, 15:30] = 255
    draw_outline(image, mask)
    drawn = image.reshape(40, 50, -1).any(axis=2)
    edge = np.zeros((40, 50), bool)
    edge[10:20, 15:30] = True
    edge[11:19, 16:29] = False
    np.testing.assert_array_equal(drawn, edge)
    if len(shape) == 3:
        assert image[10, 15].tolist() == [0, 0, 255]


@pytest.mark.parametrize("limits", [{}, {"celsius": 50.0}, {"percent": 0}, {"percent": 5, "celsius": 50.0}])
def test_unclear_limits_are_refused(limits):
    with pytest.raises(ConfigError, match="hot spots"):
        HotSpots(**limits)


def test_spots_are_those_that_a_flood_fill_finds(rng):
    mask = (rng.random((24, 30)) > 0.7).astype(np.uint8) * 255
    counts = rng.integers(0, 60000, mask.shape).astype(np.float32)
    left, expected = {(int(y), int(x)) for y, x in np.argwhere(mask)}, []
    while left:
        waiting, part = [left.pop()], []
        while waiting:
            y, x = waiting.pop()
            part.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            waiting += near
        rows, columns = zip(*part, strict=True)
        size = (max(columns) - min(columns) + 1, max(rows) - min(rows) + 1)
        expected.append(HotSpot(min(columns), min(rows), *size, max(float(counts[at]) for at in part)))
    found = find_spots(mask, counts)
    assert len(found) == len(expected) > 5
    assert found == sorted(expected, key=lambda spot: -spot.peak)


def test_of_many_spots_the_hottest_count():
    counts = np.arange(60 * 60, dtype=np.float32).reshape(60, 60)
    mask = np.zeros((60, 60), np.uint8)
    mask[::2, ::2] = 255  # 900 spots of one pixel
    found = find_spots(mask, counts)
    assert [spot.peak for spot in found] == sorted(counts[mask > 0], reverse=True)[:MOST_SPOTS]
    assert find_spots(np.zeros_like(mask), counts) == []
