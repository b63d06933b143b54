"""Which topics of a bag are taken for its cameras; the bags are written by `rosbags`."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.offline.bags.cameras import find_cameras
from ivif_core.offline.extract import extract
from test.core.offline.bags.recorded_topics import record_topics
from test.core.recorded_bag import TOPICS, cut, frames, record

DEEP = ("mono16", np.full((8, 10), 20000, np.uint16))
KELVIN = ("32FC1", np.full((8, 10), 300, np.float32))
GREY = ("mono8", np.full((8, 10), 90, np.uint8))
COLOUR = ("bgr8", np.full((8, 10, 3), 90, np.uint8))
BAYER = ("bayer_rggb8", np.full((8, 10), 90, np.uint8))
YUYV = ("yuv422_yuy2", np.full((8, 10, 2), 90, np.uint8))
JPEG = ("jpeg", cv2.imencode(".jpg", COLOUR[1])[1])
PNG16 = ("png", cv2.imencode(".png", DEEP[1])[1])
BROKEN = ("jpeg", np.arange(40, dtype=np.uint8))


@pytest.mark.parametrize(
    "topics, infrared, visible",
    [
        ({"/boson": DEEP, "/front": COLOUR}, "/boson", "/front"),
        ({"/a": COLOUR, "/b": KELVIN}, "/b", "/a"),
        ({"/a": GREY, "/b": COLOUR}, "/a", "/b"),
        ({"/a": GREY, "/b": DEEP}, "/b", "/a"),
        ({"/a": BAYER, "/b": GREY}, "/b", "/a"),
        ({"/a": YUYV, "/b": DEEP}, "/b", "/a"),
        ({"/a/compressed": JPEG, "/b/compressed": PNG16}, "/b/compressed", "/a/compressed"),
        ({"/a": COLOUR, "/a/compressed": JPEG, "/b": DEEP, "/b/compressed": PNG16}, "/b", "/a"),
        ({"/a": COLOUR, "/b": DEEP, "/aligned_depth_to_color/image_raw": DEEP}, "/b", "/a"),
        ({"/a": COLOUR, "/b": DEEP, "/ivif/fused": COLOUR, "/robot/ivif/hotspots": GREY}, "/b", "/a"),
        ({"/a": COLOUR, "/b": DEEP, "/infra1/image_raw": GREY}, "/b", "/a"),
        (
            {"/rgb/image_raw": COLOUR, "/thermal/image_raw": COLOUR, "/left": COLOUR},
            "/thermal/image_raw",
            "/rgb/image_raw",
        ),
    ],
)
def test_found_by_what_their_images_are(tmp_path, topics, infrared, visible):
    bag = record_topics(tmp_path / "bag", topics)
    assert find_cameras(bag, {}, "so") == {"infrared": infrared, "visible": visible}


@pytest.mark.parametrize(
    "topics, missing",
    [
        ({"/left": COLOUR, "/right": COLOUR, "/b": DEEP}, "the visible camera"),
        ({"/a": COLOUR, "/b": DEEP, "/c": DEEP}, "the infrared camera"),
        ({"/a": GREY, "/b": GREY}, "infrared and visible camera"),
        ({"/a": COLOUR, "/b": COLOUR}, "infrared and visible camera"),
        ({"/a": COLOUR}, "the infrared camera"),
        ({"/a/compressed": BROKEN, "/b": DEEP}, "the visible camera"),
    ],
)
def test_what_is_not_plain_is_asked_for_by_name(tmp_path, topics, missing):
    bag = record_topics(tmp_path / "bag", topics)
    with pytest.raises(
        InputError, match=rf"which topic is the .*{missing.removeprefix('the ')}; name it: so; image topics"
    ):
        find_cameras(bag, {}, "so")


def test_a_name_settles_it(tmp_path):
    bag = record_topics(tmp_path / "bag", {"/left/compressed": JPEG, "/right": COLOUR, "/b": DEEP})
    assert find_cameras(bag, {"visible": "/left"}, "so") == {"infrared": "/b", "visible": "/left/compressed"}
    assert find_cameras(bag, {"infrared": "/right", "visible": "/b"}, "so") == {"infrared": "/right", "visible": "/b"}
    assert find_cameras(bag, {"visible": "/gone"}, "so")["visible"] == "/gone"  # reading says what there is


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_reading_finds_them_too_also_in_a_bag_that_is_cut_short(tmp_path, share):
    record(tmp_path / "bag", frames(30))
    if share < 1:
        cut(tmp_path / "bag", share)
    found = extract(tmp_path / "bag", tmp_path / "pairs", every=5)
    assert found.topics == TOPICS and found.pairs > 2 and bool(found.broken) == (share < 1)
    named = extract(tmp_path / "bag", tmp_path / "again", infrared=TOPICS["infrared"], every=5)
    assert named == found


def test_what_is_not_plain_is_asked_for_by_option_before_anything_is_written(tmp_path):
    bag = record_topics(tmp_path / "bag", {"/left": COLOUR, "/right": COLOUR, "/b": DEEP})
    with pytest.raises(InputError, match=r"name it: --infrared TOPIC --visible TOPIC; .*/left \(colour\)"):
        extract(bag, tmp_path / "pairs")
    with pytest.raises(InputError, match="no images of the visible topic /gone"):
        extract(bag, tmp_path / "pairs", visible="/gone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag"]
