"""The node's parameter file for tools without ROS: the same pairing, scaling, registration and model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ivif_core.errors import ConfigError, one_line, shown
from ivif_core.files.yaml_files import read_yaml
from ivif_core.fusion import DEFAULT_VIVIDNESS, Fuser
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS
from ivif_core.registration.base import Registration
from ivif_core.registration.file import make_registration
from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import ApproximatePairing, Pairing
from ivif_core.thermal.radiometry import make_radiometry
from ivif_core.thermal.scaling import ThermalChain, make_scaling

NODE_NAME = "ivif_fusion"
_LIVE_ONLY = {"registration.check_drift", "registration.depth"}
"""Belong to a group that is read here, and only the running node has a use for them."""


@dataclass(frozen=True)
class NodeParameters:
    """Parameters as `config/fusion.yaml` has them; what is not given has the node's default.

    Attributes:
        values: dotted name -> value.
    """

    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> NodeParameters:
        """Read the sections `/**` and `ivif_fusion` of a ROS parameter file; the latter wins.

        Raises:
            ConfigError: the file cannot be read, or has no such section.
        """
        sections = read_yaml(path)
        found = [name for name in ("/**", f"/**/{NODE_NAME}", NODE_NAME, f"/{NODE_NAME}") if name in sections]
        values: dict[str, Any] = {}
        for name in found:
            section = sections[name]
            parameters = section.get("ros__parameters") if isinstance(section, dict) else None
            if not isinstance(parameters, dict):
                raise ConfigError(f"{path}: expected ros__parameters with a mapping under {name}")
            values.update(_flatten(parameters))
        if not found:
            raise ConfigError(f"{path}: no section /** or {NODE_NAME}; is it a parameter file of the node?")
        return cls(values)

    def with_values(self, **values: Any) -> NodeParameters:
        """These with some replaced; None leaves one as it is."""
        return NodeParameters({**self.values, **{k: v for k, v in values.items() if v is not None}})

    def files(self) -> list[Path]:
        """Files that the parameters name."""
        return [Path(str(self.values[name])) for name in ("model", "registration.file") if self.values.get(name)]

    @property
    def maximum_megapixels(self) -> float:
        """Largest image, million pixels.

        Raises:
            ConfigError: it is no number in [0.01, 1000].
        """
        value = self._number("maximum_megapixels", MAXIMUM_MEGAPIXELS)
        if not 0.01 <= value <= 1000:
            raise ConfigError(f"maximum_megapixels: expected a number in [0.01, 1000], got {value:g}")
        return value

    def make_pairing(self) -> Pairing:
        """The pairing that the node would use.

        Raises:
            ConfigError: an unknown kind, or a value out of range.
        """
        kind = self.values.get("pairing", "approximate")
        slop, offset = self._number("slop", 0.05), self._number("thermal_time_offset", 0.0)
        queue_size = self._whole("queue_size", 10)
        if kind == "nearest":
            return NearestPairing(slop, queue_size, offset, self._number("hold_thermal", 0.0))
        if kind != "approximate":
            raise ConfigError(f"pairing: expected approximate or nearest, got {shown(kind)}")
        return ApproximatePairing(slop, queue_size, offset)

    def make_scaling(self) -> ThermalChain:
        """Thermal scaling as the node's.

        Raises:
            ConfigError: an unknown name, or a value out of range.
        """

        def make() -> ThermalChain:
            radiometry = make_radiometry(**self._group("radiometry"))
            return make_scaling(radiometry=radiometry, **self._group("thermal_scaling"))

        return _checked("thermal_scaling and radiometry", make)

    def make_registration(self) -> Registration:
        """Registration as the node's.

        Raises:
            ConfigError: an unknown name, a file or matrix that cannot be used, or cameras that only topics tell.
        """
        if self.values.get("registration.mode") == "camera_info":
            raise ConfigError(
                "registration.mode camera_info: there are no CameraInfo topics here; take mode file, and write the "
                "cameras into a file with 'model: pinhole'"
            )
        return _checked("registration", lambda: make_registration(**self._group("registration")))

    def make_fuser(self) -> Fuser:
        """A Fuser with all of that.

        Raises:
            ConfigError, ModelError, BackendUnavailable: as the parts.
        """
        vividness = self._number("vividness", DEFAULT_VIVIDNESS)
        if not 0 <= vividness <= 1:
            raise ConfigError(f"vividness: expected a number in [0, 1], got {vividness:g}")
        return Fuser(
            self._text("model", "") or None,
            self._text("backend", "auto"),
            vividness=vividness,
            scaling=self.make_scaling(),
            registration=self.make_registration(),
            threads=self._whole("threads", 0) or None,
        )

    def _number(self, name: str, default: float) -> float:
        value = self.values.get(name, default)
        try:
            if not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value):
                return value
        except OverflowError:  # an integer that no float holds
            pass
        raise ConfigError(f"{name}: expected a finite number, got {shown(value)}")

    def _whole(self, name: str, default: int) -> int:
        value = self._number(name, default)
        if value % 1:
            raise ConfigError(f"{name}: expected a whole number, got {shown(value)}")
        return int(value)

    def _text(self, name: str, default: str) -> str:
        value = self.values.get(name, default)
        if value is not None and not isinstance(value, (str, Path)):
            raise ConfigError(f"{name}: expected text, got {shown(value)}")
        return value or default

    def _group(self, prefix: str) -> dict[str, Any]:
        return {
            name.removeprefix(f"{prefix}."): value
            for name, value in self.values.items()
            if name.startswith(f"{prefix}.") and name not in _LIVE_ONLY
        }


def _checked(what: str, make: Any) -> Any:
    try:
        return make()
    except ConfigError:
        raise
    except (TypeError, ValueError, OverflowError) as error:  # an unknown name, text or a huge number for a number
        raise ConfigError(f"{what}: {one_line(error)}") from error


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat.update(_flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat
