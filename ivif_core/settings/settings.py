"""`Settings`: values of all parameters, and the parts of fusion that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ivif_core.backends import EngineOptions
from ivif_core.errors import ConfigError
from ivif_core.fusion import Fuser
from ivif_core.imaging.crop import Crop, Crops
from ivif_core.registration.base import Registration
from ivif_core.registration.camera_info import CameraInfos
from ivif_core.registration.file import make_registration
from ivif_core.registration.pinhole import Pinhole
from ivif_core.settings.table import BY_NAME, PARAMETERS, check_names
from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import ApproximatePairing, Pairing
from ivif_core.thermal.hot_spots import HotSpots
from ivif_core.thermal.radiometry import Radiometry, make_radiometry
from ivif_core.thermal.scaling import SingleImages, ThermalChain, make_scaling
from ivif_core.types import Source

CROPS: dict[Source, str] = {"infrared": "thermal_crop", "visible": "rgb_crop"}
"""Camera -> the parameter that crops its images."""


@dataclass(frozen=True)
class Settings:
    """Values of all parameters, checked one by one and against one another.

    Attributes:
        values: dotted name -> value, of every parameter.
        registration: made once from the values, since that may read a file; the frames of one stream share it.
    """

    values: Mapping[str, Any]
    registration: Registration = field(compare=False)

    @classmethod
    def from_values(cls, values: Mapping[str, Any] | None = None, registration: Registration | None = None) -> Settings:
        """Defaults with `values` over them.

        Args:
            values: dotted name -> value; those that ROS declares on every node are left out.
            registration: what the values of `registration.*` were made into before; None: make it (reads files).

        Raises:
            ConfigError: an unknown name, a value of a wrong type or out of range, or two that do not fit.
        """
        values = values or {}
        check_names(values)
        read = {p.name: p.read(values.get(p.name, p.default)) for p in PARAMETERS}
        settings = cls(read, registration or _registration(read))
        settings.scaling()
        settings.hot_spots()
        settings.engine()
        settings.crops()
        return settings

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def maximum_megapixels(self) -> float:
        """Largest image, million pixels."""
        return float(self["maximum_megapixels"])

    def files(self) -> list[Path]:
        """Files that the values name."""
        return [Path(self[name]) for name in ("model", "registration.file") if self[name]]

    def scaling(self) -> ThermalChain:
        """The thermal scaling, without memory of earlier frames."""
        return make_scaling(radiometry=self.radiometry(), **_group(self.values, "thermal_scaling"))

    def crops(self) -> Crops:
        """What each camera's images are cropped by."""
        return {source: Crop.of(name, self[name]) for source, name in CROPS.items()}

    def radiometry(self) -> Radiometry | None:
        """What thermal values mean; None: not said."""
        return make_radiometry(**_group(self.values, "radiometry"))

    def hot_spots(self) -> HotSpots | None:
        """What finds hot spots; None: off."""
        mode = self["hot_spots.mode"]
        if mode == "off":
            return None
        return HotSpots(**{mode: self[f"hot_spots.{mode}"]}, radiometry=self.radiometry())

    def engine(self) -> EngineOptions:
        """What a TensorRT engine is built for."""
        maximum = (self["engine.maximum_height"], self["engine.maximum_width"])
        usual = EngineOptions.optimum
        return EngineOptions(
            optimum=(min(usual[0], maximum[0]), min(usual[1], maximum[1])),
            maximum=maximum,
            precision=self["engine.precision"],
            library=self["engine.library"],
            compute_capabilities=tuple(self["engine.compute_capabilities"].split()),
            cache=Path(self["engine.cache"]) if self["engine.cache"] else None,
        )

    def pairing(self) -> Pairing:
        """What pairs two streams of stamps."""
        slop, queue_size, offset = (self[name] for name in ("slop", "queue_size", "thermal_time_offset"))
        if self["pairing"] == "nearest":
            return NearestPairing(slop, queue_size, offset, self["hold_thermal"])
        return ApproximatePairing(slop, queue_size, offset)

    def recorded_registration(self) -> Registration:
        """Registration for files and recordings, where no CameraInfo topic tells the cameras and no depth comes.

        Raises:
            ConfigError: mode camera_info.
        """
        if isinstance(self.registration, CameraInfos):
            raise ConfigError(
                "registration.mode camera_info: there are no CameraInfo topics here; take mode file, and write the "
                "cameras into a file with 'model: pinhole'"
            )
        return self.registration

    def fuser(self, *, is_stream: bool = True) -> Fuser:
        """A Fuser for files and recordings; it waits for a TensorRT engine that has to be built first.

        Args:
            is_stream: the range of thermal follows the frames; False: each image by itself.

        Raises:
            ConfigError, ModelError, BackendUnavailable: as `recorded_registration` and `Fuser`.
        """
        return Fuser(
            self["model"] or None,
            self["backend"],
            vividness=self["vividness"],
            aim=self["aim"],
            colour=self["output.colour"],
            warm=self["output.warm"],
            scaling=self.scaling() if is_stream else SingleImages(self.scaling()),
            registration=self.recorded_registration(),
            threads=self["threads"] or None,
            engine=self.engine(),
        )

    def changed(self, other: Settings) -> set[str]:
        """Names whose values differ."""
        return {name for name, value in self.values.items() if value != other.values[name]}

    def not_default(self) -> dict[str, Any]:
        """The values that are not the default."""
        return {p.name: self[p.name] for p in PARAMETERS if self[p.name] != p.default}

    def with_changes(self, values: Mapping[str, Any], *, only_live: bool = False) -> Settings:
        """These settings with some values replaced.

        Raises:
            ConfigError: as `from_values`; or a value may not change live, and `only_live`.
        """
        same = not any(reads_files(name) and value != self.values.get(name) for name, value in values.items())
        changed = Settings.from_values({**self.values, **values}, self.registration if same else None)
        fixed = sorted(name for name in changed.changed(self) if not BY_NAME[name].live)
        if only_live and fixed:
            raise ConfigError(
                f"{', '.join(fixed)} cannot change while the node is configured; deactivate and clean up first "
                "(ros2 lifecycle set NODE deactivate, then cleanup)"
            )
        return changed


def reads_files(name: str) -> bool:
    """Whether a change of this parameter makes the registration anew, which may read files."""
    return name.startswith("registration.") and name != "registration.check_drift"


def _registration(values: Mapping[str, Any]) -> Registration:
    group = _group(values, "registration")
    mode, depth = group["mode"], group.pop("depth")
    del group["check_drift"]
    registration = make_registration(**group)
    if depth and not isinstance(registration, (CameraInfos, Pinhole)):
        raise ConfigError(
            f"registration.depth: mode {mode} has no use for depth; "
            "expected camera_info, or file with a file of model pinhole"
        )
    return registration


def _group(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}
