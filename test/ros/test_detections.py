"""Hot spots as detections. PyPI has no vision_msgs, so stand-ins of its messages are filled, and one more is sent."""

from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header, String

from ivif_core.thermal.hot_spots import HotSpot
from ivif_ros import detections as made
from ivif_ros import outputs
from test.ros import vision_messages
from test.ros.conftest import wait_for
from test.ros.rig import Rig, image, scene

NAMES = ("BoundingBox2D", "Detection2D", "Detection2DArray", "ObjectHypothesisWithPose")
HEADER = Header(frame_id="camera")


@pytest.fixture(params=["stand-in", "real"])
def messages(request, monkeypatch):
    if request.param == "real":
        pytest.importorskip("vision_msgs.msg", reason="vision_msgs comes with a ROS distribution")
        return
    for name in NAMES:
        monkeypatch.setattr(made, name, getattr(vision_messages, name), raising=False)


def test_a_spot_is_a_box_with_its_temperature(messages):
    message = made.detections([HotSpot(10, 20, 5, 4, 83.44), HotSpot(0, 0, 1, 1, 61.0)], "°C", HEADER)
    assert message.header == HEADER and [d.id for d in message.detections] == ["83.4 °C", "61.0 °C"]
    first = message.detections[0]
    assert first.header == HEADER
    assert (first.results[0].hypothesis.class_id, first.results[0].hypothesis.score) == ("hot_spot", 1.0)
    box = first.bbox
    # Columns 10 to 14 and rows 20 to 23.
    assert (box.center.position.x, box.center.position.y, box.size_x, box.size_y) == (12.0, 21.5, 5.0, 4.0)


def test_without_radiometry_it_is_the_value_that_the_camera_sent(messages):
    (found,) = made.detections([HotSpot(0, 0, 1, 1, 30123.0)], "", HEADER).detections
    assert found.id == "30123"


def test_they_are_found_on_the_rgb_grid_of_each_fused_image(graph, monkeypatch):
    monkeypatch.setattr(outputs, "ARRAY", String)
    sent = lambda spots, unit, header: String(data=f"{header.frame_id} {unit} {spots}")  # noqa: E731
    monkeypatch.setattr(outputs, "detections", sent)
    rig = Rig(graph, radiometry__kind="linear", hot_spots__mode="celsius", hot_spots__celsius=60.0)
    found = rig.listen(String, "ivif/hotspots/detections")
    assert wait_for(lambda: rig.fusion.count_subscribers("/ivif/hotspots/detections"))
    counts, visible = np.full((48, 64), 29315, np.uint16), scene()[1]
    counts[10:20, 10:20] = 34315  # 70 °C
    counts[14:16, 14:16] = 36315  # 90 °C
    rig.until_fused(lambda stamp: (image(counts, "mono16", stamp), image(visible, "bgr8", stamp)), count=3)
    assert wait_for(lambda: found)
    assert found[-1].data.startswith("camera °C [HotSpot(") and found[-1].data.count("HotSpot") == 1
    (spot,) = eval(found[-1].data.partition("°C ")[2], {"HotSpot": HotSpot})
    assert spot.peak == pytest.approx(90.0, abs=0.01)
    assert abs(spot.left - 20) <= 1 and abs(spot.top - 20) <= 1  # the RGB image is twice as large
    assert abs(spot.width - 20) <= 2 and abs(spot.height - 20) <= 2


@pytest.mark.skipif(made.ARRAY is None, reason="vision_msgs comes with a ROS distribution")
def test_the_real_message_reaches_a_listener(graph):
    rig = Rig(graph, radiometry__kind="linear", hot_spots__mode="celsius", hot_spots__celsius=60.0)
    found = rig.listen(made.ARRAY, "ivif/hotspots/detections")
    assert wait_for(lambda: rig.fusion.count_subscribers("/ivif/hotspots/detections"))
    counts, visible = np.full((48, 64), 29315, np.uint16), scene()[1]
    counts[10:20, 10:20] = 36315  # 90 °C
    rig.until_fused(lambda stamp: (image(counts, "mono16", stamp), image(visible, "bgr8", stamp)), count=3)
    assert wait_for(lambda: found)
    (spot,) = found[-1].detections
    assert found[-1].header.frame_id == "camera" and spot.id == "90.0 °C"
    assert spot.results[0].hypothesis.class_id == "hot_spot"
    assert spot.bbox.center.position.x == pytest.approx(29.5, abs=1.5)  # the RGB image is twice as large


@pytest.mark.skipif(made.ARRAY is not None, reason="vision_msgs is installed")
def test_without_vision_msgs_they_are_not_offered(graph):
    rig = Rig(graph, hot_spots__mode="percent")
    assert "/ivif/hotspots" in dict(rig.tester.get_topic_names_and_types())
    assert "/ivif/hotspots/detections" not in dict(rig.tester.get_topic_names_and_types())
