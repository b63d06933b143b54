from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy")
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.sync.pairing import ApproximatePairing
from ivif_ros.synchronizer import Latest, MessageFiltersPairing, make_pairing

MS = 1_000_000


@st.composite
def streams(draw):
    """Two cameras with growing stamps, as they arrive; no two stamps exactly the slop apart (odd against even ms)."""
    events = []
    for source, parity in (("infrared", 0), ("visible", 1)):
        stamp = draw(st.integers(0, 20)) * 2 + parity
        for _ in range(draw(st.integers(0, 15))):
            events.append((stamp + draw(st.integers(0, 40)), source, stamp * MS))
            stamp += draw(st.integers(1, 30)) * 2
    in_order = {source: sorted(stamp for _, s, stamp in events if s == source) for source in ("infrared", "visible")}
    arrivals = [source for _, source, _ in sorted(events)]
    return [(source, in_order[source].pop(0)) for source in arrivals]


@given(streams(), st.integers(1, 20), st.integers(1, 6))
@settings(max_examples=200)
def test_message_filters_and_core_pairing_agree(events, half_slop, queue_size):
    pytest.importorskip("message_filters", reason="message_filters comes with a ROS distribution, not from PyPI")
    slop = 2 * half_slop / 1000
    pairings = [MessageFiltersPairing(slop, queue_size), ApproximatePairing(slop, queue_size)]
    results = [
        [p for source, stamp in events for p in pairing.add(source, stamp, (source, stamp))] for pairing in pairings
    ]
    assert results[0] == results[1]
    assert pairings[0].dropped == pairings[1].dropped


def test_message_filters_pairing_changes_live():
    pytest.importorskip("message_filters", reason="message_filters comes with a ROS distribution, not from PyPI")
    pairing = MessageFiltersPairing(0.01, 10, infrared_offset=0.1)
    assert pairing.add("infrared", 0, "i") == []
    assert [p.infrared for p in pairing.add("visible", 100 * MS, "v")] == ["i"]
    pairing.infrared_offset = 0.0
    pairing.add("infrared", 200 * MS, "late")
    assert pairing.add("visible", 230 * MS, "v") == []
    pairing.slop = 0.05
    assert [p.infrared for p in pairing.add("visible", 231 * MS, "w")] == ["late"]


def test_message_filters_pairing_drops_what_an_offset_takes_before_1970():
    pytest.importorskip("message_filters", reason="message_filters comes with a ROS distribution, not from PyPI")
    pairing = MessageFiltersPairing(0.01, 10, infrared_offset=-10.0)
    assert pairing.add("infrared", 5 * MS, "i") == []
    assert pairing.dropped == {"infrared_unmatched": 1}
    pairing.add("infrared", 10_005 * MS, "i")
    assert [p.infrared for p in pairing.add("visible", 5 * MS, "v")] == ["i"]


def test_make_pairing_takes_what_is_installed():
    pairing = make_pairing("approximate", 0.02, 7, 0.5)
    assert (pairing.slop, pairing.queue_size, pairing.infrared_offset) == (0.02, 7, 0.5)


def test_latest_keeps_only_the_newest_and_says_what_it_replaced():
    latest: Latest[int] = Latest()
    latest.put(1)
    latest.put(2)
    assert latest.get() == 2 and latest.replaced == 1
    latest.put(3)
    assert latest.get() == 3 and latest.replaced == 1


def test_latest_holds_a_burst_in_order():
    latest: Latest[int] = Latest(3)
    for burst in ([0, 1, 2], [3, 4, 5]):
        for number in burst:
            latest.put(number)
        assert [latest.get() for _ in burst] == burst
    assert latest.replaced == 0


def test_latest_gives_the_newest_to_a_side_that_is_too_slow_until_that_had_to_wait():
    latest: Latest[int] = Latest(3)
    for number in range(4):
        latest.put(number)
    assert latest.get() == 3 and latest.replaced == 3
    latest.put(4)
    latest.put(5)
    assert latest.get() == 5 and latest.replaced == 4  # not caught up: it has not waited
    waiting = threading.Timer(0.05, lambda: [latest.put(number) for number in (6, 7)])
    waiting.start()
    assert latest.get() == 6
    waiting.join()
    assert latest.get() == 7


def test_several_that_take_have_caught_up_when_one_waits_and_none_works():
    latest: Latest[int] = Latest(2)
    for number in range(3):
        latest.put(number)
    assert latest.get() == 2
    for first, is_idle, then in ((3, False, 5), (6, True, 7)):
        threading.Timer(0.05, latest.put, (first,)).start()
        assert latest.get(lambda is_idle=is_idle: is_idle) == first  # it had to wait
        latest.put(first + 1)
        latest.put(first + 2)
        assert latest.get() == then


@pytest.mark.parametrize("service", [1.05, 1.5, 3.0, 10.0])
def test_items_are_fresh_however_slow_the_other_side_is(service):
    """Simulated: one item each tick, the other side takes `service` ticks for one."""
    latest: Latest[int] = Latest(Latest.BURST)
    free, ages = 0.0, []
    for tick in range(400):
        latest.put(tick)
        if tick >= free:
            ages.append(tick - latest.get())
            free = max(tick, free) + service
    assert max(ages) <= Latest.BURST
    assert service < 2 or sum(ages[4:]) == 0  # once it is behind, always the newest


def test_latest_get_waits_for_put_and_ends_at_close():
    latest: Latest[int] = Latest()
    got = []

    def take() -> None:
        while (item := latest.get()) is not None:
            got.append(item)
            taken.set()

    taken = threading.Event()
    thread = threading.Thread(target=take)
    thread.start()
    latest.put(1)
    assert taken.wait(5)
    latest.close()
    thread.join(5)
    assert not thread.is_alive()
    assert got == [1]
