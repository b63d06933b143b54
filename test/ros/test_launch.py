"""The launch files, read by launch itself where it is installed (ROS distributions bring it, PyPI does not)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

launch = pytest.importorskip("launch", reason="launch comes with a ROS distribution")
pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS distribution")
from launch_ros.actions import Node  # noqa: E402

FOLDER = Path(__file__).resolve().parents[2] / "launch"
USUAL = {"thermal/image_raw": "thermal/image_raw", "rgb/image_raw": "rgb/image_raw", "rgb/depth": "rgb/depth"}


@pytest.fixture(autouse=True)
def share(monkeypatch):
    """The clone stands for the installed package's share folder."""
    packages = pytest.importorskip("ament_index_python.packages")
    monkeypatch.setattr(packages, "get_package_share_directory", lambda _: str(FOLDER.parent))


def load(name: str):
    specification = importlib.util.spec_from_file_location(name.replace(".", "_"), FOLDER / name)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def started(name: str = "fusion.launch.py", **given: str) -> dict[str, Node]:
    """Executable -> node, of a launch with these arguments."""
    module = load(name)
    context = launch.LaunchContext()
    context.launch_configurations.update(given)
    return {node.node_executable: node for node in module.nodes(context) if isinstance(node, Node)}


def words(node: Node) -> list[str]:
    """The command line's words that launch was given as such, without ROS arguments."""
    texts = [part[0].text if isinstance(part, list) else part for part in node.cmd]
    return [text for text in texts[1:] if isinstance(text, str)]


def test_a_bag_is_replayed_at_its_own_rate_with_the_topics_it_has():
    module = load("fusion.launch.py")
    value = module.values_of({"replay": "drive"})
    assert module.replay_arguments(value) == ["drive"]
    value = module.values_of({"replay": "drive", "rgb": "/left/image_raw", "rate": "10"})
    assert module.replay_arguments(value) == ["drive", "--visible-topic", "/left/image_raw", "--rate", "10"]
    assert module.replay_arguments(module.values_of({"replay": "scene"})) == []


def test_camera_infos_are_remapped_only_where_they_are_named():
    assert not {"thermal/camera_info", "rgb/camera_info"} & {a for a, _ in remapped(started())}
    assert ("rgb/camera_info", "/other") in remapped(started(visible_info="/other"))


def remapped(nodes: dict[str, Node]) -> list[tuple[str, str]]:
    (node,) = nodes.values()
    return [(a[0].text, b[0].text) for a, b in node._Node__remappings]
