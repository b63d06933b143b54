"""Who may import whom: the node and the inference side start without torch, the core without ROS."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {blocked}:
            raise ImportError('blocked: ' + name)
sys.meta_path.insert(0, Blocked())
"""


def run_without(blocked: set[str], code: str) -> subprocess.CompletedProcess:
    script = BLOCK.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)


HEAVY = {"torch", "torchvision", "open_clip", "lightning", "ray", "plotly", "scipy", "skimage", "onnx"}


def test_fusion_runs_without_torch_and_without_ros():
    code = """
import numpy as np
from ivif_core.fusion import Fuser
fused = Fuser().fuse(np.zeros((40, 50), np.uint8), np.full((64, 64, 3), 7, np.uint8))
assert fused.shape == (64, 64, 3), fused.shape
"""
    done = run_without({*HEAVY, "rclpy", "sensor_msgs", "ivif_ros", "training"}, code)
    assert done.returncode == 0, done.stderr


def test_the_node_imports_without_torch():
    pytest.importorskip("rclpy")
    code = "import ivif_ros.fusion_node, ivif_ros.tools.replay, ivif_ros.tools.demo, ivif_ros.tools.benchmark"
    done = run_without(HEAVY, code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("entry", "program"), [("main", "fusion_node"), ("replay", "replay")])
def test_without_ros_the_nodes_commands_say_what_to_install(entry, program):
    code = f"sys.modules['rclpy'] = None; from ivif_ros.__main__ import {entry}; sys.exit({entry}())"
    done = run_without(set(), code)
    assert done.returncode == 1 and done.stderr.startswith(f"{program}: rclpy is not here: source a ROS 2 workspace")
    assert len(done.stderr.splitlines()) == 1 and "pip install" in done.stderr


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "tensorrt", "rosbags"])
def test_runtimes_are_imported_only_where_used(runtime):
    done = run_without({runtime}, "import ivif_core.fusion, ivif_core.cli.main, ivif_core.sync.pairing")
    assert done.returncode == 0, done.stderr


def test_every_command_starts_without_heavy_packages():
    code = """
from importlib import import_module
from ivif_core.cli.boundary import run
from ivif_core.cli.tree import COMMANDS, module_of
for name in COMMANDS:
    import_module(module_of(name))
"""
    done = run_without({*HEAVY, "onnxruntime", "openvino", "tensorrt", "rosbags", "rclpy", "selenium"}, code)
    assert done.returncode == 0, done.stderr


def test_public_names_are_there_and_are_loaded_when_used():
    code = """
import ivif_core, sys
assert not {"numpy", "cv2", "importlib.metadata"} & set(sys.modules), "loaded before it is used"
assert set(ivif_core.__all__) <= set(dir(ivif_core))
from ivif_core import *
assert not (set(ivif_core.__all__) - set(globals()))
assert issubclass(MissingPackage, IvifError) and Settings.from_values()["slop"] == 0.05
assert Fuser.__module__ == "ivif_core.fusion" and ivif_core.Fuser is Fuser
assert not hasattr(ivif_core, "vividnes")
"""
    done = run_without(set(), code)
    assert done.returncode == 0, done.stderr
