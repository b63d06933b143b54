from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_ros.statistics import WINDOW, Fused, Statistics, quantile


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_quantile_is_numpys_nearest_rank(values, share):
    assert quantile(values, share) == np.quantile(values, share, method="inverted_cdf")


def test_quantile_of_nothing_is_nan():
    assert math.isnan(quantile([], 0.5))


def test_rates_are_taken_over_the_window():
    statistics = Statistics(started=0.0)
    for tick in range(300):
        statistics.received("visible", tick / 30)
        statistics.fused(Fused(0.01, 0.0, 0.005, 0.002), tick / 30)
    assert statistics.rate("visible", 10.0) == pytest.approx(30, rel=0.02)
    assert statistics.rate("fused", 10.0) == pytest.approx(30, rel=0.02)
    assert statistics.rate("infrared", 10.0) == 0
    assert len(statistics.recent(10.0)) == pytest.approx(30 * WINDOW, abs=1)
    assert statistics.fused_count == 300


def test_the_first_seconds_are_not_diluted_by_the_whole_window():
    statistics = Statistics(started=100.0)
    for tick in range(10):
        statistics.received("infrared", 100 + tick / 10)
    assert statistics.rate("infrared", 101.0) == pytest.approx(10, rel=0.01)


def test_silence_counts_from_the_last_frame_or_the_start():
    statistics = Statistics(started=5.0)
    assert statistics.silence("infrared", 8.0) == 3.0
    statistics.received("infrared", 7.5)
    assert statistics.silence("infrared", 8.0) == 0.5
    assert statistics.silence("infrared", 60.0) == 52.5
    assert statistics.silence("fused", 8.0) == 3.0
    statistics.fused(Fused(0.01, 0.0, 0.005, 0.002), 7.0)
    assert statistics.silence("fused", 8.0) == 1.0


def test_count_is_of_the_window():
    statistics = Statistics(started=0.0)
    for tick in range(100):
        statistics.received("visible info", tick / 10)
    assert statistics.count("visible info", 9.95) == WINDOW * 10
    assert statistics.count("infrared info", 9.95) == 0
