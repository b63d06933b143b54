"""Shares of an image's stripes, and work that runs on them in threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.imaging.stripes import parts_of, run_parts

LARGE = 1920 * 1080


def test_a_small_image_is_not_shared_out():
    assert len(parts_of(480, 32, 4, 640 * 480)) == 1 < len(parts_of(1080, 32, 4, LARGE))


@given(st.integers(1, 500), st.integers(1, 64), st.integers(1, 9), st.integers(1, 1 << 23))
def test_the_parts_hold_every_stripe_once_and_in_order(rows, step, threads, pixels):
    parts = parts_of(rows, step, threads, pixels)
    assert [top for part in parts for top in part] == list(range(0, rows, step))
    sizes = [len(part) for part in parts]
    assert len(parts) <= threads and min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


def test_the_parts_run_at_the_same_time():
    meeting, done = threading.Barrier(2), np.zeros(10, int)

    def work(part: range) -> None:
        meeting.wait(timeout=20)  # broken if one waited for the other to end
        done[part] += 1

    run_parts(work, parts_of(10, 1, 2, LARGE))
    assert (done == 1).all()


@pytest.mark.parametrize("failing", [0, 3])
def test_a_part_that_fails_is_told_and_the_others_have_ended(failing):
    ended = []

    def work(part: range) -> None:
        if part.start == failing:
            raise ValueError(f"row {failing}")
        ended.append(part.start)

    with pytest.raises(ValueError, match=f"row {failing}"):
        run_parts(work, parts_of(6, 1, 2, LARGE))
    assert ended == [3 - failing]
