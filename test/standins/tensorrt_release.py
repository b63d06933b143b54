"""The names that one release of TensorRT has, and a base class that refuses all others."""

from __future__ import annotations

import enum
import json
import weakref
from pathlib import Path
from typing import Any

NAMES: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("tensorrt_names.json").read_text())
"""class ('top_level' for the module) -> name -> releases that have it; made from the real bindings of each release."""

VALUES = {
    "DataType": {"FLOAT": 0, "HALF": 1, "UINT8": 5},
    "TensorIOMode": {"INPUT": 1, "OUTPUT": 2},
    "HardwareCompatibilityLevel": {"NONE": 0, "AMPERE_PLUS": 1, "SAME_COMPUTE_CAPABILITY": 2},
    "DeviceType": {"GPU": 0, "DLA": 1},
    "MemoryPoolType": {"WORKSPACE": 0},
}
"""Numbers as the real enumerations have them, compared with those of TensorRT for RTX; others are only distinct."""

MAGIC = b"standin-plan"
"""Begins every plan that a stand-in built; a line of JSON and the ONNX follow."""


def names_of(release: str, kind: str) -> set[str]:
    """The names of a class in a release."""
    return {name for name, releases in NAMES[kind].items() if release in releases.split()}


class Release:
    """What the classes of one release share.

    Attributes:
        name: as in `tensorrt_module.RELEASES`.
        alive: objects of its classes that still exist.
        Strict: base class; refuses public names that the release's class of that name does not have.
        DataType, TensorIOMode, …: enumerations with this release's members.
        ILogger, IProgressMonitor: to be derived from.
    """

    def __init__(self, release: str) -> None:
        self.name = release
        self.alive: weakref.WeakSet = weakref.WeakSet()
        alive = self.alive

        class Strict:
            """Refuses public names that the release's class does not have."""

            def __init__(self) -> None:
                alive.add(self)

            def __getattribute__(self, name: str) -> Any:
                kind = type.__getattribute__(type(self), "__name__")
                if not name.startswith("_") and kind in NAMES and name not in names_of(release, kind):
                    raise AttributeError(f"{kind} of TensorRT {release} has no {name}")
                return object.__getattribute__(self, name)

            def __setattr__(self, name: str, value: Any) -> None:
                if not name.startswith("_"):
                    getattr(self, name)  # raises for a name that does not exist
                object.__setattr__(self, name, value)

        self.Strict = Strict
        for kind in (
            "DataType",
            "TensorIOMode",
            "BuilderFlag",
            "NetworkDefinitionCreationFlag",
            "HardwareCompatibilityLevel",
            "MemoryPoolType",
            "DeviceType",
            "ComputeCapability",
            "CudaGraphStrategy",
        ):
            setattr(self, kind, self._enumeration(kind))
        self.ILogger, self.IProgressMonitor = ILogger, IProgressMonitor

    def _enumeration(self, kind: str) -> Any:
        known = names_of(self.name, kind)
        values = VALUES.get(kind) or {name: index for index, name in enumerate(NAMES[kind])}
        return enum.IntEnum(kind, {name: value for name, value in values.items() if name in known})


class ILogger:
    Severity = enum.IntEnum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"], start=0)

    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    pass
