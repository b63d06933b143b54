from __future__ import annotations

import argparse
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.cli.numbers import real, size, whole

TEXTS = st.one_of(
    st.text(max_size=20), st.integers().map(str), st.floats().map(str), st.sampled_from(["9" * 5000, "१"])
)


@given(TEXTS)
def test_whole_numbers_are_in_range_or_refused(text):
    try:
        value = whole(-3, 40)(text)
    except argparse.ArgumentTypeError as error:
        assert len(str(error)) < 200
    else:
        assert isinstance(value, int) and -3 <= value <= 40


@given(TEXTS)
def test_real_numbers_are_finite_and_in_range_or_refused(text):
    try:
        value = real(0.0, math.inf)(text)
    except argparse.ArgumentTypeError as error:
        assert len(str(error)) < 200
    else:
        assert math.isfinite(value) and value >= 0


@given(st.one_of(st.text(alphabet="0123456789x×-+ ", max_size=12), TEXTS))
def test_sizes_are_in_range_or_refused(text):
    try:
        width, height = size(32, 8192)(text)
    except argparse.ArgumentTypeError as error:
        assert len(str(error)) < 200
    else:
        assert [int(part) for part in text.replace("×", "x").split("x")] == [width, height]
        assert min(width, height) >= 32 and max(width, height) <= 8192


@pytest.mark.parametrize(("text", "expected"), [("640x480", (640, 480)), ("32×8192", (32, 8192))])
def test_a_size_is_width_and_height(text, expected):
    assert size(32, 8192)(text) == expected
