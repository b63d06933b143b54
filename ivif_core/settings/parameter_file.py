"""ROS parameter files, read as rcl reads them (rcl_yaml_param_parser), which is not how YAML libraries do.

A section counts for a node whose full name its pattern matches: `/*` stands for one name, `/**` for any number of
them, none included. Sections count in the order in which their names first appear, so a later one wins. Words become
values by rcl's own rules: `on` is a bool, `1e3` a number, `1_000` text.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from ivif_core.errors import ConfigError, one_line, shown
from ivif_core.files.yaml_files import read_events

NODE_NAME = "ivif_fusion"
_KEY = "ros__parameters"
_TRUE = ("Y", "y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("N", "n", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"([+-]?)\.?(inf|Inf|INF|nan|NaN|NAN)")
_MOST_NAMED = 5


def read_parameter_file(path: str | os.PathLike[str], node: str | None = None) -> dict[str, Any]:
    """The parameters that a file sets for one node.

    Args:
        path: YAML of the form `NODE: {ros__parameters: {…}}`; nodes may be nested in namespaces.
        node: name with its namespace, such as /robot1/ivif_fusion; None: the node ivif_fusion, in the namespace where
            the file has it.

    Returns:
        Dotted name -> value: bool, int, float, text, a list of one of them, or None for an empty list.

    Raises:
        ConfigError: the file cannot be read, rcl would refuse it, it has no section for the node, or it has
            ivif_fusion in several namespaces and `node` is None.
    """
    sections = _Sections(path).read()
    name = _node_of(sections, one_line(path)) if node is None else _absolute(node)
    found = [values for pattern, values in sections.items() if _matches(pattern, name)]
    if not found:
        others = ", ".join(one_line(other, 40) for other in list(sections)[:_MOST_NAMED]) or "no section"
        raise ConfigError(f"{one_line(path)}: expected a section /** or {one_line(name, 80)}, got {others}")
    return {key: value for values in found for key, value in values.items()}


class _Sections:
    """Walks the events of a file once."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._events: Iterator[yaml.Event] = iter(read_events(path))
        self._sections: dict[str, dict[str, Any]] = {}

    def read(self) -> dict[str, dict[str, Any]]:
        """Name of a node, as it is written, nested ones joined -> its parameters."""
        for event in self._events:
            if isinstance(event, yaml.MappingStartEvent):
                self._read_nodes("")
            elif isinstance(event, yaml.NodeEvent):
                self._refuse(event, "expected names of nodes, each with ros__parameters")
        return self._sections

    def _read_nodes(self, outer: str) -> None:
        is_closed = False
        for name in self._keys():
            value = next(self._events)
            if not isinstance(value, yaml.MappingStartEvent):
                self._refuse(value, f"expected a mapping under {one_line(name, 80)}")
            if name == _KEY and outer:
                self._read_group(self._sections.setdefault(outer, {}), "")
                is_closed = True
            elif name == _KEY or is_closed:  # rcl would take what follows for a node of the root namespace
                self._refuse(value, f"expected {_KEY} under the name of a node, and as the last key there")
            else:
                self._read_nodes(f"{outer.removesuffix('/')}/{name}" if outer else name)

    def _read_group(self, values: dict[str, Any], prefix: str) -> None:
        is_empty = True
        for key in self._keys():
            is_empty, name, event = False, prefix + key, next(self._events)
            if isinstance(event, yaml.MappingStartEvent):
                self._read_group(values, f"{name}.")
            elif isinstance(event, yaml.SequenceStartEvent):
                values[name] = self._list(name)
            else:
                values[name] = self._value(event)
        if prefix and is_empty:
            raise ConfigError(f"{one_line(self._path)}: {one_line(prefix[:-1], 80)}: the group is empty")

    def _keys(self) -> Iterator[str]:
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or not event.value:
                self._refuse(event, "expected a name")
            yield event.value

    def _list(self, name: str) -> list[Any] | None:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event))
            if type(values[-1]) is not type(values[0]):
                self._refuse(
                    event,
                    f"{one_line(name, 80)}: expected a list of one type (1.0 beside 0.5, not 1), "
                    f"got {shown(values[0])} and {shown(values[-1])}",
                )
        return values or None

    def _value(self, event: yaml.Event) -> Any:
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "expected a value; ROS knows no aliases and no lists in lists")
        if not event.value and event.style not in ("'", '"'):
            self._refuse(event, 'expected a value; empty text is ""')
        quoted = event.style in ("'", '"') or event.tag == "tag:yaml.org,2002:str"
        return event.value if quoted else _plain_value(event.value)

    def _refuse(self, event: yaml.Event, why: str) -> NoReturn:
        line = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
        raise ConfigError(f"{one_line(self._path)}: {line}{why}")


def _plain_value(text: str) -> bool | int | float | str:
    """What rcl makes of a word without quotes; numbers as C's strtoll and strtod read them."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        digits = text.lstrip("+-")
        base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
        number = int(text, base)
        if -(2**63) <= number < 2**63:
            return number
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if found := _NOT_FINITE.fullmatch(text):
        return float(found[1] + found[2])
    return text


def _absolute(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"


def _matches(pattern: str, node: str) -> bool:
    pattern = re.escape(_absolute(pattern))
    return bool(re.fullmatch(pattern.replace(r"/\*\*", r"(/\w+)*").replace(r"/\*", r"(/\w+)"), node))


def _node_of(sections: dict[str, dict[str, Any]], path: str) -> str:
    """Full name of the node that a file without a named node is read for."""
    default = f"/{NODE_NAME}"
    named = sorted({_absolute(s) for s in sections if s.rpartition("/")[2] == NODE_NAME and "*" not in s})
    if len(named) > 1 and default not in named:
        raise ConfigError(
            f"{path}: {', '.join(named[:_MOST_NAMED])} are different nodes; say whose parameters count with --node"
        )
    if len(named) == 1:
        return named[0]
    if any(_matches(section, default) for section in sections):
        return default
    # Patterns below a namespace, such as /robot1/** or /*/ivif_fusion: the first node that one of them is for.
    for section in sections:
        head, _, last = _absolute(section).rpartition("/")
        if last in (NODE_NAME, "*", "**"):
            return f"{head.replace('/**', '').replace('/*', '/any')}/{NODE_NAME}"
    return default
