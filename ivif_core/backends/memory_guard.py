"""A bound on memory while a model is loaded or run for the first time: a few bytes of ONNX can ask for terabytes.

Without it Linux grants the request and then ends whichever process it likes. With it the allocation fails, and the
runtime says so.
"""

from __future__ import annotations

import contextlib
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_LOCK = threading.Lock()
_inside = 0
_before = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def available_memory() -> int | None:
    """Bytes that this process can still take from the machine, or from its container; None where nobody says."""
    bounds = []
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        bounds.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with contextlib.suppress(OSError, ValueError):  # 'max' where the container has no limit
        limit, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        bounds.append(max(limit - used, 0))
    return min(bounds, default=None)


@contextlib.contextmanager
def within_available_memory(limit: int | None = None) -> Iterator[None]:
    """Inside, the process gets no more private memory than the machine has left (RLIMIT_DATA, Linux 4.7).

    Args:
        limit: bytes, where less is enough.
    """
    _enter(limit)
    try:
        yield
    finally:
        _leave()


def _enter(limit: int | None) -> None:
    global _inside, _before
    with _LOCK:  # threads share the limit: the first one sets it, the last one takes it back
        _inside += 1
        if _inside == 1:
            _before = resource.getrlimit(resource.RLIMIT_DATA)
            available, used = available_memory(), _private_memory()
            if available is not None and used is not None:
                bound = used + min(available, limit or available)
                soft, hard = _before
                if soft == resource.RLIM_INFINITY or bound < soft:
                    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


def _leave() -> None:
    global _inside
    with _LOCK:
        _inside -= 1
        if _inside == 0:
            resource.setrlimit(resource.RLIMIT_DATA, _before)


def _private_memory() -> int | None:
    """What RLIMIT_DATA counts of this process, bytes."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmData")).split()[1])
    return None
