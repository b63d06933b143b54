from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.evaluation.report.distributions import distribution, nice_ticks

SVG = {"title": "title"}


def images(values):
    return {f"i{k}": {"EN": value} for k, value in enumerate(values)}


def drawn(values, **others):
    return ElementTree.fromstring(distribution("EN", {"set": images(values), **others}))


def test_a_dot_an_image_where_its_value_is():
    values = [2.0, 4.0, 3.0, 7.0]
    tree = drawn(values)
    dots = {dot.find("title").text: float(dot.get("cx")) for dot in tree.iter("circle")}
    assert dots.keys() == {"i0: 2", "i1: 4", "i2: 3", "i3: 7"}
    where = [dots[f"i{k}: {value:g}"] for k, value in enumerate(values)]
    # A straight line through all of them.
    np.testing.assert_allclose(where, np.polyval(np.polyfit(values, where, 1), values), atol=0.11)
    box, median = tree.find(".//rect"), tree.find(".//line[@class='median']")
    slope, offset = np.polyfit(values, where, 1)
    quarter, middle, three = np.percentile(values, [25, 50, 75]) * slope + offset
    assert float(box.get("x")) == pytest.approx(quarter, abs=0.2)
    assert float(box.get("width")) == pytest.approx(three - quarter, abs=0.2)
    assert float(median.get("x1")) == pytest.approx(middle, abs=0.2)


def test_many_images_stay_light():
    assert len(list(drawn(np.random.default_rng(0).random(5000)).iter("circle"))) == 200
    assert len(distribution("EN", {"set": images(np.arange(5000.0))})) < 40_000


def test_what_is_not_defined_is_not_drawn():
    assert len(list(drawn([1.0, math.nan, math.inf, 2.0]).iter("circle"))) == 2
    assert "not defined" in distribution("EN", {"set": images([math.nan])})
    tree = drawn([1.0, 2.0], other=images([math.nan]))
    assert [len(list(group.iter("circle"))) for group in tree.iter("g")] == [2, 0]


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_are_few_even_and_around_the_values(low, span):
    ticks = nice_ticks(low, low + span)
    assert 2 <= len(ticks) <= 6
    slack = 1e-6 * max(1, abs(low), span)
    assert ticks[0] <= low + slack and ticks[-1] >= low + span - slack
    steps = np.diff(ticks)
    assert (steps > 0).all()
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)


def test_ticks_of_known_ranges():
    assert nice_ticks(0, 1) == [0, 0.5, 1]
    assert nice_ticks(6.3, 6.95) == [6.25, 6.5, 6.75, 7]
    assert nice_ticks(0, 0) == [-0.001, 0, 0.001]
