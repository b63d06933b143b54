"""Files that people hand over, read within bounds: no device, no pipe, no file of gigabytes."""

from __future__ import annotations

import os
import stat

from ivif_core.errors import ConfigError, one_line

MAXIMUM_TEXT = 4 << 20
"""Bytes of a YAML or JSON file. The largest that this package writes has some kilobytes."""


def read_bytes(path: str | os.PathLike[str], limit: int) -> bytes:
    """All of an ordinary file.

    Raises:
        ConfigError: there is none, it cannot be read, it is a device, a pipe or a folder, or it is larger than `limit`.
    """
    try:
        # Opening a pipe without this flag would wait for its other end.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise ConfigError(f"{one_line(path)}: cannot be read: expected a regular file, no folder, pipe or device")
        with os.fdopen(handle, "rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:  # a name may hold a zero byte
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{one_line(path)}: cannot be read: {getattr(error, 'strerror', None) or one_line(error)}"
        ) from error
    if len(content) > limit:
        raise ConfigError(f"{one_line(path)}: cannot be read: larger than {limit:,} bytes")
    return content


def read_text(path: str | os.PathLike[str], limit: int = MAXIMUM_TEXT) -> str:
    """UTF-8 text of an ordinary file.

    Raises:
        ConfigError: as `read_bytes`, or it is no UTF-8.
    """
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{one_line(path)}: cannot be read: byte {error.start} is not UTF-8") from error
