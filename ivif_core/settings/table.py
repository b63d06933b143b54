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
    Parameter("threads", 0, "CPU threads for fusing; 0: one a core. Two frames share them.", (0, 256), live=False),
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
        "GPUs that can run an engine of TensorRT for RTX, e.g. '8.6 8.9'; empty: 8.0 and later, or the Turing GPU in "
        "this machine.",
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
        "Rows to cut off at the top and bottom of each thermal image, and columns at the left and right: for "
        "telemetry rows, which turn the image white. Registration refers to the cropped image.",
    ),
    Parameter(
        "rgb_crop",
        [0.0] * 4,
        "Rows to cut off at the top and bottom of each RGB image, and columns at the left and right.",
    ),
    Parameter(
        "pairing",
        "approximate",
        "How frames are paired by stamp. approximate: each frame is used once, with the nearest of the other camera; "
        "nearest: each RGB frame takes the nearest thermal frame, and several may take the same one (9 Hz beside 30 "
        "Hz).",
        choices=("approximate", "nearest"),
        live=False,
    ),
    Parameter("slop", 0.05, "Largest stamp difference within a pair, s.", (0.0, 10.0)),
    Parameter("queue_size", 10, "Frames per camera that may wait for a partner.", (1, 1000)),
    Parameter(
        "hold_thermal",
        0.0,
        "nearest: where no thermal frame is within slop, the last one is used up to this age, s.",
        (0.0, 60.0),
    ),
    Parameter(
        "thermal_time_offset",
        0.0,
        "Added to the thermal stamps before pairing, s. Negative if the thermal camera stamps late.",
        (-10.0, 10.0),
    ),
    Parameter(
        "thermal_scaling.mode",
        "percentile",
        "percentile: a range that follows the frames slowly; plateau: histogram equalisation within that range; "
        "fixed: from low to high.",
        choices=("percentile", "plateau", "fixed"),
    ),
    Parameter("thermal_scaling.low", 0.0, "fixed: shown as black; °C with radiometry, else the camera's unit."),
    Parameter("thermal_scaling.high", 65535.0, "fixed: shown as white; °C with radiometry, else the camera's unit."),
    Parameter("thermal_scaling.low_percentile", 1.0, "percentile: share of pixels shown as black, %.", (0.0, 100.0)),
    Parameter("thermal_scaling.high_percentile", 99.0, "percentile: share of pixels below white, %.", (0.0, 100.0)),
    Parameter(
        "thermal_scaling.smoothing", 0.95, "percentile: share of the old range that each frame keeps.", (0.0, 0.999)
    ),
    Parameter(
        "thermal_scaling.plateau", 3.0, "plateau: largest weight of a bin, in multiples of the mean.", (0.1, 1e6)
    ),
    Parameter("thermal_scaling.clahe", 0.0, "Clip limit of local contrast (CLAHE); 0: none, 2: moderate.", (0.0, 40.0)),
    Parameter(
        "radiometry.kind", "none", "linear: °C = value · scale + offset; planck: FLIR's constants.", choices=KINDS
    ),
    Parameter("radiometry.scale", 0.01, "linear: °C per count; TLinear: 0.01 or 0.1, Optris: 0.1, float: 1."),
    Parameter("radiometry.offset", -273.15, "linear: °C at value 0; kelvin: −273.15, Optris: −100, Celsius: 0."),
    Parameter("radiometry.planck", [0.0] * 5, "planck: the camera's constants R1, R2, B, F, O."),
    Parameter("radiometry.emissivity", 1.0, "planck: emissivity of the surfaces in view.", (0.01, 1.0)),
    Parameter("radiometry.reflected_celsius", 20.0, "planck: apparent temperature of what these surfaces reflect, °C."),
    Parameter(
        "hot_spots.mode",
        "off",
        "Which pixels are hot. off: none; celsius: those over hot_spots.celsius, needs radiometry; percent: the "
        "hottest hot_spots.percent of the frame.",
        choices=("off", "celsius", "percent"),
    ),
    Parameter("hot_spots.celsius", 60.0, "celsius: the threshold, °C."),
    Parameter("hot_spots.percent", 1.0, "percent: share of the frame, %.", (0.01, 50.0)),
    Parameter("hot_spots.draw", True, "Outline hot spots in the fused image."),
    Parameter(
        "registration.mode",
        "resize",
        "none: the images are aligned already; resize: both cameras have the same view; homography: use "
        "registration.homography; file: use registration.file; camera_info: use the calibration in "
        "thermal/camera_info and rgb/camera_info.",
        choices=MODES,
    ),
    Parameter("registration.homography", _IDENTITY, "homography: 3×3, row by row, from thermal pixels to RGB pixels."),
    Parameter("registration.file", "", "file: a YAML file of `ivif calibrate`."),
    Parameter(
        "registration.rotation",
        _IDENTITY,
        "camera_info: 3×3, row by row, in optical frames (x right, y down, z ahead): thermal point = rotation · RGB "
        "point + translation. If rotation and translation keep their defaults, both come from /tf_static, by the "
        "frames of the two CameraInfos.",
    ),
    Parameter("registration.translation", [0.0] * 3, "camera_info: the translation in that equation, m."),
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
        "Check how well the edges of thermal and RGB agree, and warn in the diagnostics if they no longer do.",
    ),
    Parameter(
        "thermal_transport", "raw", "compressed: subscribe to <topic>/compressed.", choices=_TRANSPORTS, live=False
    ),
    Parameter("rgb_transport", "raw", "compressed: subscribe to <topic>/compressed.", choices=_TRANSPORTS, live=False),
    Parameter(
        "output.colour",
        "fused",
        "fused: colours of the RGB image; ironbow: colours by heat; white_hot: grey; overlay: colours of the RGB "
        "image, and by heat where it is warm. Brightness is always the fused one.",
        choices=COLOURS,
    ),
    Parameter("output.warm", DEFAULT_WARM, "overlay: share of the thermal range above which heat shows.", (0.0, 1.0)),
    Parameter("output_encoding", "bgr8", "Encoding of the fused image; a grey one is mono8.", choices=("bgr8", "rgb8")),
    Parameter(
        "output_reliability",
        "reliable",
        "QoS of the fused topics. reliable serves every subscriber, best_effort only best-effort ones.",
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
        "Treat repeated thermal frames as a freeze; set false for simulations without noise. Takes effect at the "
        "next activation.",
    ),
    Parameter("autostart", True, "Configure and activate at start; false: wait for `ros2 lifecycle set`.", live=False),
)

BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}

GROUPS = {
    "engine": "TensorRT only: which engine to build, and where to keep it. The first start builds it, which takes "
    "seconds to minutes; until then the node fuses on the CPU.",
    "thermal_scaling": "How 16-bit or float thermal is turned into intensity. 8-bit thermal is used unchanged.",
    "radiometry": "What thermal values mean. With it, a fixed range and hot spots are in °C.",
    "hot_spots": "Hot pixels: their outline in the fused image, and their mask on the RGB grid, published as "
    "ivif/hotspots.",
    "output": "Colours of the fused image.",
    "registration": "How thermal is aligned with the RGB image.",
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
