"""A FLIR Boson and a RealSense's colour camera, fused: both drivers, their transform, and the node.

ros2 launch ivif_ros boson_realsense.launch.py device:=/dev/v4l/by-id/usb-FLIR_Boson_12345-video-index0
ros2 launch ivif_ros boson_realsense.launch.py registration_file:=rig.yaml vividness:=0.8 rviz:=true

Arguments of fusion.launch.py are passed on. An example to copy: it starts drivers by their public parameters, which are
in config/boson.yaml and config/realsense.yaml.
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
    "boson_params": (str(SHARE / "config" / "boson.yaml"), "parameter file of usb_cam for the Boson"),
    "realsense_params": (str(SHARE / "config" / "realsense.yaml"), "parameter file of realsense2_camera"),
    "device": ("/dev/video0", "V4L2 device of the Boson"),
    "rgb_frame": ("camera_color_optical_frame", "optical frame of the RealSense's colour camera"),
    "x": ("0.0", "where the Boson stands in the RGB optical frame: metres to the right"),
    "y": ("-0.04", "metres down"),
    "z": ("0.0", "metres forward"),
    "roll": ("0.0", "how it is turned, rad"),
    "pitch": ("0.0", "rad"),
    "yaw": ("0.0", "rad"),
}
POSE = ("x", "y", "z", "roll", "pitch", "yaw")


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` calls."""
    value = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    boson = Node(
        package="usb_cam",
        executable="usb_cam_node_exe",
        name="boson",
        namespace="boson",
        parameters=[value["boson_params"], {"video_device": value["device"]}],
        respawn=True,
        respawn_delay=2.0,
    )
    realsense = Node(
        package="realsense2_camera",
        executable="realsense2_camera_node",
        name="camera",
        namespace="camera",
        parameters=[value["realsense_params"]],
        respawn=True,
        respawn_delay=2.0,
    )
    pose = [word for name in POSE for word in (f"--{name}", value[name])]
    frames = ["--frame-id", value["rgb_frame"], "--child-frame-id", "boson_optical_frame"]
    transform = Node(package="tf2_ros", executable="static_transform_publisher", arguments=[*pose, *frames])
    fusion = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "fusion.launch.py")),
        launch_arguments={"infrared": "/boson/image_raw", "visible": "/camera/camera/color/image_raw"}.items(),
    )
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(n, default_value=d, description=text) for n, (d, text) in ARGUMENTS.items()),
            *(SetEnvironmentVariable(name, path) for name, path in fastdds_profile().items()),  # for the drivers too
            boson,
            realsense,
            transform,
            fusion,
        ]
    )
