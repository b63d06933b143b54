from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.thermal.pixel_repair import PixelRepair, stuck_pixels


def scene(rng, dtype=np.uint16, shape=(96, 128)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (7000 + 150 * np.sin(columns / 20) + 100 * np.cos(rows / 15) + rng.normal(0, 4, shape)).astype(dtype)


def nearest_good(bad: np.ndarray, row: int, column: int) -> float:
    """Slow oracle: distance to the nearest good pixel."""
    return min(np.hypot(r - row, c - column) for r, c in np.argwhere(~bad))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_stuck_pixels_are_found_and_repaired(rng, dtype):
    clean = scene(rng, dtype)
    counts = clean.copy()
    spots = [(0, 0), (5, 127), (40, 50), (95, 60), (60, 61)]
    for number, spot in enumerate(spots):
        counts[spot] = 0 if number % 2 else 9000
    repair = PixelRepair()
    repaired = repair(counts)
    assert repair.repaired == len(spots)
    assert sorted(map(tuple, np.argwhere(stuck_pixels(counts)))) == sorted(spots)
    assert np.abs(repaired.astype(float) - clean).max() < 60
    good = np.ones(counts.shape, bool)
    good[tuple(np.transpose(spots))] = False
    np.testing.assert_array_equal(repaired[good], counts[good])


def test_dead_line_and_pair(rng):
    counts = scene(rng)
    counts[30, :] = 0
    counts[50, 70:72] = 65535
    repaired = PixelRepair()(counts)
    assert 6500 < repaired.min() <= repaired.max() < 7500


def test_real_things_are_left_alone(rng):
    counts = scene(rng).astype(np.float64)
    point = np.zeros(counts.shape)
    point[20, 30] = 20000  # far away, one pixel wide before the lens
    counts += cv2.GaussianBlur(point, (0, 0), 0.8)
    counts[60:70, 80:90] = 65535  # hotter than the camera can say
    counts[40:42, 10:60] += 400  # a warm pipe
    counts = np.clip(counts, 0, 65535).astype(np.uint16)
    assert PixelRepair()(counts) is counts


def test_holes_take_the_nearest_value(rng):
    values = scene(rng, np.float32, (24, 30))
    bad = rng.random(values.shape) < 0.15
    bad[5:9, 10:16] = True
    values[bad] = rng.choice([np.nan, np.inf, -np.inf], np.count_nonzero(bad))
    original = values.copy()
    repaired = PixelRepair()(values)
    np.testing.assert_array_equal(values, original)  # the caller's frame is not touched
    np.testing.assert_array_equal(repaired[~bad], values[~bad])
    for row, column in np.argwhere(bad):
        sources = np.argwhere((values == repaired[row, column]) & ~bad)
        taken = min(np.hypot(r - row, c - column) for r, c in sources)
        assert taken <= nearest_good(bad, row, column) * 1.1 + 1e-6  # the 5×5 distance transform is near to exact


def test_holes_that_come_and_go(rng):
    repair = PixelRepair()
    for hole in [(3, 4), None, (50, 60), (0, 0)]:
        values = scene(rng, np.float32)
        if hole:
            values[hole] = np.nan
        repaired = repair(values)
        assert np.isfinite(repaired).all()
        assert repair.repaired == (1 if hole else 0)


def test_later_searches_want_to_find_twice(rng):
    repair = PixelRepair(interval=2)
    repair(scene(rng))
    found = []
    for number in range(1, 9):
        counts = scene(rng)
        counts[40, 40] = 9000  # stuck from now on
        if number == 2:
            counts[20, 20] = 9000  # once only
        found.append((repair(counts)[40, 40] < 8000, repair.repaired))
    assert [stuck for stuck, _ in found] == [False, False, False, True, True, True, True, True]
    assert found[-1][1] == 1


def test_nothing_finite_is_refused():
    with pytest.raises(InputError, match="no pixel has a finite value"):
        PixelRepair()(np.full((4, 4), np.nan, np.float32))


def test_another_size_starts_anew(rng):
    repair = PixelRepair()
    counts = scene(rng)
    counts[40, 40] = 0
    repair(counts)
    other = scene(rng, shape=(48, 64))
    assert repair(other) is other


def test_real_counts_have_few_bad_pixels(shared):
    for path in sorted((shared / "data" / "flir_raw16" / "infrared16").glob("*.png")):
        assert np.count_nonzero(stuck_pixels(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))) <= 5, path.name
