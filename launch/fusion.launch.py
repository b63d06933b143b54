"""Start the fusion node, and replay in place of cameras if asked.

ros2 launch ivif_ros fusion.launch.py infrared:=/boson/image_raw visible:=/camera/image_raw
ros2 launch ivif_ros fusion.launch.py replay:=scene
ros2 launch ivif_ros fusion.launch.py replay:=/data/pairs rate:=15
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.events import Shutdown
from launch_ros.actions import Node

from ivif_ros.tools.processes import fastdds_profile
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

SHARE = Path(get_package_share_directory("ivif_ros"))

RESPAWN_DELAY = 0.2
"""Seconds; a node that cannot start, as with a wrong parameter, takes no whole core in trying."""

ARGUMENTS = {
    "namespace": ("", "namespace of the node; its outputs become /NAMESPACE/ivif/fused …"),
    "infrared": ("thermal/image_raw", "topic of the thermal camera; with a bag, the topic in it too"),
    "visible": ("rgb/image_raw", "topic of the RGB camera; with a bag, the topic in it too"),
    "infrared_info": ("", "CameraInfo of the thermal camera; empty: camera_info beside its images"),
    "visible_info": ("", "CameraInfo of the RGB camera; empty: camera_info beside its images"),
    "depth": ("rgb/depth", "depth image of the RGB camera's view, where registration.depth asks for it"),
    "params_file": (str(SHARE / "config" / "fusion.yaml"), "parameter file of the node"),
    "backend": ("", "runtime of the network; empty: what the parameter file says"),
    "model": ("", "ONNX file of a student; empty: what the parameter file says"),
    "vividness": ("", "0 faithful to both cameras … 1 language-driven; empty: what the parameter file says"),
    "aim": ("", "name of one of the model's aims; empty: what the parameter file says"),
    "registration_file": ("", "YAML of `ivif calibrate`; sets registration.mode file"),
    "use_sim_time": ("false", "take the time from /clock (true or false)"),
    "respawn": ("true", "start the node again when it dies (true or false); with replay the launch ends instead"),
    "log_level": ("info", "debug, info, warn or error"),
    "rviz": ("false", "show all streams in RViz (true or false)"),
    "foxglove": ("false", "start Foxglove's bridge; the layout is config/foxglove.json (true or false)"),
    "replay": ("", "instead of cameras: 'scene' (rendered), a folder of pairs, or a bag"),
    "rate": ("", "replay: frames a second; empty: a bag's own, else 30"),
}
OTHER_NAMES = {
    "thermal": "infrared",
    "rgb": "visible",
    "thermal_info": "infrared_info",
    "rgb_info": "visible_info",
    "params": "params_file",
}
"""Launch arguments that mean the same as others."""
INFOS = {"thermal": "infrared_info", "rgb": "visible_info"}
"""Camera -> the argument that names its CameraInfo topic."""


def values_of(given: dict[str, str]) -> dict[str, str]:
    """The value of every argument, by its first name.

    Args:
        given: what the launch was called with, under either name, and whatever an outer launch file has set.

    Raises:
        ValueError: two names of one argument were given, with different values.
    """
    values = {name: given.get(name, default) for name, (default, _) in ARGUMENTS.items()}
    for other, name in OTHER_NAMES.items():
        if given.get(other):
            if values[name] not in (ARGUMENTS[name][0], given[other]):
                raise ValueError(f"{other}:={given[other]} and {name}:={values[name]} contradict each other: give one")
            values[name] = given[other]
    return values


def is_launched_itself() -> bool:
    """Whether the command line names this file; else another includes it and has arguments of its own."""
    return any(Path(word).name == Path(__file__).name for word in sys.argv)


def unknown(argv: list[str]) -> list[str]:
    """A line for each argument of the command line that this launch file does not have."""
    lines = []
    for name in (word.partition(":=")[0] for word in argv if ":=" in word):
        if name not in {*ARGUMENTS, *OTHER_NAMES}:
            near = get_close_matches(name, [*ARGUMENTS, *OTHER_NAMES], n=1)
            hint = f"; did you mean {near[0]}:= ?" if near else "; --show-args lists them"
            lines.append(f"fusion.launch.py has no argument {name}:= and ignores it{hint}")
    return lines


def is_true(value: dict[str, str], name: str) -> bool:
    """
    Raises:
        ValueError: neither true nor false.
    """
    if value[name].lower() not in ("true", "false"):
        raise ValueError(f"{name}:={value[name]}: expected true or false")
    return value[name].lower() == "true"


def overrides(value: dict[str, str]) -> dict[str, Any]:
    """Parameters that were given as launch arguments; the node checks them as it does those of the file.

    Raises:
        ValueError: no number, or neither true nor false.
    """
    given: dict[str, Any] = {name: value[name] for name in ("backend", "model", "aim") if value[name]}
    if value["vividness"]:
        try:
            given["vividness"] = float(value["vividness"])
        except ValueError:
            raise ValueError(f"vividness:={value['vividness']}: expected a number from 0 to 1") from None
    if value["registration_file"]:
        given["registration.mode"] = "file"
        given["registration.file"] = str(Path(value["registration_file"]).expanduser().absolute())
    return given | ({"use_sim_time": True} if is_true(value, "use_sim_time") else {})


def viewers(value: dict[str, str], remappings: list[tuple[str, str]]) -> list[LaunchDescriptionEntity]:
    """RViz and Foxglove's bridge, where they are asked for and installed; else a line that says how to get them."""
    started: list[LaunchDescriptionEntity] = []
    for name, package in (("rviz", "rviz2"), ("foxglove", "foxglove_bridge")):
        if not is_true(value, name):
            continue
        try:
            get_package_prefix(package)
        except PackageNotFoundError:
            apt = f"sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
            started.append(LogInfo(msg=f"{name}:=true needs the package {package}, which is not here: {apt}"))
            continue
        arguments = ["-d", str(SHARE / "config" / "fusion.rviz")] if name == "rviz" else []
        started.append(Node(package=package, executable=package, arguments=arguments, remappings=remappings))
    return started


