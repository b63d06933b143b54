"""What ships in config/, launch/ and package.xml: it parses, and the topics it names exist."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from test.ros.conftest import wait_for
from test.ros.rig import Rig

ROOT = Path(__file__).resolve().parents[2]


def values_of(tree, key: str) -> list:
    """All values under `key`, at any depth."""
    if isinstance(tree, dict):
        return [v for k, v in tree.items() if k == key] + [x for v in tree.values() for x in values_of(v, key)]
    return [x for v in tree for x in values_of(v, key)] if isinstance(tree, list) else []


def test_rviz_and_foxglove_show_topics_that_exist(graph):
    rviz = yaml.safe_load((ROOT / "config" / "fusion.rviz").read_text())
    displays = rviz["Visualization Manager"]["Displays"]
    foxglove = json.loads((ROOT / "config" / "foxglove.json").read_text())
    topics = {display["Topic"]["Value"] for display in displays}
    for key in ("imageTopic", "calibrationTopic", "topicToRender"):
        topics |= set(values_of(foxglove, key))
    assert {"/ivif/fused", "/thermal/image_raw", "/rgb/image_raw", "/diagnostics"} <= topics
    rig = Rig(graph)
    assert wait_for(lambda: topics <= {name for name, _ in rig.tester.get_topic_names_and_types()}), topics


def test_foxglove_layout_places_every_panel_it_configures():
    foxglove = json.loads((ROOT / "config" / "foxglove.json").read_text())
    placed = [p for key in ("first", "second") for p in values_of(foxglove["layout"], key) if isinstance(p, str)]
    assert sorted(placed) == sorted(foxglove["configById"])


@pytest.mark.parametrize("name", ["fastdds.xml", "fastrtps.xml"])
def test_fastdds_profiles_give_room_for_a_4k_image_and_announce_often(name):
    """`test_processes.py` sees the announcements themselves."""
    root = ElementTree.parse(ROOT / "config" / name).getroot()
    values = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}
    assert int(values["segment_size"]) >= 2 * 3840 * 2160 * 3
    assert int(values["sec"]) == 1


def test_each_fastdds_sends_announcements_by_a_thread_of_their_own():
    """The two profiles differ in nothing but the element that its Fast DDS takes as a reason to."""
    threes, twos = (ElementTree.parse(ROOT / "config" / name).getroot() for name in ("fastdds.xml", "fastrtps.xml"))
    controllers = []
    for root in (threes, twos):
        rtps = root[1][0]
        controllers.append(rtps[-1].tag.rpartition("}")[2])
        rtps.remove(rtps[-1])
    assert controllers == ["flow_controller_descriptor_list", "throughputController"]
    assert ElementTree.tostring(threes) == ElementTree.tostring(twos)


def test_package_xml_and_setup_py_agree():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    setup = (ROOT / "setup.py").read_text()
    assert package.get("format") == "3"
    assert f'version="{package.findtext("version")}"' in setup
    assert f'PACKAGE = "{package.findtext("name")}"' in setup
    assert package.findtext("export/build_type") == "ament_python"
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", package.find("maintainer").get("email"))
    needed = {"rclpy", "sensor_msgs", "diagnostic_msgs", "lifecycle_msgs", "message_filters", "cv_bridge"}
    assert needed <= {e.text for e in package.findall("exec_depend")}
