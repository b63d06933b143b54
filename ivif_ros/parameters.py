"""The node's parameters: declared once, described, ranged; read into one frozen `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from ivif_core import backends
from ivif_core.backends import EngineOptions, engine_options
from ivif_core.errors import ConfigError, shown
from ivif_core.fusion import DEFAULT_VIVIDNESS
from ivif_core.imaging.crop import Crop
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS
from ivif_core.registration.base import Registration
from ivif_core.registration.camera_info import CameraInfos
from ivif_core.registration.file import MODES, make_registration
from ivif_core.registration.pinhole import Pinhole
from ivif_core.sync.dropout_policy import POLICIES
from ivif_core.thermal.hot_spots import HotSpots
from ivif_core.thermal.radiometry import KINDS, Radiometry, make_radiometry
from ivif_core.thermal.scaling import ThermalChain, make_scaling
from ivif_core.types import Source

CROPS: dict[Source, str] = {"infrared": "thermal_crop", "visible": "rgb_crop"}
IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


@dataclass(frozen=True)
class Parameter:
    """One parameter: its default, what it means, what it may be, and whether it may change while the node runs."""

    name: str
    default: Any
    description: str
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] | None = None
    live: bool = True

    def read(self, value: Any) -> Any:
        """`value` in the parameter's type: a whole number where a float is expected is a float.

        Raises:
            ConfigError: of another type, out of range or not one of the choices.
        """
        kind = type(self.default)
        if kind is list:
            if not hasattr(value, "__len__") or isinstance(value, str) or not all(_is_number(v) for v in value):
                raise ConfigError(f"{self.name}: expected a list of numbers, got {shown(value)}")
            return [float(v) for v in value]
        if kind is float and _is_number(value):
            value = float(value)
        if type(value) is not kind:
            raise ConfigError(f"{self.name}: expected {kind.__name__}, got {shown(value)}")
        if self.range and not self.range[0] <= value <= self.range[1]:
            raise ConfigError(f"{self.name}: {value:g} is outside [{self.range[0]:g}, {self.range[1]:g}]")
        if self.choices and value not in self.choices:
            raise ConfigError(f"{self.name}: {shown(value)} is not one of {', '.join(self.choices)}")
        return value

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows. Floats are typed dynamically so that `slop: 1` is no type error."""
        descriptor = ParameterDescriptor(
            name=self.name,
            description=self.description,
            additional_constraints=f"one of {', '.join(self.choices)}" if self.choices else "",
            dynamic_typing=isinstance(self.default, (float, list)),
        )
        if self.range and isinstance(self.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=self.range[0], to_value=self.range[1])]
        elif self.range:
            descriptor.integer_range = [
                IntegerRange(from_value=int(self.range[0]), to_value=int(self.range[1]), step=1)
            ]
        return descriptor


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


