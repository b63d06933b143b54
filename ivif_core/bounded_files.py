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

MAXIMUM_VALUES = 200_000
"""Values in a YAML text."""


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
    """What a YAML text holds: plain values, lists and mappings.

    Nine lines of aliases may stand for gigabytes, which come to be where the content is copied or shown; so every alias
    counts as what it stands for.

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
    """Counts values as if every alias were written out."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._count = 0
        self._sizes: dict[str, int | None] = {}  # of anchors; None while their value is being read

    def compose_node(self, parent: Any, index: Any) -> Any:
        event, before = self.peek_event(), self._count
        is_alias = isinstance(event, yaml.AliasEvent)
        if is_alias and self._sizes.get(event.anchor, 0) is None:
            raise yaml.YAMLError(f"line {event.start_mark.line + 1} names the value that it is in")
        if not is_alias and event.anchor:
            self._sizes[event.anchor] = None
        self._count += (self._sizes.get(event.anchor) or 0) if is_alias else 1
        if self._count > MAXIMUM_VALUES:
            raise yaml.YAMLError(f"more than {MAXIMUM_VALUES} values")
        node = super().compose_node(parent, index)
        if not is_alias and event.anchor:
            self._sizes[event.anchor] = self._count - before
        return node
