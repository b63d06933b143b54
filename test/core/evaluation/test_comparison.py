from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ivif_core.evaluation.comparison import compare, paired_bootstrap
from ivif_core.evaluation.scenes import Evaluation


def evaluation_of(**sets):
    """Sets of figures, each a mapping figure -> values of the images."""
    figures = {
        name: {
            f"image{k}": {column: float(values[k]) for column, values in columns.items()}
            for k in range(len(next(iter(columns.values()))))
        }
        for name, columns in sets.items()
    }
    return Evaluation({}, figures, left_out=[Path()])


def test_bootstrap_of_a_known_distribution(rng):
    """For many images the interval is mean ± 1.96 s / √n."""
    values = rng.normal([0.3, -2.0], [1.0, 5.0], (2000, 2))
    mean, low, high = paired_bootstrap(values)
    half = 1.96 * values.std(axis=0) / math.sqrt(2000)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(low, mean - half, atol=half.max() * 0.06)
    np.testing.assert_allclose(high, mean + half, atol=half.max() * 0.06)


def test_bootstrap_of_two_images_draws_a_quarter_of_each_double():
    mean, low, high = paired_bootstrap(np.array([[0.0], [8.0]]))  # means 0, 4, 8 with 1/4, 1/2, 1/4
    assert (mean[0], low[0], high[0]) == (4, 0, 8)


def test_bootstrap_leaves_out_what_is_not_defined():
    values = np.array([[1.0, math.nan, math.nan], [3.0, 2.0, math.nan], [5.0, 2.0, math.inf]])
    mean, low, high = paired_bootstrap(values)
    assert mean[:2].tolist() == [3, 2] and low[1] == high[1] == 2
    assert np.isnan([mean[2], low[2], high[2]]).all()


def test_ranks_know_which_way_is_better():
    comparison = compare(
        evaluation_of(
            a={"EN": [7, 7], "noise_gain": [1, 1]},
            b={"EN": [6, 6], "noise_gain": [2, 2]},
            c={"EN": [7, 7], "noise_gain": [math.nan] * 2},
        )
    )
    assert [comparison.ranks[name]["EN"] for name in "abc"] == [1, 3, 1]
    assert [comparison.ranks[name]["noise_gain"] for name in "ab"] == [1, 2]
    assert math.isnan(comparison.ranks["c"]["noise_gain"])


def test_pairing_tells_apart_what_scenes_hide(rng):
    """A difference of 0.1 among scenes that differ by tens: hopeless unpaired, plain paired."""
    scenes = rng.normal(100, 30, 40)
    small = scenes + 0.1 + rng.normal(0, 0.05, 40)
    none = scenes + rng.normal(0, 0.05, 40)
    comparison = compare(evaluation_of(a={"SD": scenes}, b={"SD": small}, c={"SD": none}))
    assert comparison.ranks["b"]["SD"] == 1
    assert not comparison.is_near_best("b", "SD")  # it is the best
    assert not comparison.is_near_best("a", "SD")
    forth, back = comparison.differences["a"]["b"]["SD"], comparison.differences["b"]["a"]["SD"]
    assert forth.mean == pytest.approx((scenes - small).mean(), rel=1e-9)
    assert forth.low < forth.mean < forth.high < 0
    assert (back.mean, back.low, back.high) == (-forth.mean, -forth.high, -forth.low)
    near = compare(evaluation_of(a={"SD": scenes}, b={"SD": none[::-1]}))
    assert near.is_near_best("a", "SD") != near.is_near_best("b", "SD")


def test_one_set_has_nothing_to_compare_with():
    comparison = compare(evaluation_of(only={"EN": [7, 6]}))
    assert comparison.ranks == {"only": {"EN": 1}} and comparison.differences == {"only": {}}
