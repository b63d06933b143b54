"""The exceptions that this package raises on purpose; each message says what came, what was expected, what to do."""

from __future__ import annotations


class IvifError(Exception):
    """Base of every error raised on purpose; catch this to tell a user's mistake from a bug."""


class InputError(IvifError, ValueError):
    """An image, a message or a file is not what the call takes."""


class OutputError(InputError):
    """An output cannot be written, or may not be: a full disk, a name, something that is in the way."""


class ConfigError(IvifError, ValueError):
    """A parameter, a recipe or a registration file is wrong."""


class ModelError(IvifError, ValueError):
    """A model file is missing, broken or does not follow the ONNX contract."""


class BackendUnavailable(IvifError, RuntimeError):
    """A backend was asked for by name and its runtime is not installed or has no device."""


class MissingPackage(IvifError, ImportError):
    """A task needs an optional package that is not installed; the message says which extra brings it."""


def one_line(text: object, most: int = 300) -> str:
    """Text of unknown origin as one line that can be printed: control characters escaped, cut at `most` characters."""
    whole = str(text)
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in whole[:most])
    return escaped if len(whole) <= most and len(escaped) <= most else f"{escaped[: most - 1]}…"


def shown(value: object, most: int = 80) -> str:
    """A wrong value for a message: its `repr` on one line and cut, or its type where Python prints none."""
    try:
        return one_line(repr(value), most)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits, a list that holds itself
        return f"a value of type {type(value).__name__}"
