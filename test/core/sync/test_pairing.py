"""Pairing against a brute-force oracle, and against message_filters where it is installed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ivif_core.errors import ConfigError
from ivif_core.sync.pairing import ApproximatePairing

MS = 1_000_000


@st.composite
def streams(draw, repeats=False):
    """Two cameras of growing stamps (ns), their frames in a random common order of arrival."""
    gaps = st.lists(st.integers(0 if repeats else 1, 60 * MS), max_size=14)
    frames = {}
    for source in ("infrared", "visible"):
        stamp, frames[source] = draw(st.integers(0, 40 * MS)), []
        for gap in draw(gaps):
            stamp += gap
            frames[source].append((source, stamp))
    arrival = []
    while frames["infrared"] or frames["visible"]:
        source = draw(st.sampled_from([name for name in frames if frames[name]]))
        arrival.append(frames[source].pop(0))
    return arrival


def brute_force(arrival, slop, queue_size, infrared_offset=0):
    """All waiting frames in one list of (source, stamp), searched from end to end each time."""
    waiting, pairs, dropped = [], [], Counter()
    for source, stamp in arrival:
        stamp += infrared_offset if source == "infrared" else 0
        if (source, stamp) in waiting:
            waiting.remove((source, stamp))
            dropped[f"{source}_duplicate"] += 1
        waiting.append((source, stamp))
        mine = sorted(frame for frame in waiting if frame[0] == source)
        for frame in mine[: max(0, len(mine) - queue_size)]:
            waiting.remove(frame)
            dropped[f"{source}_unmatched"] += 1
        others = [other for name, other in waiting if name != source and abs(other - stamp) <= slop]
        if others:
            other = min(others, key=lambda other: (abs(other - stamp), other))
            waiting = [
                frame for frame in waiting if frame not in ((source, stamp), *[(n, other) for n in NAMES - {source}])
            ]
            infrared, visible = (stamp, other) if source == "infrared" else (other, stamp)
            pairs.append((infrared - infrared_offset, visible))
    return pairs, +dropped


NAMES = {"infrared", "visible"}
slops = st.integers(0, 50 * MS)
sizes = st.integers(1, 6)


def run(pairing, arrival):
    return [pair for source, stamp in arrival for pair in pairing.add(source, stamp, (source, stamp))]


@given(streams(repeats=True), slops, sizes, st.integers(-80 * MS, 80 * MS))
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


def test_stamps_that_jump_back_clear_and_pairing_resumes():
    """A bag that loops: what waits from the first round must not meet the second."""
    pairing = ApproximatePairing(0.02, 10)
    first = [(source, stamp * MS) for stamp in (0, 33, 66) for source in ("infrared", "visible")]
    assert len(run(pairing, first)) == 3
    assert run(pairing, [("infrared", 99 * MS), ("visible", 500 * MS), ("infrared", 0)]) == []
    assert pairing.dropped == Counter(stamp_jump=1, infrared_unmatched=1, visible_unmatched=1)
    assert len(run(pairing, [("visible", 0), *first[2:]])) == 3
    assert pairing.dropped["stamp_jump"] == 1


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
