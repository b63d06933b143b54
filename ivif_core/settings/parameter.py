"""`Parameter`: one entry of the table, and the check of a value against it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

from ivif_core.errors import ConfigError, shown

_KINDS = {float: "a finite number", int: "a whole number", bool: "true or false", str: "text in quotes"}
"""Type of the default -> what a message says is expected."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of the node.

    Attributes:
        name: as users set it; dots separate groups.
        default: its type is the parameter's type; a list holds floats.
        description: sentences for users.
        range: lowest and highest value, both allowed; None: any finite number.
        choices: the only values; None: any.
        live: it may change while the node is configured.
    """

    name: str
    default: Any
    description: str
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] | None = None
    live: bool = True

    def read(self, value: Any, called: str = "") -> Any:
        """`value` in the parameter's type: a whole number is a float where one is expected.

        Args:
            value: of any type.
            called: name for the message where the user knows the parameter by another one.

        Raises:
            ConfigError: of another type, not finite, out of range or not one of the choices.
        """
        name, kind = called or self.name, type(self.default)
        if kind is list:
            numbers = None if isinstance(value, str) or not hasattr(value, "__iter__") else list(map(_finite, value))
            if numbers is None or None in numbers:
                raise ConfigError(f"{name}: expected a list of finite numbers, got {shown(value)}")
            return numbers
        read: Any = _finite(value) if kind is float else value
        if type(read) is not kind:
            raise ConfigError(f"{name}: expected {_KINDS[kind]}, got {shown(value)}")
        if kind is str and not _is_text(read):
            raise ConfigError(f"{name}: expected text without NUL and half characters, got {shown(read)}")
        if self.range and not self.range[0] <= read <= self.range[1]:
            raise ConfigError(f"{name}: {shown(read)} is outside [{self.range[0]:g}, {self.range[1]:g}]")
        if self.choices and read not in self.choices:
            raise ConfigError(f"{name}: {shown(read)} is not one of {', '.join(self.choices)}")
        return read

    def limits(self) -> str:
        """What it may be, as a sentence; empty: anything of its type."""
        if self.choices:
            return f"One of {', '.join(self.choices)}."
        return f"{self.range[0]:g} … {self.range[1]:g}." if self.range else ""


def _finite(value: Any) -> float | None:
    """The number as a float; None where it is none, or none that a float holds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _is_text(value: str) -> bool:
    """Whether it could be a file's name; YAML may hold what no name has."""
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeError:
        return False
