"""The student's full-resolution work: against slow loops, and against the network that has it inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.skeleton import BLOCK, MAPS, SAMPLES, Skeleton, statistics

SIZES = st.tuples(st.integers(32, 75), st.integers(32, 90))


def image(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@settings(max_examples=15, deadline=None)
@given(SIZES, st.integers(0, 99))
def test_statistics_are_those_of_a_loop(size, seed):
    source = image(seed, *size)
    rows, columns = -(-size[0] // BLOCK), -(-size[1] // BLOCK)
    padded = np.pad(source, ((0, rows * BLOCK - size[0]), (0, columns * BLOCK - size[1])), mode="edge") / 255
    expected = np.empty((1 + len(SAMPLES), 4, rows, columns))
    for quarter in range(4):
        for row in range(rows):
            for column in range(columns):
                top, left = row * BLOCK + 4 * (quarter // 2), column * BLOCK + 4 * (quarter % 2)
                expected[0, quarter, row, column] = padded[top : top + 4, left : left + 4].mean()
                for index, (down, right) in enumerate(SAMPLES, start=1):
                    expected[index, quarter, row, column] = padded[top + down, left + right]
    result = statistics(source)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected.reshape(-1, rows, columns), atol=1e-6)


def fused_by_a_loop(infrared: np.ndarray, visible: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Bilinear enlargement and the choice of details written out for every pixel."""
    fused = np.empty(infrared.shape)
    for y in range(infrared.shape[0]):
        for x in range(infrared.shape[1]):
            down, right = (y + 0.5) / BLOCK + 0.5, (x + 0.5) / BLOCK + 0.5  # the halo is one cell
            row, column = int(down), int(right)
            a, b = down - row, right - column
            cell = maps[:, row : row + 2, column : column + 2]
            weights = np.outer([1 - a, a], [1 - b, b])
            infrared_base, visible_base, base, infrared_gain, visible_gain = (cell * weights).sum((1, 2))
            one = infrared_gain * (infrared[y, x] / 255 - infrared_base)
            two = visible_gain * (visible[y, x] / 255 - visible_base)
            fused[y, x] = base + (max(one, two, key=abs) if one * two > 0 else one + two)
    return np.clip(255 * fused, 0, 255)


@settings(max_examples=6, deadline=None)
@given(SIZES, st.integers(0, 99))
def test_maps_are_applied_as_by_a_loop(size, seed):
    infrared, visible = image(seed, *size), image(seed + 1, *size)
    random = np.random.default_rng(seed)
    shape = (len(MAPS), -(-size[0] // BLOCK) + 2, -(-size[1] // BLOCK) + 2)
    maps = (random.random(shape) * np.array([0.5, 0.5, 0.7, 2, 2])[:, None, None]).astype(np.float32)
    fused = Skeleton(size).apply(infrared, visible, maps)
    assert fused.dtype == np.uint8
    assert np.abs(fused - fused_by_a_loop(infrared, visible, maps)).max() <= 0.51


@pytest.mark.parametrize("height", [32, 47, 48, 49, 96, 100, 481])
def test_stripes_leave_no_trace(height):
    """Any number of stripes gives what one gives: an image whose rows are alike is fused into rows that are alike."""
    row = image(0, 1, 64)
    infrared, visible = np.repeat(row, height, axis=0), np.repeat(255 - row, height, axis=0)
    maps = np.random.default_rng(1).random((len(MAPS), 1, 10)).astype(np.float32)
    fused = Skeleton((height, 64)).apply(infrared, visible, np.repeat(maps, -(-height // BLOCK) + 2, axis=1))
    np.testing.assert_array_equal(fused, np.repeat(fused[:1], height, axis=0))
