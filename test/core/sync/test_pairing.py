"""Pairing against a brute-force oracle, and against message_filters where it is installed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ivif_core.errors import ConfigError
from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import LASTING, ApproximatePairing

MS = 1_000_000


def disorder(draw, frames, most=3):
    """The frames with some up to `most` places late."""
    keys = [place + draw(st.sampled_from([0, 0, 0, *range(1, most + 1)])) for place in range(len(frames))]
    return [frame for _, frame in sorted(zip(keys, frames, strict=True), key=lambda pair: pair[0])]


@st.composite
def streams(draw, repeats=False, late=False):
    """Two cameras of growing stamps (ns), their frames in a random common order of arrival; some come late."""
    gaps = st.lists(st.integers(0 if repeats else 1, 60 * MS), max_size=14)
    frames = {}
    for source in ("infrared", "visible"):
        stamp, frames[source] = draw(st.integers(0, 40 * MS)), []
        for gap in draw(gaps):
            stamp += gap
            frames[source].append((source, stamp))
        if late:
            frames[source] = disorder(draw, frames[source])
    arrival = []
    while frames["infrared"] or frames["visible"]:
        source = draw(st.sampled_from([name for name in frames if frames[name]]))
        arrival.append(frames[source].pop(0))
    return arrival


def brute_force(arrival, slop, queue_size, infrared_offset=0):
    """All waiting frames in one list of (source, stamp), searched from end to end each time."""
    waiting, pairs, dropped, newest, late_frames = [], [], Counter(), {}, set()

    def bound(source):
        mine = sorted(frame for frame in waiting if frame[0] == source)
        for frame in mine[: max(0, len(mine) - queue_size)]:
            waiting.remove(frame)
            dropped[f"{source}_{'late' if frame in late_frames else 'unmatched'}"] += 1

    for source, stamp in arrival:
        stamp += infrared_offset if source == "infrared" else 0
        late = stamp < newest.get(source, stamp)
        newest[source] = max(stamp, newest.get(source, stamp))
        if (source, stamp) in waiting:
            waiting.remove((source, stamp))
            dropped[f"{source}_duplicate"] += 1
        waiting.append((source, stamp))
        if late:
            late_frames.add((source, stamp))
        else:
            bound(source)
        others = [other for name, other in waiting if name != source and abs(other - stamp) <= slop]
        if others:
            other = min(others, key=lambda other: (abs(other - stamp), other))
            for name in NAMES:
                waiting.remove((name, stamp if name == source else other))
            infrared, visible = (stamp, other) if source == "infrared" else (other, stamp)
            pairs.append((infrared - infrared_offset, visible))
        bound(source)
    return pairs, +dropped


NAMES = {"infrared", "visible"}
slops = st.integers(0, 50 * MS)
sizes = st.integers(1, 6)


def run(pairing, arrival):
    return [pair for source, stamp in arrival for pair in pairing.add(source, stamp, (source, stamp))]


@given(streams(repeats=True, late=True), slops, sizes, st.integers(-80 * MS, 80 * MS))
def test_pairs_and_drops_against_brute_force(arrival, slop, queue_size, offset):
    pairing = ApproximatePairing(slop / 1e9, queue_size, offset / 1e9)
    pairs = run(pairing, arrival)
    expected, dropped = brute_force(arrival, slop, queue_size, offset)
    assert [(pair.infrared_stamp, pair.visible_stamp) for pair in pairs] == expected
    assert +pairing.dropped == dropped
    for pair in pairs:
        assert pair.infrared == ("infrared", pair.infrared_stamp) and pair.visible == ("visible", pair.visible_stamp)
        assert pair.offset == pytest.approx((pair.infrared_stamp + offset - pair.visible_stamp) / 1e9, abs=1e-12)
        assert abs(pair.offset) <= slop / 1e9


@given(streams(), slops, sizes)
def test_same_pairs_as_message_filters(arrival, slop, queue_size):
    filters = pytest.importorskip("message_filters")
    from std_msgs.msg import Header

    stamps = {source: [stamp for name, stamp in arrival if name == source] for source in NAMES}
    assume(all(abs(a - b) != slop for a in stamps["infrared"] for b in stamps["visible"]))
    inputs = {"infrared": filters.SimpleFilter(), "visible": filters.SimpleFilter()}
    seen = []
    synchronizer = filters.ApproximateTimeSynchronizer(list(inputs.values()), queue_size, slop / 1e9)
    synchronizer.registerCallback(lambda *messages: seen.append(tuple(message.nanoseconds for message in messages)))

    class Message:
        def __init__(self, nanoseconds):
            self.nanoseconds, self.header = nanoseconds, Header()
            self.header.stamp.sec, self.header.stamp.nanosec = divmod(nanoseconds, 10**9)

    for source, stamp in arrival:
        inputs[source].signalMessage(Message(stamp))
    pairs = run(ApproximatePairing(slop / 1e9, queue_size), arrival)
    assert [(pair.infrared_stamp, pair.visible_stamp) for pair in pairs] == seen


def test_exactly_slop_apart_belongs_together_and_a_nanosecond_more_does_not():
    for distance, count in ((20 * MS, 1), (20 * MS + 1, 0)):
        assert len(run(ApproximatePairing(0.02, 5), [("infrared", 10**18), ("visible", 10**18 + distance)])) == count


def test_a_constant_offset_is_taken_out():
    pairing = ApproximatePairing(0.005, 5, infrared_offset=-0.1)
    (pair,) = run(pairing, [("infrared", 1_102 * MS), ("visible", 1_000 * MS)])
    assert (pair.infrared_stamp, pair.visible_stamp) == (1_102 * MS, 1_000 * MS)
    assert pair.offset == pytest.approx(0.002)


@st.composite
def thirty_hertz(draw):
    """Stamps of two cameras at 30 Hz, a few ms apart, each up to three frames late; and in what order they come."""
    apart = draw(st.integers(-12, 12)) * MS
    arrival = []
    for source, shift in (("infrared", apart), ("visible", 0)):
        stamps = disorder(draw, [1000 * MS + number * 33 * MS + shift for number in range(draw(st.integers(1, 14)))])
        arrival += [(place, source, stamp) for place, stamp in enumerate(stamps)]
    order = sorted(arrival, key=lambda frame: frame[0] + draw(st.integers(0, 1)))
    in_turn = {name: iter([stamp for _, source, stamp in arrival if source == name]) for name in NAMES}
    return apart, [(source, next(in_turn[source])) for _, source, _ in order]


@pytest.mark.parametrize("kind", [ApproximatePairing, NearestPairing])
@given(recording=thirty_hertz())
def test_late_frames_lose_nothing_that_still_waits(kind, recording):
    apart, arrival = recording
    pairing = kind(0.016, 10)
    pairs = run(pairing, arrival) + pairing.finish()
    stamps = {name: {stamp for source, stamp in arrival if source == name} for name in NAMES}
    expected = {(stamp + apart, stamp) for stamp in stamps["visible"] if stamp + apart in stamps["infrared"]}
    assert {(pair.infrared_stamp, pair.visible_stamp) for pair in pairs} >= expected
    if kind is ApproximatePairing:
        assert len(pairs) == len(expected)
    assert not pairing.dropped["stamp_jump"]


@pytest.mark.parametrize("kind", [ApproximatePairing, NearestPairing])
@pytest.mark.parametrize("swapped", ["infrared", "visible"])
@pytest.mark.parametrize("rate", [0.5, 9, 30, 60])
def test_every_fourth_frame_swapped_with_its_neighbour(kind, swapped, rate):
    period = round(1e9 / rate)
    arrival = []
    for number in range(200):
        for source in ("infrared", "visible"):
            place = number
            if source == swapped and number % 4 in (2, 3):
                place = number + 1 if number % 4 == 2 else number - 1
            arrival.append((source, 10**18 + place * period))
    pairing = kind(0.4 / rate, 10)
    pairs = run(pairing, arrival) + pairing.finish()
    assert sorted(pair.visible_stamp for pair in pairs) == [10**18 + number * period for number in range(200)]
    assert {pair.offset for pair in pairs} == {0.0}
    assert not +pairing.dropped


def test_a_late_frame_without_partner_is_dropped_alone():
    pairing = ApproximatePairing(0.005, 3)
    arrival = [(source, number * 33 * MS) for number in range(10) for source in NAMES if number != 2]
    late = [*arrival[:14], ("infrared", 66 * MS), *arrival[14:]]
    assert len(run(pairing, late)) == 9
    run(pairing, [("infrared", stamp * MS) for stamp in (400, 433, 466)])
    assert pairing.dropped == Counter(infrared_late=1)


@pytest.mark.parametrize("kind", [ApproximatePairing, NearestPairing])
def test_stamps_that_jump_back_clear_and_pairing_resumes(kind):
    """A bag that loops: what waits from the first round must not meet the second."""
    pairing = kind(0.02, 10)
    first = [(source, stamp * MS) for stamp in (2000, 2033, 2066) for source in ("infrared", "visible")]
    assert len(run(pairing, first)) == 3
    assert run(pairing, [("infrared", 2099 * MS), ("visible", 2500 * MS), ("infrared", 0)]) == []
    unmatched = {"infrared_unmatched": 1, "visible_unmatched": 1}
    assert pairing.dropped == Counter(stamp_jump=1, **unmatched)
    assert len(run(pairing, [("visible", 0), *[(source, stamp - 1967 * MS) for source, stamp in first[:4]]])) == 3
    assert pairing.dropped["stamp_jump"] == 1


@pytest.mark.parametrize("kind", [ApproximatePairing, NearestPairing])
def test_a_short_recording_that_loops_pairs_on(kind):
    """0.8 s, again and again: each step back is small, and lasts."""
    pairing = kind(0.01, 5)
    for _ in range(5):
        for number in range(24):
            run(pairing, [(source, number * 33 * MS) for source in ("infrared", "visible")])
    assert pairing.dropped["stamp_jump"] == 4
    lost = pairing.dropped["visible_unmatched"] + pairing.dropped["visible_late"]
    assert lost <= (4 * (LASTING - 1) if kind is NearestPairing else 0)


def test_a_jump_of_one_camera_that_lasts_starts_anew():
    pairing = ApproximatePairing(0.01, 5)
    run(pairing, [(source, 2000 * MS + number * 33 * MS) for number in range(30) for source in NAMES])
    back = [("infrared", 2500 * MS + number * 33 * MS) for number in range(20)]
    assert run(pairing, back) == []
    assert pairing.dropped["stamp_jump"] == 1
    assert len(run(pairing, [("visible", back[-1][1])])) == 1


def test_live_changes():
    pairing = ApproximatePairing(0.01, 5)
    assert run(pairing, [("infrared", 0), ("visible", 30 * MS)]) == []
    pairing.slop = 0.04
    assert [pair.visible_stamp for pair in run(pairing, [("infrared", 31 * MS)])] == [30 * MS]
    pairing.queue_size = 1
    run(pairing, [("infrared", 200 * MS), ("infrared", 300 * MS)])
    assert pairing.dropped["infrared_unmatched"] == 2
    pairing.infrared_offset = 0.1
    assert run(pairing, [("visible", 300 * MS)]) == []  # what waited was queued under the old offset
    assert [pair.offset for pair in run(pairing, [("infrared", 201 * MS)])] == [pytest.approx(0.001)]


def test_clear_forgets_frames_and_stamps_but_no_counts():
    pairing = ApproximatePairing(0.01, 1)
    run(pairing, [("infrared", 0), ("infrared", 50 * MS)])
    pairing.clear()
    assert run(pairing, [("visible", 50 * MS), ("infrared", 0)]) == []
    assert pairing.dropped == Counter(infrared_unmatched=1)


@pytest.mark.parametrize("slop,size", [(-0.1, 5), (float("nan"), 5), (float("inf"), 5), (0.1, 0)])
def test_nonsense_is_refused(slop, size):
    with pytest.raises(ConfigError, match="expected"):
        ApproximatePairing(slop, size)
