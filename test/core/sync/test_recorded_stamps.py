from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.sync.pairing import ApproximatePairing
from ivif_core.sync.recorded_stamps import RecordedStamps
from ivif_core.sync.unpaired import PairMonitor

S = 1_000_000_000
NOW = 1_700_000_000 * S


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
