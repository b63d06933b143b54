"""One set of files for three installs: pip, colcon (ament_python) and editable."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "ivif_ros"

ROS_MESSAGES = ["ros-sensor-msgs", "ros-std-msgs", "ros-diagnostic-msgs", "ros-lifecycle-msgs"]
EXTRAS = {
    # PyPI carries ROS 2 for Linux x86-64; on a robot these come from the ROS distribution instead.
    "ros": ["ros-rclpy[fastrtps]>=7.1", *ROS_MESSAGES],
    "openvino": ["openvino>=2024.4"],
    "tensorrt": ["tensorrt>=8.6", "cuda-python>=12"],
    "train": [
        "torch>=2.2",
        "torchvision>=0.17",
        "open_clip_torch>=2.31",
        "lightning>=2.2",
        "tensorboard>=2.14",
        "onnx>=1.15",
    ],
    "report": ["scikit-image>=0.22"],
    "video": ["av>=12"],
    "ray": ["ray>=2.9"],
    "completion": ["argcomplete>=3"],
    "test": [
        "pytest>=7.4",
        "ruff>=0.6",
        "pytest-timeout>=2.2",
        "argcomplete>=3",
        "av>=12",
        "hypothesis>=6.90",
        "onnx>=1.15",
        "scikit-image>=0.22",
        "selenium>=4.15",
        "scipy>=1.11",
    ],
}

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Real-time infrared-visible image fusion for robots (ROS 2)",
    long_description=(Path(__file__).resolve().parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    maintainer="ivif_ros maintainers",
    maintainer_email="maintainers@ivif-ros.org",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["ivif_ros", "ivif_ros.*", "ivif_core", "ivif_core.*"]),
    package_data={
        "ivif_core.calibration": ["*.html"],
        "ivif_core.evaluation.report": ["page.*"],
        "ivif_core.models": ["*.onnx", "*.md"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", [str(path) for path in Path("launch").glob("*.launch.py")]),
        (f"share/{PACKAGE}/config", [str(path) for path in Path("config").glob("*")]),
        (f"share/{PACKAGE}/recipes", [str(path) for path in Path("training/recipes").glob("*")]),
    ],
    install_requires=[
        "numpy>=1.22",
        "opencv-python-headless>=4.5",
        "onnxruntime>=1.16",
        "PyYAML>=5.4",
        "tqdm>=4.60",
        "rosbags>=0.11",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "ivif = ivif_core.cli.main:main",
            "fusion_node = ivif_ros.fusion_node:main",
            "replay = ivif_ros.tools.replay:main",
        ],
    },
    zip_safe=False,
)
