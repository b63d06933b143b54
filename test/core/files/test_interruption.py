"""Signals during short stretches that must not be cut in two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from ivif_core.files import interruption
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


NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("first", NUMBERS)
def test_nothing_disturbs_the_tidying_up(first, monkeypatch):
    tidy = []
    with pytest.raises((KeyboardInterrupt, Terminated)) as raised, ended_by_signals():
        try:
            os.kill(os.getpid(), first)
        finally:
            for number in NUMBERS:
                os.kill(os.getpid(), number)
            tidy.append(True)
    assert tidy and getattr(raised.value, "status", 128 + signal.SIGINT) == 128 + first
    monkeypatch.setattr(interruption, "PATIENCE", 0.0)
    with pytest.raises(Terminated), ended_by_signals():  # one that was lost, as in a destructor, is no end of it
        with suppress(KeyboardInterrupt, Terminated):
            os.kill(os.getpid(), first)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_process_that_is_at_its_end_is_interrupted_without_a_trace():
    code = (
        "import atexit, os, signal, sys; from ivif_core.cli.main import main\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "sys.argv[1:] = ['--version']\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGINT and done.stderr == "" and done.stdout.startswith("ivif ")


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
