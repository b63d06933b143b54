from __future__ import annotations

from ivif_core.stamp_check import StampCheck

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


def test_one_camera_of_another_clock():
    check = StampCheck()
    check.time("visible", NOW, NOW)
    assert check.time("infrared", 50 * S, NOW) == NOW
    assert check.problem == f"infrared stamps are -{NOW // S - 50} s from now: receipt time is used"
    assert check.time("visible", NOW, NOW) == NOW
    assert check.replaced == {"infrared"}


def test_recording_that_is_played_back_keeps_its_stamps():
    check = StampCheck()
    for number in range(5):
        for source in ("infrared", "visible"):
            assert check.time(source, 1000 * S + number, NOW + number) == 1000 * S + number
    assert check.problem == ""


def test_two_other_clocks_that_disagree():
    check = StampCheck()
    check.time("infrared", 1000 * S, NOW)
    assert check.time("visible", 2000 * S, NOW) == NOW
    assert check.time("infrared", 1000 * S + 1, NOW + 1) == NOW + 1
    assert check.replaced == {"infrared", "visible"}
    assert "infrared" in check.problem and "visible" in check.problem
