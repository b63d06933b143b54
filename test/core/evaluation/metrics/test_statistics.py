from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.evaluation import metrics

CLOSE = {"rel": 1e-6, "abs": 1e-12}


@pytest.fixture
def triple(rng):
    """Fused, infrared, visible that have something in common."""
    infrared = rng.integers(0, 256, (23, 31)).astype(np.uint8)
    visible = rng.integers(0, 40, (23, 31)).astype(np.uint8)
    noise = rng.integers(0, 20, (23, 31))
    return ((infrared.astype(int) + visible + noise) // 2).astype(np.uint8), infrared, visible


def slow_bits(a, b):
    pairs = Counter(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    of_a, of_b, count = Counter(a.ravel().tolist()), Counter(b.ravel().tolist()), a.size
    return sum(n / count * math.log2(n * count / (of_a[x] * of_b[y])) for (x, y), n in pairs.items())


def test_entropy_of_known_histograms():
    assert metrics.entropy(np.full((8, 8), 7, np.uint8)) == 0
    assert metrics.entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(8, **CLOSE)
    quarter = np.array([[0, 0, 0, 255]] * 4, np.uint8)
    assert metrics.entropy(quarter) == pytest.approx(2 - 0.75 * math.log2(3), **CLOSE)


def test_standard_deviation_divides_by_n():
    assert metrics.standard_deviation(np.array([[0, 255], [255, 0]], np.uint8)) == pytest.approx(127.5, **CLOSE)
    assert metrics.standard_deviation(np.array([[1, 2], [3, 4]], np.uint8)) == pytest.approx(math.sqrt(1.25), **CLOSE)


def test_spatial_frequency_and_gradient_of_a_ramp():
    ramp = np.tile(np.arange(0, 90, 3, dtype=np.uint8), (7, 1))
    assert metrics.spatial_frequency(ramp) == pytest.approx(3, **CLOSE)
    assert metrics.average_gradient(ramp) == pytest.approx(3 / math.sqrt(2), **CLOSE)


def test_spatial_frequency_and_gradient_by_slow_loops(triple):
    grey = triple[0].astype(float).tolist()
    h, w = len(grey), len(grey[0])
    rows = [(grey[y + 1][x] - grey[y][x]) ** 2 for y in range(h - 1) for x in range(w)]
    columns = [(grey[y][x + 1] - grey[y][x]) ** 2 for y in range(h) for x in range(w - 1)]
    expected = math.sqrt(sum(rows) / len(rows) + sum(columns) / len(columns))
    assert metrics.spatial_frequency(triple[0]) == pytest.approx(expected, **CLOSE)

    def slope(values, k):
        if k == 0:
            return values[1] - values[0]
        if k == len(values) - 1:
            return values[-1] - values[-2]
        return (values[k + 1] - values[k - 1]) / 2

    lengths = [
        math.sqrt((slope(grey[y], x) ** 2 + slope([row[x] for row in grey], y) ** 2) / 2)
        for y in range(h)
        for x in range(w)
    ]
    assert metrics.average_gradient(triple[0]) == pytest.approx(sum(lengths) / len(lengths), **CLOSE)


def test_mutual_information_by_counting(triple):
    fused, infrared, visible = triple
    expected = slow_bits(infrared, fused) + slow_bits(visible, fused)
    assert metrics.mutual_information(fused, infrared, visible) == pytest.approx(expected, **CLOSE)


def test_mutual_information_of_a_copy_is_its_entropy():
    levels = np.repeat(np.arange(16, dtype=np.uint8), 16).reshape(16, 16)
    assert metrics.mutual_information(levels, levels, levels) == pytest.approx(8, **CLOSE)
    assert metrics.mutual_information(levels, levels, levels.T.copy()) == pytest.approx(4, **CLOSE)


def test_scd_against_numpy_and_on_a_sum(triple):
    fused, infrared, visible = triple
    f, i, v = (image.astype(float).ravel() for image in triple)
    expected = np.corrcoef(f - i, v)[0, 1] + np.corrcoef(f - v, i)[0, 1]
    assert metrics.scd(fused, infrared, visible) == pytest.approx(expected, **CLOSE)
    dim, dimmer = infrared // 4, visible // 4
    assert metrics.scd(dim + dimmer, dim, dimmer) == pytest.approx(2, **CLOSE)
    assert metrics.scd(dim, dim, dimmer) == pytest.approx(np.corrcoef((dim - 0.0 - dimmer).ravel(), dim.ravel())[0, 1])


@pytest.mark.parametrize("name", metrics.METRICS)
def test_errors_name_the_argument(name):
    good = np.zeros((48, 48), np.uint8)
    metric = metrics.METRICS[name]
    for bad in (good.astype(np.float32) / 255, np.zeros((48, 48, 3), np.uint8), good[:1], [[1, 2], [3, 4]]):
        with pytest.raises(InputError, match=r"^fused: expected"):
            metric(bad, good, good)
        if metric.with_sources:
            with pytest.raises(InputError, match=r"^infrared: expected"):
                metric(good, bad, good)
    if metric.with_sources:
        with pytest.raises(InputError, match=r"^visible: expected the shape of fused, \(48, 48\), got \(48, 47\)"):
            metric(good, good, good[:, 1:])
