from __future__ import annotations

import gc
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.files.interruption import ended_by_signals
from ivif_core.offline.prefetch import overlapped, side_by_side


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
    """Each waits for the other within its own work: one after the other, neither would go on."""
    meeting = threading.Barrier(2, timeout=10)

    def met(items):
        for item in items:
            yield item
            meeting.wait()

    ahead = overlapped(met(range(20)))
    taken = [next(ahead)]
    for _ in range(19):
        meeting.wait()
        taken.append(next(ahead))
    assert taken == list(range(20))
    meeting.wait()
    assert list(ahead) == []


def is_even(number: int) -> bool:
    return number % 2 == 0


@given(st.lists(st.integers()), st.integers(1, 4))
def test_items_worked_on_side_by_side_keep_their_order(items, count):
    made = list(side_by_side(iter(items), is_even, [lambda number: (number, "worked on")] * count))
    assert made == [(number, "worked on") if is_even(number) else number for number in items]


def test_workers_work_at_the_same_time_and_each_on_one_item():
    meeting = threading.Barrier(3)  # passed only where three are in it at once
    busy = [threading.Lock() for _ in range(3)]

    def worker(lock: threading.Lock, number: int) -> int:
        assert lock.acquire(blocking=False)
        meeting.wait(timeout=10)
        lock.release()
        return number

    workers = [lambda number, lock=lock: worker(lock, number) for lock in busy]
    assert list(side_by_side(range(9), lambda number: True, workers)) == list(range(9))


def test_what_waits_for_the_workers_is_bounded():
    release = threading.Event()
    taken = []
    items = (taken.append(number) or number for number in range(1, 40))
    made = overlapped(side_by_side(items, is_even, [lambda number: release.wait(60) and number]), 100)
    assert next(made) == 1
    deadline = time.monotonic() + 10
    while len(taken) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert taken == [1, 2, 3, 4, 5, 6]  # one item in work, one that waits, and one that would be too many
    release.set()
    assert [*made] == list(range(2, 40))


def test_what_is_done_does_not_wait_for_more_work():
    taken = []

    def items() -> Iterator[int]:
        for number in (2, *range(3, 20001, 2)):
            taken.append(number)
            yield number
            time.sleep(0.001)

    made = side_by_side(items(), is_even, [lambda number: -number])
    assert next(made) == -2
    assert len(taken) < 10000
    made.close()


def test_an_error_of_a_worker_comes_in_its_turn_and_leaving_early_ends_the_threads():
    before = threading.active_count()
    taken = []
    with pytest.raises(ZeroDivisionError):
        for item in side_by_side(range(-2, 100), is_even, [lambda number: 2 / number] * 2):
            taken.append(item)
    assert taken == [-1.0, -1]
    made = side_by_side(range(100), is_even, [lambda number: number] * 2)
    assert next(made) == 0
    made.close()
    assert threading.active_count() == before


def test_ctrl_c_at_any_moment_leaves_no_thread_behind():
    """One that is left would be ended inside of C++ when the interpreter ends, which aborts the process."""

    def interrupt(delay: float) -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)

    def busy(items: Iterator[int]) -> Iterator[int]:
        return side_by_side(overlapped(items), lambda item: True, [lambda item: item] * 2)

    before = set(threading.enumerate())
    draw = random.Random(3)
    gc.freeze()  # what is in memory already is not looked through sixty times
    for _ in range(60):
        killer = threading.Thread(target=interrupt, args=(draw.uniform(0, 0.002),))
        with pytest.raises(KeyboardInterrupt), ended_by_signals():
            killer.start()
            for _item in busy(overlapped(itertools.count())):
                pass
        killer.join()
        gc.collect()  # the stages close with the loop's frame
        left = set(threading.enumerate()) - before
        for thread in left:
            thread.join(10)
        assert not any(thread.is_alive() for thread in left)
