from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.sync.stamp_check import LATEST, StampCheck, nanoseconds

S = 1_000_000_000
NOW = 1_700_000_000 * S


def test_stamps_near_now_are_kept():
    check = StampCheck()
    for number in range(3):
        for source in ("infrared", "visible"):
            assert check.time(source, NOW - number, NOW) == NOW - number
    assert (check.problem, check.replaced) == ("", frozenset())


def test_zero_stamps_take_the_time_of_receipt():
    check = StampCheck()
    assert check.time("infrared", 0, NOW) == NOW
    assert check.time("visible", NOW - 5, NOW) == NOW - 5
    assert check.problem == "infrared stamps are zero: receipt time is used"
    assert check.time("infrared", NOW - 7, NOW) == NOW - 7
    assert check.problem == ""


def feed(check, infrared, visible, start=0, count=4):
    """Frames of both cameras in turn, whose stamps are so many seconds from now; the time taken for each, as well."""
    taken = []
    for number in range(start, start + count):
        now = NOW + number * S
        taken.append(
            tuple(check.time(n, now + a * S, now) - now for n, a in (("infrared", infrared), ("visible", visible)))
        )
    return [(first // S, second // S) for first, second in taken]


def test_one_camera_of_another_clock():
    check = StampCheck()
    assert feed(check, -5000, 0) == [(-5000, 0), (-5000, 0), (0, 0), (0, 0)]
    assert check.problem == "infrared stamps are -5000 s from now: receipt time is used"
    assert check.replaced == {"infrared"}


def test_recording_that_is_played_back_keeps_its_stamps():
    check = StampCheck()
    assert feed(check, -5000, -5001) == [(-5000, -5001)] * 4
    assert check.problem == ""


def test_recording_that_loops_keeps_its_stamps_at_every_frame():
    check = StampCheck()
    feed(check, -5000, -5000)
    assert feed(check, -5060, -5060, start=4) == [(-5060, -5060)] * 4
    assert check.problem == ""


def test_two_other_clocks_that_disagree():
    check = StampCheck()
    assert feed(check, -5000, -9000)[-1] == (0, 0)
    assert check.replaced == {"infrared", "visible"}
    assert "infrared" in check.problem and "visible" in check.problem


def test_stamp_jump_of_one_camera_and_back():
    check = StampCheck()
    feed(check, 0, 0)
    assert feed(check, 3600, 0, start=4) == [(3600, 0), (3600, 0), (0, 0), (0, 0)]
    assert feed(check, 0, 0, start=8) == [(0, 0)] * 4
    assert check.problem == ""


@pytest.mark.parametrize(
    "sec, nanosec, expected",
    [
        (0, 0, 0),
        (1, 5, S + 5),
        (1_700_000_000, 999_999_999, NOW + S - 1),
        (-1, 5, None),
        (-(2**31), 0, None),
        (-1, 2**32 - 1, None),
        (1_700_000_000, S, None),
        (1_700_000_000, 2**32 - 1, None),
        (2**31 - 1, 0, None),
        (LATEST // S, 0, LATEST),
    ],
)
def test_valid_stamps_are_those_that_a_header_can_hold_with_an_offset(sec, nanosec, expected):
    assert nanoseconds(sec, nanosec) == expected


def test_stamps_that_are_not_valid_take_the_time_of_receipt_and_the_waiting_frames_stay():
    check = StampCheck()
    feed(check, 0, 0)
    assert check.time("infrared", None, NOW + 7) == NOW + 7
    assert check.problem == "infrared stamps are not valid: receipt time is used"
    assert not check.moved
    assert check.time("infrared", NOW, NOW) == NOW
    assert (check.problem, check.moved) == ("", False)


def test_it_says_when_a_camera_changed_to_another_clock():
    check = StampCheck()
    moved = []
    for number in range(4):
        for source, ahead in (("infrared", -5000), ("visible", 0)):
            check.time(source, NOW + (number + ahead) * S, NOW + number * S)
            moved.append(check.moved)
    assert moved == [False] * 4 + [True] + [False] * 3  # at the first frame that takes its time of receipt


@given(st.lists(st.tuples(st.sampled_from(["infrared", "visible"]), st.none() | st.integers(0, LATEST)), max_size=30))
def test_every_stamp_gives_a_time_that_a_header_can_hold(frames):
    check = StampCheck()
    for source, stamp in frames:
        time = check.time(source, stamp, NOW)
        assert time in (stamp, NOW) and (time == NOW or source not in check.replaced)
        assert bool(check.problem) == bool(check.replaced)
