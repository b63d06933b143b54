"""Files that people hand over, read within bounds: no device, no pipe, no file of gigabytes, no YAML that unfolds."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import yaml

from ivif_core.errors import ConfigError

MAXIMUM_TEXT = 4 << 20
"""Bytes of a YAML or JSON file. The largest that this package writes has some kilobytes."""


def read_bytes(path: str | os.PathLike[str], limit: int) -> bytes:
    """All of an ordinary file.

    Raises:
        ConfigError: there is none, it cannot be read, it is a device, a pipe or a folder, or it is larger than `limit`.
    """
    try:
        # Opening a pipe without this flag would wait for its other end.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise ConfigError(f"{path}: cannot be read: it is no ordinary file")
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:  # a name may hold a zero byte
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > limit:
        raise ConfigError(f"{path}: cannot be read: larger than {limit} bytes")
    return content


def read_text(path: str | os.PathLike[str], limit: int = MAXIMUM_TEXT) -> str:
    """UTF-8 text of an ordinary file.

    Raises:
        ConfigError: as `read_bytes`, or it is no UTF-8.
    """
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: no UTF-8 text at byte {error.start}") from error


def load_yaml(text: str, path: str | Path) -> Any:
    """What a YAML text holds: plain values, lists and mappings; aliases are refused, since nine lines of them unfold to
    gigabytes where the content is copied or shown.

    Args:
        text: the YAML.
        path: for the error.

    Raises:
        ConfigError: it is no such YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError:
        raise ConfigError(f"{path}: cannot be read: nested too deeply") from None
    # Besides its own errors PyYAML lets through what int, float, datetime and base64 raise on what a tag promises.
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, KeyError, IndexError, AttributeError) as error:
        said = " ".join(str(error).split())[:300]
        raise ConfigError(f"{path}: cannot be read: {said}") from error


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.YAMLError(f"line {mark.line + 1} has an alias (*); write the value itself")
        return super().compose_node(parent, index)
