"""What pyproject.toml cannot say: ROS's files, and what colcon needs where setuptools reads no [project] (Humble: 59).

The version is here. package.xml has to repeat it: `catkin_prepare_release` raises both and takes none that is computed.
A test holds them equal. Python reads it from the installed package (`ivif_core.__version__`).
"""

from __future__ import annotations

import re
from pathlib import Path

import setuptools
from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
PACKAGE = "ivif_ros"
READS_PROJECT = int(setuptools.__version__.split(".")[0]) >= 61


def readme() -> str:
    """README.md with links that also lead somewhere on a package index: relative ones become the repository's."""
    repository = re.search(r'^Repository = "(.*)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)[1]
    text = (ROOT / "README.md").read_text("utf-8")
    text = re.sub(r"(!\[[^\]]*\]\()(?!https?:|#)", rf"\1{repository}/raw/main/", text)
    return re.sub(r"(?<!!)(\[[^\]]*\]\()(?!https?:|#)", rf"\1{repository}/blob/main/", text)


setup(
    name=PACKAGE,
    version="0.2.0",
    long_description=readme(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",  # not requires-python: colcon reads these values back as literals, and that one is none
    packages=find_packages(include=["ivif_ros", "ivif_ros.*", "ivif_core", "ivif_core.*"]),
    package_data={
        "": ["py.typed"],
        "ivif_core.calibration": ["*.html"],
        "ivif_core.evaluation.report": ["page.*"],
        "ivif_core.offline": ["view_page.*"],
        "ivif_core.models": ["*.onnx", "*.md"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", [str(path) for path in Path("launch").glob("*.launch.py")]),
        (f"share/{PACKAGE}/hook", ["resource/hook/path.dsv"]),  # `ivif` on PATH, by colcon.pkg
        (f"share/{PACKAGE}/config", [str(path) for path in Path("config").glob("*")]),
        (f"share/{PACKAGE}/recipes", [str(path) for path in Path("training/recipes").glob("*")]),
    ],
    entry_points={
        "console_scripts": [
            "ivif = ivif_core.cli.main:main",
            "fusion_node = ivif_ros.__main__:main",
            "replay = ivif_ros.__main__:replay",
        ],
    },
    extras_require=None if READS_PROJECT else {"test": ["pytest"]},  # what makes `colcon test` take pytest
    zip_safe=False,
)
