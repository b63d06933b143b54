"""Two USB (V4L2) cameras, thermal and RGB, fused: both drivers and the node.

ros2 launch ivif_ros usb_cameras.launch.py thermal_device:=/dev/video0 rgb_device:=/dev/video2
ros2 launch ivif_ros usb_cameras.launch.py thermal_params:=lepton.yaml registration_file:=rig.yaml

Arguments of fusion.launch.py are passed on. An example to copy: it starts usb_cam by its public parameters, which are
in config/boson.yaml (any thermal camera that sends Y16) and config/usb_rgb.yaml.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from ivif_ros.tools.processes import fastdds_profile
from launch import LaunchDescription

SHARE = Path(get_package_share_directory("ivif_ros"))

ARGUMENTS = {
    "thermal_params": (str(SHARE / "config" / "boson.yaml"), "parameter file of usb_cam for the thermal camera"),
    "rgb_params": (str(SHARE / "config" / "usb_rgb.yaml"), "parameter file of usb_cam for the RGB camera"),
    "thermal_device": ("/dev/video0", "V4L2 device of the thermal camera"),
    "rgb_device": ("/dev/video2", "V4L2 device of the RGB camera"),
}


def camera(name: str) -> Node:
    """usb_cam for 'thermal' or 'rgb', whose image is NAME/image_raw."""
    return Node(
        package="usb_cam",
        executable="usb_cam_node_exe",
        name="camera",
        namespace=name,
        parameters=[LaunchConfiguration(f"{name}_params"), {"video_device": LaunchConfiguration(f"{name}_device")}],
        respawn=True,
        respawn_delay=2.0,
    )


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` calls."""
    fusion = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(SHARE / "launch" / "fusion.launch.py")))
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(n, default_value=d, description=text) for n, (d, text) in ARGUMENTS.items()),
            *(SetEnvironmentVariable(name, path) for name, path in fastdds_profile().items()),  # for the drivers too
            camera("thermal"),
            camera("rgb"),
            fusion,
        ]
    )