PARAMETERS = (
    Parameter(
        "backend",
        "auto",
        "Runtime of the network; auto takes the fastest that is installed.",
        choices=("auto", *backends.NAMES),
        live=False,
    ),
    Parameter("model", "", "ONNX file of the student; empty: the one that is shipped.", live=False),
    Parameter("threads", 0, "CPU threads of the network; 0: the runtime's choice.", (0, 256), live=False),
    Parameter("engine.precision", "fp16", "TensorRT: of the engine.", choices=engine_options.PRECISIONS, live=False),
    Parameter("engine.maximum_width", 3840, "TensorRT: widest RGB image.", (32, 16384), live=False),
    Parameter("engine.maximum_height", 2160, "TensorRT: highest RGB image.", (32, 16384), live=False),
    Parameter("engine.cache", "", "TensorRT: folder of built engines; empty: ~/.cache/ivif/engines.", live=False),
    Parameter("vividness", DEFAULT_VIVIDNESS, "0: faithful to both sources … 1: the language-driven look.", (0.0, 1.0)),
    Parameter(
        "maximum_megapixels",
        MAXIMUM_MEGAPIXELS,
        "Largest image of either camera, million pixels; a larger one is dropped before it is decoded.",
        (0.01, 1000.0),
    ),
    Parameter("thermal_crop", [0.0] * 4, "Rows at the top and bottom, columns at the left and right to leave out."),
    Parameter("rgb_crop", [0.0] * 4, "Rows at the top and bottom, columns at the left and right to leave out."),
    Parameter(
        "pairing",
        "approximate",
        "How frames are paired by stamp. approximate: each frame once; nearest: each RGB frame with the nearest "
        "thermal frame, which may serve several.",
        choices=("approximate", "nearest"),
        live=False,
    ),
    Parameter("slop", 0.05, "Largest stamp difference of a pair, s.", (0.0, 10.0)),
    Parameter("queue_size", 10, "Frames a camera that wait for their partner.", (1, 1000)),
    Parameter("hold_thermal", 0.0, "nearest: how old a thermal frame may serve where none is in slop, s.", (0.0, 60.0)),
    Parameter("thermal_time_offset", 0.0, "Added to the thermal stamps before pairing, s.", (-10.0, 10.0)),
    Parameter(
        "thermal_scaling.mode",
        "percentile",
        "How 16-bit or float thermal becomes intensity. percentile: a range that follows the frames slowly; "
        "plateau: histogram equalisation within it; fixed: from low to high.",
        choices=("percentile", "plateau", "fixed"),
    ),
    Parameter("thermal_scaling.low", 0.0, "fixed: black; °C with radiometry, else the camera's unit."),
    Parameter("thermal_scaling.high", 65535.0, "fixed: white; °C with radiometry, else the camera's unit."),
    Parameter("thermal_scaling.low_percentile", 1.0, "percentile: share of pixels that become black, %.", (0.0, 100.0)),
    Parameter("thermal_scaling.high_percentile", 99.0, "percentile: share not yet white, %.", (0.0, 100.0)),
    Parameter(
        "thermal_scaling.smoothing", 0.95, "percentile: share of the old range kept at each frame.", (0.0, 0.999)
    ),
    Parameter(
        "thermal_scaling.plateau", 3.0, "plateau: largest weight of a histogram bin, in mean weights.", (0.1, 1e6)
    ),
    Parameter("thermal_scaling.clahe", 0.0, "Clip limit of local contrast on top; 0: none, 2: moderate.", (0.0, 40.0)),
    Parameter(
        "radiometry.kind",
        "none",
        "What thermal values mean. linear: °C = value · scale + offset; planck: FLIR's constants.",
        choices=KINDS,
    ),
    Parameter("radiometry.scale", 0.01, "linear: °C a count; TLinear 0.01 or 0.1, Optris 0.1, float 1."),
    Parameter("radiometry.offset", -273.15, "linear: °C at value 0; kelvin −273.15, Optris −100, Celsius 0."),
    Parameter("radiometry.planck", [0.0] * 5, "planck: R1, R2, B, F, O."),
    Parameter("radiometry.emissivity", 1.0, "planck: of what is looked at.", (0.01, 1.0)),
    Parameter("radiometry.reflected_celsius", 20.0, "planck: apparent temperature of what it mirrors, °C."),
    Parameter(
        "hot_spots.mode",
        "off",
        "Outline of hot pixels and the mask ivif/hotspots. celsius: over hot_spots.celsius, needs radiometry; "
        "percent: the hottest hot_spots.percent of the frame.",
        choices=("off", "celsius", "percent"),
    ),
    Parameter("hot_spots.celsius", 60.0, "celsius: the limit, °C."),
    Parameter("hot_spots.percent", 1.0, "percent: the share of the frame, %.", (0.01, 50.0)),
    Parameter("hot_spots.draw", True, "Draw the outline into the fused image."),
    Parameter(
        "registration.mode",
        "resize",
        "How thermal comes onto the RGB grid. none: it is there already; resize: same field of view; "
        "homography: by registration.homography; file: as a file of `ivif calibrate` says; camera_info: calibrated "
        "cameras, as thermal/camera_info and rgb/camera_info say.",
        choices=MODES,
    ),
    Parameter("registration.homography", IDENTITY, "3×3, row by row: thermal pixel -> RGB pixel."),
    Parameter("registration.file", "", "file: YAML of `ivif calibrate`."),
    Parameter("registration.rotation", IDENTITY, "camera_info: 3×3, row by row: RGB camera's frame -> thermal one's."),
    Parameter("registration.translation", [0.0] * 3, "camera_info: of the RGB camera in the thermal one's frame, m."),
    Parameter("registration.distance", 10.0, "camera_info: of the scene before the RGB camera, m.", (0.01, 1e6)),
    Parameter(
        "registration.depth",
        False,
        "camera_info, or a file with model pinhole: take the scene's distance from the depth image rgb/depth.",
        live=False,
    ),
    Parameter("registration.check_drift", True, "Watch the alignment, and warn when it falls."),
    Parameter(
        "thermal_transport", "raw", "raw, or compressed: <topic>/compressed.", None, ("raw", "compressed"), False
    ),
    Parameter("rgb_transport", "raw", "raw, or compressed: <topic>/compressed.", None, ("raw", "compressed"), False),
    Parameter("output_encoding", "bgr8", "Of the fused image (mono8 where RGB is grey).", choices=("bgr8", "rgb8")),
    Parameter(
        "output_reliability",
        "reliable",
        "QoS of the fused topics. reliable serves every subscriber.",
        choices=("reliable", "best_effort"),
        live=False,
    ),
    Parameter("jpeg_quality", 85, "Of ivif/fused/compressed.", (1, 100)),
    Parameter(
        "on_missing",
        "pause",
        "While a camera is frozen or silent. pause: nothing is published; visible_only, thermal_only: that camera "
        "alone; hold: the last frame of the missing one serves on.",
        choices=POLICIES,
    ),
    Parameter("freeze_detection", True, "Take repeated thermal frames as a freeze; false for noiseless simulations."),
    Parameter("autostart", True, "Configure and activate at start; false: wait for lifecycle transitions.", live=False),
)


