"""Streams that meet or miss each other: what is found, and that the remedy named does mend it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import ApproximatePairing
from ivif_core.sync.unpaired import PairMonitor

EPOCH = 1_700_000_000


def watched(pairing, rates, stamp, *, seconds=6.0, delay=lambda t: 0.005, phase=0.0):
    """Both cameras through the pairing; `stamp` and `delay` are of infrared, at time t. Also when it was unpaired."""
    monitor, unpaired = PairMonitor(pairing), []
    frames = []
    for source, rate in zip(("infrared", "visible"), rates, strict=True):
        for number in range(int(seconds * rate)):
            t = number / rate + (phase if source == "infrared" else 0)
            infrared = source == "infrared"
            stamped = EPOCH + (stamp(t) if infrared else t)
            frames.append((t + (delay(t) if infrared else 0.003), source, round(stamped * 1e9)))
    for now, source, stamped in sorted(frames):
        monitor.frame(source, stamped, now)
        monitor.paired(pairing.add(source, stamped, None), now)
        if monitor.is_unpaired(now):
            unpaired.append(now)
    return monitor, unpaired


def remedied(kind, text, slop, queue_size):
    """A pairing with the first setting that the text names between back quotes."""
    name, value = re.search(r"`(\w+): ([-.\d]+)`", text).groups()
    values = {"slop": slop, "queue_size": queue_size, "thermal_time_offset": 0.0, name: float(value)}
    return kind(values["slop"], int(values["queue_size"]), values["thermal_time_offset"])


@pytest.mark.parametrize("kind", [ApproximatePairing, NearestPairing])
@pytest.mark.parametrize("rates", [(30, 30), (9, 30), (15, 15), (5, 5), (60, 30), (2, 10)])
@pytest.mark.parametrize("offset", [-2.0, -0.7, 2.0, 7.3])
def test_a_constant_offset_is_measured_and_its_remedy_mends_it(kind, rates, offset):
    """(Thermal twice as fast as RGB is paired greedily, off by a frame; see the test of steady offsets.)"""
    slop = 0.6 / min(rates)
    monitor, unpaired = watched(kind(slop, 10), rates, lambda t: t + offset, seconds=8)
    if not unpaired:  # a slow camera's queue reaches that far back
        assert monitor.pairs and 10 / min(rates) > abs(offset) - 1
        return
    assert unpaired[0] < 1.1 + 5 / min(rates)
    found = monitor.finding()
    assert found.cause == "offset" and found.offset == pytest.approx(offset, abs=0.01)
    assert f"slop {slop:g} s" in found.text and "queue_size 10" in found.text and "\n" not in found.text
    mended, unpaired = watched(remedied(kind, found.text, slop, 10), rates, lambda t: t + offset)
    assert mended.pairs >= 0.8 * 6 * min(rates) and unpaired == []
    assert "no partner" not in mended.summary()


def test_the_remedy_replaces_the_offset_that_is_set():
    monitor, _ = watched(ApproximatePairing(0.05, 10, 0.5), (30, 30), lambda t: t + 2)
    assert "2.50 s ahead" in monitor.finding().text and "`thermal_time_offset: -2.0`" in monitor.finding().text


def test_frames_that_come_late_need_a_longer_queue():
    late = {"rates": (30, 30), "stamp": lambda t: t, "delay": lambda t: 0.8}
    monitor, unpaired = watched(ApproximatePairing(0.05, 10), **late)
    assert unpaired
    needed = int(
        re.search(r"`queue_size: (\d+)` if infrared frames do come that late", monitor.finding().text).group(1)
    )
    mended, _ = watched(ApproximatePairing(0.05, needed), **late)
    assert mended.pairs >= 150


def test_clumps_do_not_spoil_the_offset():
    clumps = lambda t: 0.1 - (t + 1e-9) % 0.1 - 0.033 + 0.005  # noqa: E731
    monitor, unpaired = watched(ApproximatePairing(0.05, 10), (30, 30), lambda t: t + 2, delay=clumps)
    assert unpaired and monitor.finding().offset == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("kind", [ApproximatePairing, NearestPairing])
def test_a_stamp_that_is_stuck_is_named(kind):
    monitor, unpaired = watched(kind(0.05, 10), (30, 30), lambda t: min(t, 1.0))
    found = monitor.finding()
    assert unpaired[0] == pytest.approx(2.05, abs=0.05)
    assert found.cause == "stuck" and found.offset is None and str((EPOCH + 1) * 10**9) in found.text
    assert "thermal_time_offset" not in found.text and "driver" in found.text


def test_stamps_that_wander_are_named():
    monitor, unpaired = watched(ApproximatePairing(0.01, 10), (30, 30), lambda t: 3 * t + 20)
    assert unpaired and monitor.finding().cause == "unsteady"
    assert "infrared stamps vary by" in monitor.finding().text and "visible stamps" not in monitor.finding().text


@pytest.mark.parametrize(("kind", "nearest"), [(ApproximatePairing, True), (NearestPairing, False)])
def test_slop_that_is_too_small_for_the_phase(kind, nearest):
    monitor, unpaired = watched(kind(0.008, 10), (30, 30), lambda t: t, phase=0.016)
    found = monitor.finding()
    assert unpaired and found.cause == "slop"
    assert ("`pairing: nearest`" in found.text) == nearest
    mended, _ = watched(remedied(kind, found.text, 0.008, 10), (30, 30), lambda t: t, phase=0.016)
    assert mended.pairs >= 170


def test_a_clock_that_jumps_is_told_by_the_frames_since():
    monitor, unpaired = watched(ApproximatePairing(0.05, 10), (30, 30), lambda t: t + (3 if t > 4 else 0), seconds=5.5)
    assert unpaired and monitor.finding().cause == "offset"
    assert monitor.finding().offset == pytest.approx(3.0, abs=0.01)


def test_too_far_for_the_parameter():
    monitor, _ = watched(ApproximatePairing(0.05, 10), (30, 30), lambda t: t - 60)
    assert "clocks" in monitor.finding().text and "thermal_time_offset" not in monitor.finding().text


def test_slow_cameras_have_time_for_five_frames():
    _, unpaired = watched(ApproximatePairing(0.05, 2), (1, 30), lambda t: t - 0.5, seconds=10)
    assert unpaired[0] == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("rates", [(30, 30), (9, 30), (30, 9), (60, 25)])
@pytest.mark.parametrize("kind", [ApproximatePairing, NearestPairing])
def test_cameras_that_meet_raise_nothing(kind, rates):
    monitor, unpaired = watched(kind(0.06, 10), rates, lambda t: t, phase=0.004)
    assert (unpaired, monitor.alias(), monitor.summary()) == ([], "", "")


def test_steady_offset_of_more_than_half_a_frame_time_is_named():
    """20 ms at 30 Hz, paired with the frame before though the next is nearer; 15 ms are all right."""
    monitor, _ = watched(ApproximatePairing(0.05, 10), (30, 30), lambda t: t + 0.02)
    assert "pairs are 0.020 s apart" in monitor.alias() and "`thermal_time_offset: -0.02`" in monitor.alias()
    assert monitor.summary() == monitor.alias()
    monitor, _ = watched(ApproximatePairing(0.05, 10), (30, 30), lambda t: t + 0.015)
    assert monitor.alias() == ""


@pytest.mark.parametrize("offset", [0.04, -0.2, 0.29])
def test_pairs_of_frames_that_arrived_apart_are_named(offset):
    """Stamps a frame or more off find a partner, just another one."""
    monitor, unpaired = watched(ApproximatePairing(0.016, 12), (30, 30), lambda t: t + offset, phase=0.001)
    assert not unpaired and monitor.pairs > 150
    named = float(re.search(r"`thermal_time_offset: ([-.\d]+)`", monitor.alias()).group(1))
    assert "arrive" in monitor.alias() and named == pytest.approx(-offset, abs=0.005)


def test_another_offset_that_is_set_live_starts_anew():
    pairing = ApproximatePairing(0.05, 10)
    monitor, _ = watched(pairing, (30, 30), lambda t: t + 0.02)
    pairing.infrared_offset = -0.02
    monitor.frame("infrared", EPOCH * 10**9, 10.0)
    assert monitor.alias() == ""


def test_summary_of_a_recording():
    monitor, _ = watched(ApproximatePairing(0.05, 10), (15, 30), lambda t: t - 2 if t > 1 else t)
    assert monitor.summary().startswith("only 16 pairs of 90 infrared and 180 visible images: most frames find no")
    assert PairMonitor(ApproximatePairing(0.05, 10)).summary() == ""
    one, _ = watched(ApproximatePairing(0.05, 10), (30, 0), lambda t: t)
    assert one.summary() == "" and one.finding() is None


stamps = st.one_of(st.integers(0, 5), st.integers(0, 2**62), st.integers(-(10**12), 10**12))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["infrared", "visible"]), stamps, st.floats(0, 2)), max_size=40))
def test_whatever_the_stamps_there_is_one_line(frames):
    pairing, now = NearestPairing(0.05, 3), 0.0
    monitor = PairMonitor(pairing)
    for source, stamp, gap in frames:
        now += gap
        monitor.frame(source, stamp, now)
        monitor.paired(pairing.add(source, stamp, None), now)
        monitor.is_unpaired(now)
        found = monitor.finding()
        assert found is None or (len(found.text) < 500 and "\n" not in found.text)
        assert len(monitor.alias()) < 500 and len(monitor.summary()) < 700
