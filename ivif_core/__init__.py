"""Infrared–visible image fusion: everything about fusion, nothing about ROS.

The names of `__all__` are public (see CONTRIBUTING.md). They are imported when first used, so that `import ivif_core`
and the command line start without NumPy and OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ivif_core.backends import EngineOptions
    from ivif_core.errors import (
        BackendUnavailable,
        ConfigError,
        InputError,
        IvifError,
        MissingPackage,
        ModelError,
        OutputError,
    )
    from ivif_core.fusion import Fuser, Prepared, prepare
    from ivif_core.settings import Settings, read_parameter_file

    __version__: str

__all__ = [
    "BackendUnavailable",
    "ConfigError",
    "EngineOptions",
    "Fuser",
    "InputError",
    "IvifError",
    "MissingPackage",
    "ModelError",
    "OutputError",
    "Prepared",
    "Settings",
    "__version__",
    "prepare",
    "read_parameter_file",
]

_ROOMS = {
    "EngineOptions": "backends",
    "Fuser": "fusion",
    "Prepared": "fusion",
    "Settings": "settings",
    "prepare": "fusion",
    "read_parameter_file": "settings",
}
"""Public name -> the room it is from; all others are errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        value: Any = _version()
    else:
        value = getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ivif_ros")
    except PackageNotFoundError:  # only the sources are here
        return "unknown"
