"""What to install where an import fails."""

from __future__ import annotations

from ivif_core.files.installation import install_command, pip_install

EXTRAS = {
    "av": "video",
    "flyr": "radiometric",
    "lightning": "train",
    "onnx": "train",
    "open_clip": "train",
    "openvino": "openvino",
    "ray": "ray",
    "tensorboard": "train",
    "tensorrt": "tensorrt",
    "torch": "train",
    "torchvision": "train",
}
"""Module -> the extra of this package that brings it."""
REQUIRED = {
    "cv2": "opencv-python-headless",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "rosbags": "rosbags",
    "tqdm": "tqdm",
    "yaml": "PyYAML",
}
"""Module -> the package that every installation needs, and that a ROS workspace may still lack."""
ROS = ("ivif_ros", "rclpy", "sensor_msgs", "std_msgs", "diagnostic_msgs", "lifecycle_msgs")


def missing_package(error: ImportError) -> str | None:
    """What to install so that this import works; None where the module is none that one installs.

    A library that is there but cannot be loaded is named with its own complaint.
    """
    module = (error.name or "").partition(".")[0]
    if module in ROS:
        ros = "source a ROS 2 workspace that holds ivif_ros"
        return f"{module} is not here: {ros}, or {install_command('ros')}"
    if module not in EXTRAS and module not in REQUIRED:
        return None
    if not isinstance(error, ModuleNotFoundError):
        return f"{module} is installed, but cannot be loaded: {error}"
    command = pip_install(REQUIRED[module]) if module in REQUIRED else install_command(EXTRAS[module])
    return f"{module} is not installed; to have it: {command}"
