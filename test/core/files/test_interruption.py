"""Signals during short stretches that must not be cut in two."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ivif_core.files.interruption import Terminated, ended_by_signals, held


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated), (signal.SIGHUP, Terminated)],
)
def test_a_signal_waits_for_the_end_of_the_outermost_block(number, raised):
    reached = []
    with pytest.raises(raised), ended_by_signals():
        with held():
            with held():
                os.kill(os.getpid(), number)
                reached.append("inner")
            reached.append("outer")
        reached.append("after")
    assert reached == ["inner", "outer"]


def test_the_first_of_several_signals_counts():
    with pytest.raises(Terminated) as raised, ended_by_signals(), held():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
    assert raised.value.status == 128 + signal.SIGTERM


def test_other_threads_hold_nothing_up():
    """Python runs handlers in the main thread: a worker that waits in `held` has no signal to fear."""
    inside, leave = threading.Event(), threading.Event()

    def worker() -> None:
        with held():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=worker)
    thread.start()
    inside.wait(10)
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        os.kill(os.getpid(), signal.SIGINT)
    leave.set()
    thread.join(10)
