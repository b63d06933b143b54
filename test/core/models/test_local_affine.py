"""The student's full-resolution work: against slow loops, and against the network that has it inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.models.local_affine import BLOCK, CELL, MAPS, SAMPLES, STATISTICS, Skeleton, statistics

SIZES = st.tuples(st.integers(32, 75), st.integers(32, 90))


def image(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@settings(max_examples=15, deadline=None)
@given(SIZES, st.integers(0, 99))
def test_statistics_are_those_of_a_loop(size, seed):
    source = image(seed, *size)
    rows, columns = (-(-side // BLOCK) * BLOCK for side in size)
    padded = np.pad(source, ((0, rows - size[0]), (0, columns - size[1])), mode="edge") / 255
    expected = np.empty((len(STATISTICS), rows // CELL, columns // CELL))
    for row in range(rows // CELL):
        for column in range(columns // CELL):
            cell = padded[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            differences = [abs(cell[place] - cell.mean()) for place in SAMPLES]
            expected[:, row, column] = cell.mean(), np.mean(differences)
    result = statistics(source)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-6)


def fused_by_a_loop(infrared: np.ndarray, visible: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Bilinear enlargement and the mixing written out for every pixel."""
    fused = np.empty(infrared.shape)
    for y in range(infrared.shape[0]):
        for x in range(infrared.shape[1]):
            down, right = (y + 0.5) / CELL + 0.5, (x + 0.5) / CELL + 0.5  # the halo is one cell
            row, column = int(down), int(right)
            a, b = down - row, right - column
            cell = maps[:, row : row + 2, column : column + 2]
            weights = np.outer([1 - a, a], [1 - b, b])
            offset, infrared_gain, visible_gain = (cell * weights).sum((1, 2))
            fused[y, x] = 255 * offset + infrared_gain * infrared[y, x] + visible_gain * visible[y, x]
    return np.clip(fused, 0, 255)


def maps_shape(height: int, width: int) -> tuple[int, int, int]:
    return len(MAPS), *(-(-side // BLOCK) * BLOCK // CELL + 2 for side in (height, width))


@settings(max_examples=6, deadline=None)
@given(SIZES, st.integers(0, 99))
def test_maps_are_applied_as_by_a_loop(size, seed):
    infrared, visible = image(seed, *size), image(seed + 1, *size)
    random = np.random.default_rng(seed)
    maps = (random.random(maps_shape(*size)) * 2 - np.array([1, 0, 0])[:, None, None]).astype(np.float32)
    fused = Skeleton(size).apply(infrared, visible, maps)
    assert fused.dtype == np.uint8
    assert np.abs(fused - fused_by_a_loop(infrared, visible, maps)).max() <= 0.51


def test_threads_leave_no_trace():
    size = (1056, 1024)
    infrared, visible = image(0, *size), image(1, *size)
    maps = np.random.default_rng(2).random(maps_shape(*size)).astype(np.float32)
    one, three = (Skeleton(size, threads=threads).apply(infrared, visible, maps) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("height", [32, 47, 48, 49, 96, 100, 481])
def test_stripes_leave_no_trace(height):
    """Any number of stripes gives what one gives: an image whose rows are alike is fused into rows that are alike."""
    row = image(0, 1, 64)
    infrared, visible = np.repeat(row, height, axis=0), np.repeat(255 - row, height, axis=0)
    maps = np.random.default_rng(1).random(maps_shape(height, 64)).astype(np.float32)
    maps[:] = maps[:, :1]
    fused = Skeleton((height, 64)).apply(infrared, visible, maps)
    np.testing.assert_array_equal(fused, np.repeat(fused[:1], height, axis=0))
