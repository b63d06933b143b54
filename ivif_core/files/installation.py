"""The pip command that works where the user stands: a clone, a wheel, a colcon workspace, a system's own Python."""

from __future__ import annotations

import json
import re
import shlex
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

import ivif_core

DISTRIBUTION = "ivif_ros"
PACKAGES = {
    "openvino": ["openvino"],
    "radiometric": ["flyr"],
    "ray": ["ray"],
    "ros": ["ros-rclpy[fastrtps]", "ros-sensor-msgs", "ros-std-msgs", "ros-diagnostic-msgs", "ros-lifecycle-msgs"],
    "tensorrt": ["tensorrt", "cuda-python"],
    "train": ["torch", "torchvision", "open_clip_torch", "lightning", "tensorboard", "onnx"],
    "video": ["av"],
}
"""Extra -> its packages, where the installation does not tell them: an old setuptools (Humble) reads no [project]."""


def pip_install(*packages: str) -> str:
    """`pip install …`; where the system keeps its Python to itself (PEP 668), with the word that pip asks for."""
    is_system = sys.prefix == sys.base_prefix
    managed = is_system and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").is_file()
    return f"pip install {'--break-system-packages ' if managed else ''}{shlex.join(packages)}"


def install_command(extra: str) -> str:
    """The pip command that brings an extra of this package to where it is installed."""
    # In a clone's folder the egg-info that the build left there is found first, and says nothing of the installation.
    installed = sorted(metadata.distributions(name=DISTRIBUTION), key=lambda one: not one.read_text("direct_url.json"))
    found = installed[0] if installed else None
    root = Path(ivif_core.__file__).resolve().parents[1]
    origin = json.loads((found and found.read_text("direct_url.json")) or "{}")
    if "url" in origin:
        address = urlparse(origin["url"])
        folder = unquote(address.path)
        if "dir_info" in origin and Path(folder, "setup.py").is_file():
            option = ["-e"] if origin["dir_info"].get("editable") else []
            return pip_install(*option, f"{folder}[{extra}]")
        if "dir_info" not in origin:
            return pip_install(f"{DISTRIBUTION}[{extra}] @ {origin['url']}")
    if (root / "setup.py").is_file() and (root / "package.xml").is_file():  # run from the sources
        return pip_install(f"{root}[{extra}]")
    # A colcon workspace: pip must not install a second ivif_ros beside it.
    return pip_install(*(_requirements(found, extra) if found is not None else []) or PACKAGES[extra])


def _requirements(found: metadata.Distribution, extra: str) -> list[str]:
    named = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    return [line.partition(";")[0].strip() for line in found.requires or [] if named.search(line)]
