"""Calls that must not hold up the thread that receives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from ivif_core.errors import ConfigError

T = TypeVar("T")


class BoundedCall:
    """Calls that may hang, as reading a file of a network share that is gone: the caller waits for a limited time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._thread: threading.Thread | None = None

    def __call__(self, make: Callable[[], T]) -> T:
        """What `make` gives, called in a thread of its own, one at a time.

        Raises:
            ConfigError: it, or the call before, does not end in time.
            Exception: whatever `make` raises.
        """
        if self._thread is not None and self._thread.is_alive():
            raise ConfigError("an earlier file is still being read; is its disk or network share there?")
        results: list[T] = []
        errors: list[Exception] = []

        def work() -> None:
            try:
                results.append(make())
            except Exception as error:
                errors.append(error)

        self._thread = threading.Thread(target=work, name="settings", daemon=True)
        self._thread.start()
        self._thread.join(self._seconds)
        if errors:
            raise errors[0]
        if not results:
            raise ConfigError(f"not read within {self._seconds:g} s; is its disk or network share there?")
        return results[0]
