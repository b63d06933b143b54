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
