"""What one frame frees is kept for the next, instead of being given back to the system and taken anew."""

from __future__ import annotations

import ctypes
import os

_KEPT = 256 << 20
"""Bytes of freed memory that a process keeps: some frames of 4K in all their forms."""
_TAKEN_FROM_HEAP = 32 << 20
"""Largest block that can be kept, in bytes; the most that glibc takes, and more than a 4K image in colour."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> bool:
    """Make this process's allocator keep large blocks (glibc only, as `mallopt(3)` says); call it before threads start.

    By default glibc gives a freed image back, and the system clears the pages of the next one, one by one: to receive
    an image of 6 MB took three times as long.

    Returns:
        False where nothing was changed: another C library, or the user has set the allocator up by environment.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _TAKEN_FROM_HEAP) and mallopt(_M_TRIM_THRESHOLD, _KEPT))
