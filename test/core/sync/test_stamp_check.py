from __future__ import annotations

from ivif_core.sync.stamp_check import StampCheck

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