def seen_from_outside(value: dict[str, str]) -> list[tuple[str, str]]:
    """The names in config/fusion.rviz -> the topics as this launch has them."""
    inside = f"/{value['namespace'].strip('/')}" if value["namespace"].strip("/") else ""
    cameras = (("/thermal/image_raw", value["infrared"]), ("/rgb/image_raw", value["visible"]))
    absolute = [(name, topic if topic.startswith("/") else f"{inside}/{topic}") for name, topic in cameras]
    outputs = ("ivif/fused", "ivif/debug", "ivif/hotspots", "ivif/camera_info")
    renamed = [*absolute, *((f"/{name}", f"{inside}/{name}") for name in outputs)]
    return [(name, topic) for name, topic in renamed if name != topic]


def replay_arguments(value: dict[str, str]) -> list[str]:
    """What the replay is called with; topics that were not given it finds in a bag by itself."""
    given = {
        "--infrared-topic": value["infrared"] if value["infrared"] != ARGUMENTS["infrared"][0] else "",
        "--visible-topic": value["visible"] if value["visible"] != ARGUMENTS["visible"][0] else "",
        "--rate": value["rate"],
    }
    source = [] if value["replay"] == "scene" else [value["replay"]]
    return [*source, *(word for option, text in given.items() if text for word in (option, text))]


def parameter_file(value: dict[str, str]) -> str:
    """
    Raises:
        ValueError: no file; launch would start the node without it.
    """
    file = Path(value["params_file"]).expanduser()
    if not file.is_file():
        raise ValueError(f"params_file:={value['params_file']}: no such file")
    return str(file)


def nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node, with only those parameters set that were given as launch arguments, and replay."""
    value = values_of(dict(context.launch_configurations))
    common = {
        "package": "ivif_ros",
        "namespace": value["namespace"],
        "output": "screen",
        "remappings": [
            ("thermal/image_raw", value["infrared"]),
            ("rgb/image_raw", value["visible"]),
            ("rgb/depth", value["depth"]),
            *((f"{camera}/camera_info", value[name]) for camera, name in INFOS.items() if value[name]),
        ],
    }
    # A robot's launch goes on without the node, which comes back; a demonstration without it has nothing to show.
    ended = {"on_exit": [EmitEvent(event=Shutdown(reason="node or replay ended"))]}
    at_end: dict[str, Any] = (
        ended if value["replay"] else {"respawn": is_true(value, "respawn"), "respawn_delay": RESPAWN_DELAY}
    )
    fusion = Node(
        executable="fusion_node",
        name="ivif_fusion",
        parameters=[parameter_file(value), overrides(value)],
        ros_arguments=["--log-level", value["log_level"]],
        **at_end,
        **common,
    )
    said = [LogInfo(msg=line) for line in unknown(list(context.argv))] if is_launched_itself() else []
    started = [*said, fusion, *viewers(value, seen_from_outside(value))]
    if not value["replay"]:
        return started
    return [*started, Node(executable="replay", arguments=replay_arguments(value), **ended, **common)]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` calls."""
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(n, default_value=d, description=text) for n, (d, text) in ARGUMENTS.items()),
            *(
                DeclareLaunchArgument(other, default_value="", description=f"the same as {name}:=")
                for other, name in OTHER_NAMES.items()
            ),
            *(SetEnvironmentVariable(name, path) for name, path in fastdds_profile().items()),
            OpaqueFunction(function=nodes),
        ]
    )
