"""The launch files, read by launch itself where it is installed (ROS distributions bring it, PyPI does not)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

launch = pytest.importorskip("launch", reason="launch comes with a ROS distribution")
pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS distribution")
from launch_ros.actions import Node

FOLDER = Path(__file__).resolve().parents[2] / "launch"


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


def test_parameters_given_as_arguments_override_the_file(tmp_path, monkeypatch):
    module = load("fusion.launch.py")
    monkeypatch.chdir(tmp_path)
    given = {"vividness": "0.8", "registration_file": "rig.yaml", "use_sim_time": "true", "backend": "onnxruntime"}
    assert module.overrides(module.values_of(given)) == {
        "backend": "onnxruntime",
        "vividness": 0.8,
        "registration.mode": "file",
        "registration.file": str(tmp_path / "rig.yaml"),
        "use_sim_time": True,
    }
    assert module.overrides(module.values_of({})) == {}
    assert module.values_of({"params": "mine.yaml"})["params_file"] == "mine.yaml"


@pytest.mark.parametrize("given", ["vividness:=much", "use_sim_time:=perhaps", "respawn:=1", "rviz:=on"])
def test_nonsense_is_refused_by_name(given):
    name, value = given.split(":=")
    with pytest.raises(ValueError, match=f"{given}: expected"):
        started(**{name: value})


def test_a_parameter_file_is_there_or_nothing_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").touch()
    module = load("fusion.launch.py")
    assert module.parameter_file({"params_file": "~/mine.yaml"}) == str(tmp_path / "mine.yaml")
    with pytest.raises(ValueError, match=r"params_file:=~/other\.yaml: no such file"):
        started(params="~/other.yaml")


def test_a_replay_ends_with_the_node_and_the_node_with_it():
    ends = lambda node: bool(node._ExecuteLocal__on_exit)  # noqa: E731
    assert {name: ends(node) for name, node in started(replay="scene").items()} == {"fusion_node": True, "replay": True}
    assert not ends(started()["fusion_node"])


def test_a_viewer_that_is_not_installed_is_said_and_nothing_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    module = load("fusion.launch.py")
    (line,) = module.viewers(module.values_of({"foxglove": "true"}), [])
    assert "sudo apt install ros-$ROS_DISTRO-foxglove-bridge" in line.msg[0].text


def test_viewers_see_the_topics_as_they_are():
    module = load("fusion.launch.py")
    seen = module.seen_from_outside(module.values_of({"namespace": "robot", "visible": "/camera/image_raw"}))
    assert dict(seen)["/ivif/fused"] == "/robot/ivif/fused" and dict(seen)["/rgb/image_raw"] == "/camera/image_raw"
    assert dict(seen)["/thermal/image_raw"] == "/robot/thermal/image_raw"
    assert module.seen_from_outside(module.values_of({})) == []


@pytest.mark.parametrize("name", ["boson_realsense.launch.py", "usb_cameras.launch.py"])
def test_examples_start_drivers_whose_topics_the_node_hears(name):
    description = load(name).generate_launch_description()
    drivers = [entity for entity in description.entities if isinstance(entity, Node)]
    assert {"usb_cam"} <= {node.node_package for node in drivers}
    declared = {e.name for e in description.entities if isinstance(e, launch.actions.DeclareLaunchArgument)}
    fusion = load("fusion.launch.py")
    assert not declared & {*fusion.ARGUMENTS, *fusion.OTHER_NAMES}  # those are passed on
