"""Order of what several threads do."""

from __future__ import annotations

import random
import threading
import time

import pytest

pytest.importorskip("rclpy")
from ivif_ros.turns import Turns


def test_work_is_handed_over_in_the_order_in_which_it_was_taken_up():
    turns, work, taken, given = Turns(), iter(range(60)), [], []

    def run(seed):
        patience = random.Random(seed)
        while True:
            with turns.taking:
                item = next(work, None)
                if item is None:
                    return
                number = turns.take()
                taken.append(item)
            time.sleep(patience.uniform(0, 0.002))
            with turns.of(number):
                given.append(item)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert taken == given == list(range(60))


def test_a_turn_that_fails_is_over():
    turns = Turns()
    first, second = turns.take(), turns.take()
    with pytest.raises(ZeroDivisionError), turns.of(first):
        1 / 0  # noqa: B018
    assert not turns.is_idle()
    with turns.of(second):
        pass
    assert turns.is_idle()
