"""A log that does not flood: what is said when, of what goes wrong again and again."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from ivif_core.errors import one_line

INTERVAL = 1.0
"""Seconds between two log lines of one cause."""
REMINDER = 60.0
"""Seconds after which a complaint that lasts is said again."""


class Complaints:
    """Decides what is said in the log: a complaint once until it changes, each cause at most once a second.

    Figures do not make another complaint of it: how old a stamp is changes with every frame.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def due(self, cause: str, complaint: str) -> bool:
        """Whether to say it now.

        Args:
            cause: of a set that is fixed by the program, never text from outside.
            complaint: what is wrong at the moment; empty: nothing, so that the same one is news when it comes again.
        """
        now, kind = self._clock(), re.sub(r"[+-]?\d[\d.]*", "#", complaint)
        with self._lock:
            said_at, said = self._said.get(cause, (float("-inf"), ""))
            if not kind:
                self._said[cause] = (said_at, "")
                return False
            due = now - said_at >= (REMINDER if kind == said else INTERVAL)
            if due:
                self._said[cause] = (now, kind)
            return due


class Problems:
    """What is wrong, told twice: to the log as `Complaints` allows, and for a while to the diagnostics."""

    LIFETIME = 2.0
    """Seconds for which a problem stays in the diagnostics."""

    def __init__(self, log: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            log: takes one line.
        """
        self._log, self._clock = log, clock
        self._complaints = Complaints(clock)
        self._recent: dict[str, tuple[float, str]] = {}

    def say(self, cause: str, problem: str) -> None:
        """To the log alone; empty: all is well."""
        if self._complaints.due(cause, problem):
            self._log(one_line(problem))

    def add(self, cause: str, problem: str) -> None:
        """To the log and to `recent`."""
        self._recent[cause] = (self._clock(), one_line(problem))
        self.say(cause, problem)

    def recent(self) -> list[str]:
        """The last problem of each cause, where it is not older than `LIFETIME`."""
        now = self._clock()
        return [problem for since, problem in list(self._recent.values()) if now - since < self.LIFETIME]
