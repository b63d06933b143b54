"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is unfinished is removed on the way out."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
PATIENCE = 3.0
"""Seconds that the tidying up after a signal may take undisturbed."""

_seen: list[int] = []
"""SIGINT, once it came to this run."""
_holds = 0
_waiting: list[Callable[[], object]] = []
"""What signals ask for that came during `held`."""


class Terminated(BaseException):
    """Such a signal came; no `except Exception` holds it up.

    Attributes:
        status: exit status as a shell gives it, 128 + the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `Terminated` in the context where such a signal comes, and `KeyboardInterrupt` for SIGINT.

    What comes within `PATIENCE` of another changes nothing, so that it cannot disturb the tidying up; later it counts
    again: Python drops what is raised in a destructor. A signal that is ignored (`nohup`) stays so. Python delivers
    signals to the main thread only; in others, nothing. SIGINT is noted for `was_interrupted`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    quiet_until = -math.inf

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal quiet_until
        if number == signal.SIGINT:
            _seen.append(number)
        if _holds:
            return _waiting.append(lambda: end(number, None))
        now = time.monotonic()
        if now >= quiet_until:
            quiet_until = now + PATIENCE
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    _seen.clear()
    _waiting.clear()
    before = {each: signal.getsignal(each) for each in SIGNALS}
    taken = {each: handler for each, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        taken[signal.SIGINT] = signal.default_int_handler
    try:
        for each in taken:
            signal.signal(each, end)
        yield
    finally:
        for each, handler in taken.items():
            signal.signal(each, handler)


@contextmanager
def held() -> Iterator[None]:
    """Let signals wait for the end of this block, which must be short or ask `is_signal_held`.

    What is raised in a callback of C++ can be lost, too.
    An exception inside of `Thread.start`, `Queue.get` or `Future.result` can leave a lock of theirs taken for ever.
    """
    global _holds
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _holds += 1
    try:
        yield
    finally:
        _holds -= 1
        if not _holds and _waiting:
            first = _waiting[0]
            _waiting.clear()
            first()


def is_signal_held() -> bool:
    """Whether a signal waits for the end of `held`: work that can be given up should end."""
    return bool(_waiting)


def nothing_left_to_do() -> None:
    """From here on Ctrl-C ends the process without an exception: Python's own end would print it."""
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def was_interrupted() -> bool:
    """Whether Ctrl-C came: an extension module may make another error of it than `KeyboardInterrupt`."""
    return bool(_seen)


@contextmanager
def at_once() -> Iterator[None]:
    """End the process by Ctrl-C without an exception: for imports, where there is nothing to tidy up yet.

    A handler that is not this module's or Python's stays.
    """
    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler or getattr(before, "__module__", None) == __name__
    if threading.current_thread() is not threading.main_thread() or not ours:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
