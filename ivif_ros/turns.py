"""Threads that take work up and hand it over in one order, and do what lies between at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Numbers given where work is taken up, and waited for where it is handed over.

    Attributes:
        taking: to be held while work is taken up; by one thread at a time, so that the numbers have its order.
    """

    def __init__(self) -> None:
        self.taking = threading.Lock()
        self._changed = threading.Condition()
        self._taken = self._handed_over = 0

    def is_idle(self) -> bool:
        """Whether all that was taken up has been handed over."""
        return self._taken == self._handed_over

    def take(self) -> int:
        """The next number; call it while `taking` is held. All later ones wait until whoever took it has left `of`."""
        self._taken += 1
        return self._taken - 1

    @contextmanager
    def of(self, number: int) -> Iterator[None]:
        """Wait until all that took a number before have left this."""
        with self._changed:
            self._changed.wait_for(lambda: self._handed_over == number)
        try:
            yield
        finally:
            with self._changed:
                self._handed_over += 1
                self._changed.notify_all()
