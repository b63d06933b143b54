"""Imports go one way: a room may use its own layer's floor and what lies below, never what lies above."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [
    {"errors", "types"},
    {"files"},
    {"sync", "registration", "imaging"},
    {"thermal", "models", "scene"},
    {"backends"},
    {"fusion", "calibration"},
    {"settings"},
    {"offline", "evaluation", "training"},
    {"benchmarks"},
    {"cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(LAYERS) for room in rooms}
MAY_SHARE = {("evaluation", "offline"), ("training", "offline"), ("training", "evaluation")}
"""Rooms of one floor that use each other, one way only."""
RUNTIMES = {
    "torch": ("training/", "backends/torch"),
    "onnxruntime": ("backends/onnxruntime", "benchmarks/external_onnx.py"),
    "openvino": ("backends/openvino",),
    "tensorrt": ("backends/tensorrt/",),
    "ray": ("offline/ray_runner.py",),
    "av": ("imaging/video_file.py",),
    "flyr": ("offline/radiometric_photo.py",),
}
MODULES = sorted(path for part in ("ivif_core", "ivif_ros") for path in (ROOT / part).rglob("*.py"))


@functools.cache
def imported(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports, at its top or inside of functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "ivif_core" and len(parts) > 1 else None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] != "ivif_core" or (len(parts) < 3 and parts[1] == "__init__"):
        return
    own = parts[1]
    for name in imported(path):
        assert not name.startswith(("ivif_ros", "rclpy", "sensor_msgs")), f"{name}: the core knows no ROS"
        room = room_of(name)
        if room in FLOOR and room != own:
            assert FLOOR[room] < FLOOR[own] or (own, room) in MAY_SHARE, f"{own} imports {name}"


def test_every_room_has_a_floor():
    inside = (ROOT / "ivif_core").iterdir()
    rooms = {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").is_file()} - {"__init__"}
    assert rooms <= set(FLOOR) and len(rooms) <= 18


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runtimes_are_named_only_where_they_are_used(runtime):
    for path in MODULES:
        place = path.relative_to(ROOT).as_posix().removeprefix("ivif_core/")
        if any(name.split(".")[0] == runtime for name in imported(path)):
            assert place.startswith(RUNTIMES[runtime]), f"{place} imports {runtime}"
