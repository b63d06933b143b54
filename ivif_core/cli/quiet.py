"""Standard error for this program's own lines alone: codecs and runtimes of C and C++ write past Python to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def only_own_lines() -> Iterator[None]:
    """In the context, what is written to file descriptor 2 is lost, and `sys.stderr` goes where that led before.

    libpng, libjpeg, OpenCV and ONNX Runtime print what the one line of an error says again, or what is no error.
    `IVIF_TRACEBACK=1` shows it. Where `sys.stderr` is not file descriptor 2 (a test's), nothing changes.
    """
    before = sys.stderr
    if os.environ.get("IVIF_TRACEBACK") or not _is_standard_error(before):
        yield
        return
    before.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    sys.stderr = open(  # noqa: SIM115
        kept, "w", buffering=1, encoding=before.encoding, errors=before.errors, closefd=False
    )
    try:
        yield
    finally:
        with suppress(OSError):  # nobody reads it any more
            sys.stderr.flush()
        sys.stderr = before
        os.dup2(kept, 2)
        os.close(kept)


def _is_standard_error(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
