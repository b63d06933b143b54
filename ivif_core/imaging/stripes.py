"""Work on an image in stripes of rows that fit a processor's cache, in several threads where there are cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

_SHARE = 1 << 19
"""Fewest pixels that are worth a thread of their own: to hand them over costs some tens of microseconds."""


def parts_of(rows: int, step: int, threads: int | None, pixels: int) -> list[range]:
    """The first rows of all stripes, shared out to threads: one range each, together 0, step, 2·step … below `rows`.

    Args:
        threads: at most so many; None: as many as this process may use cores.
        pixels: of the image.
    """
    stripes = -(-rows // step)
    count = min(threads or len(os.sched_getaffinity(0)), stripes, max(pixels // _SHARE, 1))
    ends = [stripes * part // count for part in range(count + 1)]
    return [range(top * step, min(bottom * step, rows), step) for top, bottom in pairwise(ends)]


def run_parts(work: Callable[[range], None], parts: list[range]) -> None:
    """Call `work` with each part, all at the same time; the caller's thread takes the first.

    OpenCV lets go of Python's lock while it works, so the threads do run beside each other.
    """
    others = [_pool().submit(work, part) for part in parts[1:]]
    try:
        work(parts[0])
    finally:
        wait(others)  # they write into the caller's buffers
    for other in others:
        other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="stripes")
