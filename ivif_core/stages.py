"""Stages that overlap: one thread makes items while the next stage takes them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = 0.05
"""Seconds after which a waiting thread looks whether it shall stop."""


def overlapped(items: Iterable[T], ahead: int = 3) -> Iterator[T]:
    """The same items in the same order, made in a thread of their own.

    What `items` raises is raised here, after the items before it. Leaving early stops the thread and closes `items`.

    Args:
        items: consumed by that thread only, so a generator may keep state.
        ahead: items made and not yet taken, at most.
    """
    made: Queue[tuple[bool, T | BaseException | None]] = Queue(ahead)
    stopped = threading.Event()

    def put(is_item: bool, value: T | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                made.put((is_item, value), timeout=_PATIENCE)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not put(True, item):
                    break
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            put(False, error)

    thread = threading.Thread(target=work, name="stage", daemon=True)
    thread.start()
    try:
        while True:
            try:
                is_item, value = made.get(timeout=_PATIENCE)
            except Empty:
                continue
            if is_item:
                yield value  # type: ignore[misc]
            elif value is not None:
                raise value  # type: ignore[misc]
            else:
                return
    finally:
        stopped.set()
        thread.join()
