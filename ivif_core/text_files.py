"""Text files, read with bounds."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ivif_core.errors import InputError, one_line, shown


def read_text(path: str | os.PathLike[str], most_bytes: int) -> str:
    """UTF-8 text of a regular file. Pipes, devices and folders are refused before they are opened: they may block.

    Raises:
        InputError: no such file, not a regular one, over `most_bytes` long, or not UTF-8.
    """
    try:
        _check_regular(Path(path).stat(), path)
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            _check_regular(os.fstat(file.fileno()), path)  # it may be another one by now
            data = file.read(most_bytes + 1) or b""  # None: the kernel has nothing to say yet
    except OSError as error:
        raise InputError(f"{one_line(path)}: cannot be read: {error.strerror}") from error
    except InputError:
        raise
    except ValueError as error:  # a null character in the path
        raise InputError(f"{shown(path)}: cannot be read: {one_line(error)}") from error
    if len(data) > most_bytes:
        raise InputError(f"{one_line(path)}: cannot be read: expected at most {most_bytes:,} bytes of text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{one_line(path)}: cannot be read: no UTF-8 text (byte {error.start})") from error


def _check_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{one_line(path)}: cannot be read: expected a regular file, not a folder, pipe or device")
