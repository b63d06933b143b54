"""Stages that overlap: one thread makes items while the next stage takes them; several work on one stage's items."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import Empty, Full, Queue, SimpleQueue
from typing import TypeVar

from ivif_core.files.interruption import held

T = TypeVar("T")
U = TypeVar("U")

_PATIENCE = 0.05
"""Seconds after which a waiting thread looks whether it shall stop."""


def overlapped(items: Iterable[T], ahead: int = 3) -> Generator[T, None, None]:
    """The same items in the same order, made in a thread of their own.

    What `items` raises is raised here, after the items before it. Leaving early stops the thread and closes `items`.

    Args:
        items: consumed by that thread only, so a generator may keep state.
        ahead: items made and not yet taken, at most.
    """
    made: Queue[tuple[bool, T | BaseException | None]] = Queue(ahead)
    stopped = threading.Event()
    main = threading.main_thread()

    def put(is_item: bool, value: T | BaseException | None) -> bool:
        while not stopped.is_set() and main.is_alive():
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

    # No daemon: the interpreter ends those wherever they are, and inside of C++ that aborts the process.
    thread = threading.Thread(target=work, name="stage", daemon=False)
    try:
        with held():
            thread.start()
        while True:
            try:
                with held():
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
        while thread.is_alive():
            with held():
                thread.join(_PATIENCE)


def side_by_side(
    items: Iterable[T], is_work: Callable[[T], bool], workers: Sequence[Callable[[T], U]]
) -> Iterator[T | U]:
    """The items in order, those that are work replaced by what a worker makes of them.

    Each worker has a thread and works on one item at a time; up to twice as many as there are workers are under way.
    What a worker raises is raised here. Leaving early waits for the items that are being worked on.

    Args:
        items: consumed by the caller's thread.
        is_work: False: the item passes as it is.
        workers: which of them gets an item is left to chance.
    """
    free: SimpleQueue[Callable[[T], U]] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def work(item: T) -> U:
        worker = free.get()
        try:
            return worker(item)
        finally:
            free.put(worker)

    def is_done(future: Future[U], patience: float = 0) -> bool:
        with held():
            return bool(wait([future], patience).done)

    def result(future: Future[U]) -> U:
        while not is_done(future, _PATIENCE):
            pass
        return future.result()

    under_way: deque[tuple[Future[U] | None, T]] = deque()
    busy = 0
    with ThreadPoolExecutor(len(workers), thread_name_prefix="worker") as pool:
        try:
            for item in items:
                with held():
                    future = pool.submit(work, item) if is_work(item) else None
                busy += future is not None
                under_way.append((future, item))
                while under_way:
                    future, item = under_way[0]
                    if future is not None and busy <= 2 * len(workers) and not is_done(future):
                        break
                    under_way.popleft()
                    busy -= future is not None
                    yield item if future is None else result(future)
            for future, item in under_way:
                yield item if future is None else result(future)
        finally:
            with held():
                for future, _ in under_way:
                    if future is not None:
                        future.cancel()
