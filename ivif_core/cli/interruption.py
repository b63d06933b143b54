"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is unfinished is removed on the way out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


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
    """Raise `Terminated` in the context where such a signal comes; once, so that nothing disturbs the tidying up.

    A signal that is ignored (`nohup`) stays so. Python delivers signals to the main thread only; in others, nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_IGN)
        raise Terminated(number)

    before = {each: signal.getsignal(each) for each in SIGNALS}
    taken = {each: handler for each, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for each in taken:
            signal.signal(each, end)
        yield
    finally:
        for each, handler in taken.items():
            signal.signal(each, handler)