_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


@dataclass(frozen=True)
class Settings:
    """Values of all parameters, checked one by one and against one another.

    Attributes:
        registration: made once from the values, since that may read a file; the frames of one stream share it.
    """

    values: Mapping[str, Any]
    registration: Registration = field(compare=False)

    @classmethod
    def from_values(cls, values: Mapping[str, Any], registration: Registration | None = None) -> Settings:
        """Defaults with `values` over them.

        Args:
            registration: what the values of `registration.*` were made into before; None: make it (reads files).

        Raises:
            ConfigError: a value is of a wrong type or out of range, or two do not fit.
        """
        values = {p.name: p.read(values.get(p.name, p.default)) for p in PARAMETERS}
        settings = cls(values, registration or _registration(values))
        settings.scaling()
        settings.hot_spots()
        settings.crops()
        return settings

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def scaling(self) -> ThermalChain:
        """The thermal scaling that these settings ask for, without memory of earlier frames."""
        radiometry = self.radiometry()
        return make_scaling(
            self["thermal_scaling.mode"], radiometry=radiometry, **self._group("thermal_scaling", "mode")
        )

    def crops(self) -> dict[Source, Crop]:
        """What each camera's images are cropped by."""
        return {source: Crop.of(name, self[name]) for source, name in CROPS.items()}

    def radiometry(self) -> Radiometry | None:
        """What thermal values mean, if these settings say it."""
        return make_radiometry(**self._group("radiometry"))

    def hot_spots(self) -> HotSpots | None:
        """The hot spots that these settings ask for, if any."""
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
            cache=Path(self["engine.cache"]) if self["engine.cache"] else None,
        )

    def changed(self, other: Settings) -> set[str]:
        """Names whose values differ."""
        return {name for name, value in self.values.items() if value != other.values[name]}

    def with_changes(self, parameters: list[RosParameter[Any]], *, only_live: bool) -> Settings:
        """These settings with some values replaced.

        Raises:
            ConfigError: a value is refused, or may not change live and `only_live`.
        """
        values = {p.name: p.value for p in parameters if p.name in _BY_NAME}
        same = not any(reads_files(name) and value != self.values[name] for name, value in values.items())
        changed = Settings.from_values({**self.values, **values}, self.registration if same else None)
        fixed = sorted(name for name in changed.changed(self) if not _BY_NAME[name].live)
        if only_live and fixed:
            raise ConfigError(
                f"{', '.join(fixed)} cannot change while the node is configured; deactivate and clean up first "
                "(ros2 lifecycle set NODE deactivate, then cleanup)"
            )
        return changed

    def _group(self, prefix: str, *without: str) -> dict[str, Any]:
        return _group(self.values, prefix, *without)


def reads_files(name: str) -> bool:
    """Whether a change of this parameter makes the registration anew, which may read files."""
    return name.startswith("registration.") and name != "registration.check_drift"


def _registration(values: Mapping[str, Any]) -> Registration:
    mode = values["registration.mode"]
    registration = make_registration(mode, **_group(values, "registration", "mode", "check_drift", "depth"))
    if values["registration.depth"] and not isinstance(registration, (CameraInfos, Pinhole)):
        raise ConfigError(
            f"registration.depth: mode {mode} has no use for depth; "
            "expected camera_info, or file with a file of model pinhole"
        )
    return registration


def _group(values: Mapping[str, Any], prefix: str, *without: str) -> dict[str, Any]:
    names = (name.removeprefix(f"{prefix}.") for name in values if name.startswith(f"{prefix}."))
    return {name: values[f"{prefix}.{name}"] for name in names if name not in without}


def declare(node: Node) -> Settings:
    """Declare all parameters on a node and read them.

    Raises:
        ConfigError: a value given from outside is refused.
    """
    for parameter in PARAMETERS:
        node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())
    return Settings.from_values({p.name: node.get_parameter(p.name).value for p in PARAMETERS})
