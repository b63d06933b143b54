"""Nearest pairing against brute force over whole recordings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.errors import ConfigError
from ivif_core.sync.nearest import NearestPairing

MS = 1_000_000
ROOMY = 1000


@st.composite
def recordings(draw):
    """Two streams of growing stamps (ns), merged by stamp."""
    frames = []
    for source in ("infrared", "visible"):
        stamp = draw(st.integers(0, 100 * MS))
        for gap in draw(st.lists(st.integers(1, 150 * MS), max_size=15)):
            stamp += gap
            frames.append((stamp, source))
    return sorted(frames)


def fed(pairing, frames):
    pairs = [pair for stamp, source in frames for pair in pairing.add(source, stamp, (source, stamp))]
    return pairs + pairing.finish()


def brute_force(frames, slop, hold):
    """For every visible frame, all infrared frames of the recording."""
    infrared = [stamp for stamp, source in frames if source == "infrared"]
    pairs = []
    for visible in (stamp for stamp, source in frames if source == "visible"):
        near = sorted((abs(other - visible), other) for other in infrared if abs(other - visible) <= slop)
        held = [other for other in infrared if 0 <= visible - other <= hold]
        if near:
            pairs.append((near[0][1], visible))
        elif held:
            pairs.append((max(held), visible))
    return pairs


@given(frames=recordings(), slop=st.integers(0, 80 * MS), hold=st.integers(0, 300 * MS))
def test_pairs_are_the_nearest_of_the_whole_recording(frames, slop, hold):
    pairing = NearestPairing(slop / 1e9, ROOMY, hold=hold / 1e9)
    pairs = fed(pairing, frames)
    assert [(pair.infrared_stamp, pair.visible_stamp) for pair in pairs] == brute_force(frames, slop, hold)
    for pair in pairs:
        assert pair.infrared == ("infrared", pair.infrared_stamp)
        assert pair.visible == ("visible", pair.visible_stamp)
        assert pair.offset == (pair.infrared_stamp - pair.visible_stamp) / 1e9
    visible = sum(source == "visible" for _, source in frames)
    assert pairing.dropped["visible_unmatched"] == visible - len(pairs)


@given(frames=recordings(), offset=st.integers(0, 100 * MS))
def test_constant_offset(frames, offset):
    """Infrared stamps that are late by a constant are paired as if they were not."""
    late = [(stamp + offset if source == "infrared" else stamp, stamp, source) for stamp, source in frames]
    pairing = NearestPairing(0.04, ROOMY, infrared_offset=-offset / 1e9)
    pairs = fed(pairing, [(stamped, source) for stamped, _, source in late])
    expected = brute_force(frames, 40 * MS, 0)
    assert [(pair.infrared_stamp - offset, pair.visible_stamp) for pair in pairs] == expected


def test_nine_against_thirty_hertz():
    frames = sorted(
        [(round(number / 9 * 1e9), "infrared") for number in range(90)]
        + [(round(number / 30 * 1e9) + 5 * MS, "visible") for number in range(300)]
    )
    pairing = NearestPairing(0.060, 10)
    pairs = fed(pairing, frames)
    assert len(pairs) == 300 - 1  # the last one comes over 60 ms after the last infrared frame
    served = [pair.infrared_stamp for pair in pairs]
    assert {served.count(stamp) for stamp in set(served[4:-4])} == {3, 4}
    assert not pairing.dropped["infrared_unmatched"]


def test_wait_is_bounded_by_slop():
    pairing = NearestPairing(0.050, 10)
    pairing.add("infrared", 0, "i")
    assert pairing.add("visible", 20 * MS, "v0") == []
    assert pairing.add("visible", 39 * MS, "v1") == []  # an infrared frame at 21 ... 39 ms would still be nearer to v0
    decided = pairing.add("visible", 40 * MS, "v2")
    assert [(pair.infrared, pair.visible) for pair in decided] == [("i", "v0")]


def test_hold_gives_the_age():
    pairing = NearestPairing(0.010, 10, hold=0.5)
    pairing.add("infrared", 0, "i")
    pairs = fed(pairing, [(number * 100 * MS, "visible") for number in range(1, 9)])
    assert [pair.offset for pair in pairs] == [-0.1, -0.2, -0.3, -0.4, -0.5]
    assert pairing.dropped["visible_unmatched"] == 3


def test_infrared_that_served_is_not_counted_as_unmatched():
    pairing = NearestPairing(0.010, 2)
    for number in range(6):
        pairing.add("infrared", number * 100 * MS, number)
        if number == 1:
            assert pairing.add("visible", 100 * MS, "v")
    assert pairing.dropped["infrared_unmatched"] == 3  # 0, 2 and 3 left the queue; 1 had served


def test_stamps_that_jump_back_begin_anew():
    pairing = NearestPairing(0.010, 5)
    pairing.add("infrared", 2000 * MS, "old")
    pairing.add("visible", 2009 * MS, "waits")
    assert pairing.add("visible", 5 * MS, "new") == []
    pairs = pairing.add("infrared", 6 * MS, "fresh")
    assert [(pair.infrared, pair.visible) for pair in pairs] == [("fresh", "new")]
    assert pairing.dropped["stamp_jump"] == 1
    assert pairing.dropped["infrared_unmatched"] == 1


def test_bad_hold_is_named():
    with pytest.raises(ConfigError, match="hold"):
        NearestPairing(0.1, 5, hold=-1)
