from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.stages import overlapped


@given(st.lists(st.integers()), st.integers(1, 5), st.integers(1, 4))
def test_items_come_whole_and_in_order_through_any_number_of_stages(items, ahead, depth):
    stages = iter(items)
    for _ in range(depth):
        stages = overlapped(stages, ahead)
    assert list(stages) == items


def test_an_error_comes_after_the_items_before_it():
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    taken = []
    with pytest.raises(ValueError, match="third"):
        for item in overlapped(overlapped(broken())):
            taken.append(item)
    assert taken == [1, 2]


def test_leaving_early_closes_every_stage_and_ends_its_thread():
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    before = threading.active_count()
    stages = overlapped(overlapped(endless()))
    assert next(stages) == 0
    stages.close()
    assert closed.is_set() and threading.active_count() == before


def test_no_more_is_made_ahead_than_allowed():
    made = []
    stages = overlapped((made.append(n) or n for n in range(100)), 3)
    assert next(stages) == 0
    time.sleep(0.2)
    assert len(made) <= 5  # the one taken, three that wait, one in hand
    stages.close()


def test_two_slow_stages_work_at_the_same_time():
    def slowly(items):
        for item in items:
            time.sleep(0.02)
            yield item

    started = time.perf_counter()
    assert list(slowly(overlapped(slowly(iter(range(20)))))) == list(range(20))
    assert time.perf_counter() - started < 0.7  # one after the other: 0.8
