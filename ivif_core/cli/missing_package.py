"""How to install an optional package that is missing, from where the user stands: a clone, a wheel or a workspace."""

from __future__ import annotations

import json
import re
import shlex
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

import ivif_core

DISTRIBUTION = "ivif_ros"
EXTRAS = {
    "av": "video",
    "lightning": "train",
    "onnx": "train",
    "open_clip": "train",
    "openvino": "openvino",
    "ray": "ray",
    "skimage": "report",
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
    command = f"pip install {REQUIRED[module]}" if module in REQUIRED else install_command(EXTRAS[module])
    return f"{module} is not installed; to have it: {command}"


def install_command(extra: str) -> str:
    """The pip command that brings an extra of this package to where it is installed."""
    try:
        found = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        found = None
    root = Path(ivif_core.__file__).resolve().parents[1]
    origin = json.loads((found and found.read_text("direct_url.json")) or "{}")
    if "url" in origin:
        address = urlparse(origin["url"])
        folder = unquote(address.path)
        if "dir_info" in origin and Path(folder, "setup.py").is_file():
            option = "-e " if origin["dir_info"].get("editable") else ""
            return f"pip install {option}{shlex.quote(f'{folder}[{extra}]')}"
        if "dir_info" not in origin:
            return f"pip install {shlex.quote(f'{DISTRIBUTION}[{extra}] @ ' + origin['url'])}"
    if (root / "setup.py").is_file() and (root / "package.xml").is_file():  # run from the sources
        return f"pip install {shlex.quote(f'{root}[{extra}]')}"
    # A colcon workspace: pip must not install a second ivif_ros beside it.
    packages = [] if found is None else _requirements(found, extra)
    return (
        f"pip install {shlex.join(packages)}" if packages else f"pip install {shlex.quote(f'{DISTRIBUTION}[{extra}]')}"
    )


def _requirements(found: metadata.Distribution, extra: str) -> list[str]:
    named = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    return [line.partition(";")[0].strip() for line in found.requires or [] if named.search(line)]
