"""YAML files from anywhere: bounded in size, nesting and what aliases unfold to; every fault is one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from ivif_core.errors import ConfigError, IvifError, one_line
from ivif_core.files.reading import read_text

MOST_BYTES = 200_000
MOST_VALUES = 20_000
"""Values of a file with its aliases unfolded; a second's work."""
DEEPEST = 50
LONGEST = 4000
"""Characters of one value: Python's integers take a time that grows with the square of their digits."""


def read_yaml(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: no such file, no YAML, no mapping, or more than a settings file holds.
    """
    content = load_yaml(read_text(path, MOST_BYTES), path)
    if not isinstance(content, dict):
        raise ConfigError(f"{one_line(path)}: expected a YAML mapping, got {type(content).__name__}")
    return content


def load_yaml(
    text: str, path: str | os.PathLike[str], *, most_values: int = MOST_VALUES, longest: int = LONGEST
) -> Any:
    """What a YAML text holds: plain values, lists and mappings.

    Args:
        text: the YAML.
        path: for the error.
        most_values: values with aliases unfolded.
        longest: characters of one value.

    Raises:
        ConfigError: no YAML, or over a bound.
    """
    with _readable(one_line(path)):
        _bounded_events(text, one_line(path), most_values, longest)
        return yaml.safe_load(text)


def read_events(path: str | os.PathLike[str]) -> list[yaml.Event]:
    """The events of a YAML file, for a reader that makes values of them itself.

    Raises:
        ConfigError: as `read_yaml`; any YAML is taken, not a mapping only.
    """
    with _readable(one_line(path)):
        return _bounded_events(read_text(path, MOST_BYTES), one_line(path), MOST_VALUES, LONGEST)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except IvifError:
        raise
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(f"{name}: cannot be read: {line}{one_line(error.problem or error.context)}") from error
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{name}: cannot be read: {one_line(error.reason)} (character {error.position})") from error
    except Exception as error:  # yaml's constructors let through whatever Python's own raise: !!float abc, !!bool x
        raise ConfigError(f"{name}: cannot be read: {type(error).__name__}: {one_line(error)}") from error


def _bounded_events(text: str, name: str, most_values: int, longest: int) -> list[yaml.Event]:
    """Walk the file's events, which needs neither memory nor recursion, before anything is built from them.

    Raises:
        ConfigError: too many values, too deep, or an alias within what it stands for.
    """
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # anchor, and the values before it
    values = 0
    events: list[yaml.Event] = []
    for event in yaml.parse(text, yaml.SafeLoader):
        events.append(event)
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, values))
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = values - before
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
            if len(event.value) > longest:
                raise ConfigError(f"{name}: expected values of at most {longest} characters, got {len(event.value)}")
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in (anchor for anchor, _ in open_nodes):
                raise ConfigError(f"{name}: the alias *{one_line(event.anchor, 40)} stands within what it stands for")
            values += sizes.get(event.anchor or "", 1)
        if values > most_values or len(open_nodes) > DEEPEST:
            raise ConfigError(f"{name}: expected at most {most_values} values, nested {DEEPEST} deep at most")
    return events
