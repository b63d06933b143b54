"""The one table of parameters. The node declares from it; offline tools, recipes and documents follow it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ivif_core import backends
from ivif_core.backends.tensorrt import engine_options
from ivif_core.errors import ConfigError, one_line
from ivif_core.fusion import DEFAULT_VIVIDNESS
from ivif_core.imaging.palette import COLOURS, DEFAULT_WARM
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS
from ivif_core.registration.file import MODES
from ivif_core.settings.parameter import Parameter
from ivif_core.sync.dropout_policy import POLICIES
from ivif_core.thermal.radiometry import KINDS

_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
_TRANSPORTS = ("raw", "compressed")

PARAMETERS = (
    Parameter(
        "backend",
        "auto",
        "Runtime of the network. auto takes the fastest one that is installed.",
        choices=("auto", *backends.NAMES),
        live=False,
    ),
    Parameter("model", "", "ONNX file of a student; empty: the shipped one.", live=False),
    Parameter("threads", 0, "CPU threads of the network; 0: the runtime chooses.", (0, 256), live=False),
    Parameter(
        "engine.precision",
        "fp16",
        "Arithmetic of the TensorRT engine.",
        choices=engine_options.PRECISIONS,
        live=False,
    ),
    Parameter("engine.maximum_width", 3840, "Width of the largest RGB image, pixels.", (32, 16384), live=False),
    Parameter("engine.maximum_height", 2160, "Height of the largest RGB image, pixels.", (32, 16384), live=False),
    Parameter(
        "engine.library",
        "auto",
        "TensorRT library. auto: TensorRT on a Jetson, TensorRT for RTX elsewhere, whichever is installed.",
        choices=engine_options.LIBRARIES,
        live=False,
    ),
    Parameter(
        "engine.compute_capabilities",
        "",
        "GPUs that an engine of TensorRT for RTX serves, as in '8.6 8.9'; empty: 8.0 and later, or the Turing GPU "
        "that is there.",
        live=False,
    ),
    Parameter("engine.cache", "", "Folder of built engines; empty: ~/.cache/ivif/engines.", live=False),
    Parameter(
        "vividness",
        DEFAULT_VIVIDNESS,
        "0: faithful to both sources … 1: nearest to the teacher.",
        (0.0, 1.0),
    ),
    Parameter("aim", "", "What vividness 1 is, where the model has several aims: a name; empty: its first aim."),
    Parameter(
        "maximum_megapixels",
        MAXIMUM_MEGAPIXELS,
        "Largest image of either camera, million pixels. A larger one is dropped before it is decoded.",
        (0.01, 1000.0),
    ),
    Parameter(
        "thermal_crop",
        [0.0] * 4,
        "What is left out of each thermal image: rows at the top and bottom, columns at the left and right. Telemetry "
        "rows turn the image white. Registration is of what is left.",
    ),
    Parameter(
        "rgb_crop",
        [0.0] * 4,
        "What is left out of each RGB image: rows at the top and bottom, columns at the left and right.",
    ),
    Parameter(
        "pairing",
        "approximate",
        "How frames are paired by stamp. approximate: each frame once, with the nearest of the other camera; nearest: "
        "each RGB frame with the nearest thermal frame, which may serve several (9 Hz beside 30 Hz).",
        choices=("approximate", "nearest"),
        live=False,
    ),
    Parameter("slop", 0.05, "Largest stamp difference of a pair, s.", (0.0, 10.0)),
    Parameter("queue_size", 10, "Frames per camera that may wait for their partner.", (1, 1000)),
    Parameter(
        "hold_thermal",
        0.0,
        "nearest: how old a thermal frame may be and still serve where none is within slop, s.",
        (0.0, 60.0),
    ),
    Parameter(
        "thermal_time_offset",
        0.0,
        "Added to the thermal stamps before pairing, s; negative where the thermal camera stamps late.",
        (-10.0, 10.0),
    ),
    Parameter(
        "thermal_scaling.mode",
        "percentile",
        "percentile: a range that follows the frames slowly; plateau: histogram equalisation within that range; "
        "fixed: from low to high.",
        choices=("percentile", "plateau", "fixed"),
    ),
    Parameter("thermal_scaling.low", 0.0, "fixed: becomes black; °C with radiometry, else the camera's unit."),
    Parameter("thermal_scaling.high", 65535.0, "fixed: becomes white; °C with radiometry, else the camera's unit."),
    Parameter("thermal_scaling.low_percentile", 1.0, "percentile: share of pixels that become black, %.", (0.0, 100.0)),
    Parameter(
        "thermal_scaling.high_percentile", 99.0, "percentile: share of pixels that are not yet white, %.", (0.0, 100.0)
    ),
    Parameter(
        "thermal_scaling.smoothing", 0.95, "percentile: share of the old range kept at each frame.", (0.0, 0.999)
    ),
    Parameter(
        "thermal_scaling.plateau", 3.0, "plateau: largest weight of a histogram bin, in mean weights.", (0.1, 1e6)
    ),
    Parameter("thermal_scaling.clahe", 0.0, "Clip limit of local contrast on top; 0: none, 2: moderate.", (0.0, 40.0)),
    Parameter(
        "radiometry.kind", "none", "linear: °C = value · scale + offset; planck: FLIR's constants.", choices=KINDS
    ),
    Parameter("radiometry.scale", 0.01, "linear: °C per count. TLinear 0.01 or 0.1, Optris 0.1, float images 1."),
    Parameter("radiometry.offset", -273.15, "linear: °C at value 0. Kelvin −273.15, Optris −100, Celsius 0."),
    Parameter("radiometry.planck", [0.0] * 5, "planck: R1, R2, B, F, O."),
    Parameter("radiometry.emissivity", 1.0, "planck: emissivity of what the camera looks at.", (0.01, 1.0)),
    Parameter("radiometry.reflected_celsius", 20.0, "planck: apparent temperature of what is mirrored, °C."),
    Parameter(
        "hot_spots.mode",
        "off",
        "off; celsius: pixels over hot_spots.celsius, needs radiometry; percent: the hottest hot_spots.percent.",
        choices=("off", "celsius", "percent"),
    ),
    Parameter("hot_spots.celsius", 60.0, "celsius: the limit, °C."),
    Parameter("hot_spots.percent", 1.0, "percent: share of the frame, %.", (0.01, 50.0)),
    Parameter("hot_spots.draw", True, "Draw the outline into the fused image."),
    Parameter(
        "registration.mode",
        "resize",
        "none: it is there already; resize: both cameras see the same view; homography: by registration.homography; "
        "file: as a file of `ivif calibrate` says; camera_info: calibrated cameras, as thermal/camera_info and "
        "rgb/camera_info say.",
        choices=MODES,
    ),
    Parameter("registration.homography", _IDENTITY, "homography: 3×3, row by row, thermal pixel -> RGB pixel."),
    Parameter("registration.file", "", "file: YAML of `ivif calibrate`."),
    Parameter(
        "registration.rotation",
        _IDENTITY,
        "camera_info: 3×3, row by row, in optical frames (x right, y down, z ahead): "
        "thermal point = rotation · RGB point + translation. With this and the translation left as they are, both come "
        "from /tf_static, by the frames of the two CameraInfos.",
    ),
    Parameter("registration.translation", [0.0] * 3, "camera_info: the translation of that, m."),
    Parameter("registration.distance", 10.0, "camera_info: distance of the scene from the RGB camera, m.", (0.01, 1e6)),
    Parameter(
        "registration.depth",
        False,
        "camera_info, or a file with model pinhole: take the distance of each pixel from the depth image rgb/depth.",
        live=False,
    ),
    Parameter(
        "registration.check_drift",
        True,
        "Watch how well the edges of thermal and RGB agree, and warn in the diagnostics when that falls.",
    ),
    Parameter(
        "thermal_transport", "raw", "compressed: subscribe to <topic>/compressed.", choices=_TRANSPORTS, live=False
    ),
    Parameter("rgb_transport", "raw", "compressed: subscribe to <topic>/compressed.", choices=_TRANSPORTS, live=False),
    Parameter(
        "output.colour",
        "fused",
        "fused: those of the RGB image; ironbow: by heat; white_hot: grey; overlay: those of the RGB image, and by "
        "heat where it is warm. Brightness is the fused one in all of them.",
        choices=COLOURS,
    ),
    Parameter("output.warm", DEFAULT_WARM, "overlay: share of the thermal range from which it colours.", (0.0, 1.0)),
    Parameter("output_encoding", "bgr8", "Of the fused image; mono8 where that is grey.", choices=("bgr8", "rgb8")),
    Parameter(
        "output_reliability",
        "reliable",
        "QoS of the fused topics. reliable serves every subscriber; best_effort only those that ask for no more.",
        choices=("reliable", "best_effort"),
        live=False,
    ),
    Parameter("jpeg_quality", 85, "JPEG quality of ivif/fused/compressed.", (1, 100)),
    Parameter(
        "on_missing",
        "pause",
        "What is published while a camera is frozen or silent. pause: nothing; visible_only, thermal_only: that camera "
        "alone; hold: pairs with the last frame of the missing one.",
        choices=POLICIES,
    ),
    Parameter(
        "freeze_detection",
        True,
        "Take repeated thermal frames as a freeze; false for noiseless simulations. Holds from the next activation on.",
    ),
    Parameter("autostart", True, "Configure and activate at start; false: wait for ros2 lifecycle set.", live=False),
)

BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}

GROUPS = {
    "engine": "TensorRT only: what the engine is built for, and the folder that keeps it. It is built at the first "
    "start, which takes seconds to minutes; until then the node fuses on the CPU.",
    "thermal_scaling": "How 16-bit or float thermal becomes intensity. 8-bit thermal is taken as it is.",
    "radiometry": "What thermal values mean. A fixed range and hot spots are then in °C.",
    "hot_spots": "Outline of hot pixels, and their mask on the RGB grid as ivif/hotspots.",
    "output": "Colours of the fused image.",
    "registration": "How thermal comes onto the RGB grid.",
}
"""First part of a dotted name -> what the group is for."""

_FOREIGN = ("use_sim_time", "start_type_description_service")
_FOREIGN_GROUP = "qos_overrides."


def is_foreign(name: str) -> bool:
    """Whether ROS itself declares this parameter on every node."""
    return name in _FOREIGN or name.startswith(_FOREIGN_GROUP)


def check_names(names: Iterable[str]) -> None:
    """Refuse names that are neither in the table nor of ROS itself.

    Raises:
        ConfigError: an unknown name; the nearest known one is named.
    """
    for name in names:
        if name not in BY_NAME and not is_foreign(name):
            raise ConfigError(f"{one_line(name, 80)}: no such parameter; the nearest is {_nearest(name)}")


def _nearest(name: str) -> str:
    ending = [known for known in BY_NAME if known.endswith(f".{name}")]
    return (ending or difflib.get_close_matches(name[:80], BY_NAME, n=1, cutoff=0.0))[0]
