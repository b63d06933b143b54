from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.sync.pairing import ApproximatePairing
from ivif_core.sync.stamp_check import LATEST, RecordedStamps, StampCheck, nanoseconds
from ivif_core.sync.unpaired import PairMonitor

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


def recording(infrared, visible, count=6):
    """Both cameras in turn; stamps so many seconds from the time of recording, None: zero."""
    frames = []
    for number in range(count):
        recorded = NOW + number * S
        for source, ahead in (("infrared", infrared), ("visible", visible)):
            frames.append((source, 0 if ahead is None else recorded + ahead * S, recorded, number))
    return frames


def timed(frames):
    stamps = RecordedStamps()
    given = [frame for recorded in frames for frame in stamps.add(*recorded)]
    return given + stamps.finish(), stamps


def test_no_frame_of_a_recording_is_timed_by_a_clock_that_is_found_wrong():
    """Thermal stamped by the time since boot pairs in a bag as it does live, from the first frame on."""
    frames = recording(-1_699_999_000, 0)
    given, stamps = timed(frames)
    assert [(frame.source, frame.time, frame.item) for frame in given] == [(f[0], f[2], f[3]) for f in frames]
    assert not any(frame.other_clock for frame in given)
    assert stamps.problems == [
        "infrared stamps are -1699999000 s from the time of recording: the time of recording is used"
    ]
    pairing = ApproximatePairing(0.05, 10)
    assert sum(len(pairing.add(frame.source, frame.time, frame.item)) for frame in given) == 6


@pytest.mark.parametrize("ahead", [(0, 0), (-5000, -5001), (3, -3)])
def test_stamps_of_one_clock_are_kept_in_a_recording(ahead):
    frames = recording(*ahead)
    given, stamps = timed(frames)
    assert [frame.time for frame in given] == [stamp for _, stamp, *_ in frames]
    assert stamps.problems == []


def test_zero_stamps_of_a_recording_take_its_time():
    frames = recording(None, 0)
    given, stamps = timed(frames)
    assert [frame.time for frame in given] == [frame[2] for frame in frames]
    assert len(stamps.problems) == 1


def test_a_clock_that_jumps_within_a_recording_is_told():
    later = [(source, stamp, recorded + 10 * S, item) for source, stamp, recorded, item in recording(9000, 10)]
    given, stamps = timed(recording(0, 0) + later)
    assert sum(frame.other_clock for frame in given) == 1
    assert (given[-2].time, given[-1].time) == (later[-2][2], later[-1][1])
    assert len(stamps.problems) == 1


def test_a_recording_of_one_camera_is_given_whole_and_not_kept_for_ever():
    frames = [frame for frame in recording(-5000, 0, count=100) if frame[0] == "infrared"]
    given, _ = timed(frames)
    assert [frame.item for frame in given] == list(range(100))
    stamps = RecordedStamps()
    assert max(len(stamps.add(*frame)) for frame in frames) == 32
    assert timed([])[0] == []


@given(st.lists(st.tuples(st.sampled_from(["infrared", "visible"]), st.integers(-(2**63), 2**63)), max_size=80))
def test_every_frame_of_a_recording_is_given_once_in_its_order(frames):
    numbered = [(source, stamp, NOW + number, number) for number, (source, stamp) in enumerate(frames)]
    given, _ = timed(numbered)
    assert [frame.item for frame in given] == list(range(len(frames)))
    for frame, (_, stamp, recorded, _) in zip(given, numbered, strict=True):
        assert frame.time in (stamp, recorded) and frame.recorded == recorded


def test_a_recording_whose_cameras_are_clocks_apart_is_summed_up():
    """Boot-time stamps are replaced and pair; a camera that is two seconds off is not, and the summary says so."""
    for ahead, pairs, told in ((-1_699_999_000, 40, ""), (2, 0, "`thermal_time_offset: -2.0`")):
        stamps, pairing = RecordedStamps(), ApproximatePairing(0.05, 1)
        monitor = PairMonitor(pairing)
        for recorded in recording(ahead, 0, count=40):
            for frame in stamps.add(*recorded):
                monitor.frame(frame.source, frame.time, frame.recorded / 1e9)
                monitor.paired(pairing.add(frame.source, frame.time, frame.item), frame.recorded / 1e9)
        assert monitor.pairs == pairs
        assert told in monitor.summary() and bool(monitor.summary()) == bool(told)
