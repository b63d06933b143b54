"""Start the fusion node, and replay in place of cameras if asked.

ros2 launch ivif_ros fusion.launch.py thermal:=/boson/image_raw rgb:=/camera/image_raw
ros2 launch ivif_ros fusion.launch.py replay:=scene
ros2 launch ivif_ros fusion.launch.py replay:=/data/pairs rate:=15
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, SetEnvironmentVariable
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from ivif_ros.tools.processes import fastdds_profile
from launch import LaunchContext, LaunchDescription

SHARE = Path(get_package_share_directory("ivif_ros"))

RESPAWN_DELAY = 0.5
"""Seconds; a node that cannot start, as with a wrong parameter, takes no whole core in trying."""

ARGUMENTS = {
    "namespace": ("", "namespace of the node; its outputs become /NAMESPACE/ivif/fused …"),
    "thermal": ("thermal/image_raw", "topic of the thermal camera"),
    "rgb": ("rgb/image_raw", "topic of the RGB camera"),
    "thermal_info": ("thermal/camera_info", "CameraInfo of the thermal camera, for registration.mode camera_info"),
    "rgb_info": ("rgb/camera_info", "CameraInfo of the RGB camera, passed on as ivif/camera_info"),
    "depth": ("rgb/depth", "depth image of the RGB camera's view, where registration.depth asks for it"),
    "params": (str(SHARE / "config" / "fusion.yaml"), "parameter file"),
    "backend": ("", "runtime of the network; empty: what the parameter file says"),
    "model": ("", "ONNX file of a student; empty: what the parameter file says"),
    "respawn": ("true", "start the node again when it dies (true or false); with replay the launch ends instead"),
    "log_level": ("info", "debug, info, warn or error"),
    "replay": ("", "instead of cameras: 'scene' (rendered), a folder of pairs, or a bag"),
    "rate": ("30", "replay: frames a second"),
}


def nodes(context: LaunchContext) -> list[Node | EmitEvent]:
    """The node, with only those parameters set that were given as launch arguments, and replay."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    overrides = {name: value[name] for name in ("backend", "model") if value[name]}
    common = {
        "package": "ivif_ros",
        "namespace": value["namespace"],
        "output": "screen",
        "remappings": [
            ("thermal/image_raw", value["thermal"]),
            ("rgb/image_raw", value["rgb"]),
            ("thermal/camera_info", value["thermal_info"]),
            ("rgb/camera_info", value["rgb_info"]),
            ("rgb/depth", value["depth"]),
        ],
    }
    # A robot's launch goes on without the node, which comes back; a demonstration without it has nothing to show.
    end: dict[str, Any] = {"respawn": value["respawn"].lower() == "true", "respawn_delay": RESPAWN_DELAY}
    if value["replay"]:
        end = {"on_exit": [EmitEvent(event=Shutdown(reason="the fusion node ended"))]}
    fusion = Node(
        executable="fusion_node",
        name="ivif_fusion",
        parameters=[value["params"], overrides],
        ros_arguments=["--log-level", value["log_level"]],
        **end,
        **common,
    )
    if not value["replay"]:
        return [fusion]
    source = [] if value["replay"] == "scene" else [value["replay"]]
    return [fusion, Node(executable="replay", arguments=[*source, "--rate", value["rate"]], **common)]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` calls."""
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(n, default_value=d, description=text) for n, (d, text) in ARGUMENTS.items()),
            *(SetEnvironmentVariable(name, path) for name, path in fastdds_profile().items()),
            OpaqueFunction(function=nodes),
        ]
    )
