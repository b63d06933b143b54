"""Bags written here by the library's own writer; whole streams are played in test/ros/test_replay.py."""

from __future__ import annotations

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ivif_core.errors import InputError
from ivif_core.imaging.messages import decode_image
from ivif_core.offline.bags.images import read_bag_images

STORE = get_typestore(Stores.ROS2_HUMBLE)
IMAGE, HEADER = STORE.types["sensor_msgs/msg/Image"], STORE.types["std_msgs/msg/Header"]
STAMP = STORE.types["builtin_interfaces/msg/Time"]


@pytest.fixture(params=[StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def bag(request, tmp_path):
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=request.param) as writer:
        topics = {name: writer.add_connection(name, IMAGE.__msgtype__, typestore=STORE) for name in ("/t", "/v")}
        stamps = [("/t", 10), ("/v", 12), ("/v", 45), ("/t", 43), ("/t", 76), ("/v", 78), ("/t", 0)]
        for index, (name, stamp) in enumerate(stamps):
            message = IMAGE(
                header=HEADER(STAMP(1 if stamp else 0, stamp * 1_000_000), "camera"),
                height=2,
                width=3,
                encoding="mono8",
                is_bigendian=0,
                step=3,
                data=np.full(6, index, np.uint8),
            )
            writer.write(topics[name], 2_000_000_000 + index, STORE.serialize_cdr(message, IMAGE.__msgtype__))
    return path


def test_images_in_order_of_arrival_with_their_stamps(bag):
    images = list(read_bag_images(bag, "/t", "/v"))
    assert [(image.source, image.stamp) for image in images] == [
        ("infrared", 1_010_000_000),
        ("visible", 1_012_000_000),
        ("visible", 1_045_000_000),
        ("infrared", 1_043_000_000),
        ("infrared", 1_076_000_000),
        ("visible", 1_078_000_000),
        ("infrared", 2_000_000_006),  # no stamp: time of recording
    ]
    for index, image in enumerate(images):
        np.testing.assert_array_equal(decode_image(image.message), np.full((2, 3), index))


def test_a_file_of_the_bag_stands_for_the_bag(bag):
    (file,) = (path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    assert len(list(read_bag_images(file, "/t", "/v"))) == 7
    (bag / "metadata.yaml").unlink()  # a file that came alone
    assert len(list(read_bag_images(file, "/t", "/v"))) == 7


def test_what_is_no_bag_says_so(bag, tmp_path):
    with pytest.raises(InputError, match="no bag at"):
        next(read_bag_images(tmp_path / "nowhere", "/t", "/v"))
    with pytest.raises(InputError, match="ros2 bag reindex"):
        next(read_bag_images(tmp_path, "/t", "/v"))
    with pytest.raises(InputError, match="no images of the visible topic /rgb; image topics of this bag: /t, /v"):
        next(read_bag_images(bag, "/t", "/rgb"))


@pytest.mark.parametrize("damage", ["metadata", "data"])
def test_a_broken_bag_is_an_input_error(bag, damage):
    name = "metadata.yaml" if damage == "metadata" else next(p.name for p in bag.iterdir() if p.suffix != ".yaml")
    (bag / name).write_bytes((bag / name).read_bytes()[:60])
    with pytest.raises(InputError, match="cannot be read"):
        list(read_bag_images(bag, "/t", "/v"))


def test_damage_anywhere_is_an_input_error_or_harmless(bag):
    (file,) = (path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    whole, random, refused = file.read_bytes(), np.random.default_rng(0), 0
    for _ in range(40):
        damaged = bytearray(whole)
        for place in random.integers(len(whole), size=8):
            damaged[place] = random.integers(256)
        file.write_bytes(damaged[: random.integers(len(whole) // 2, len(whole) + 1)])
        try:
            list(read_bag_images(bag, "/t", "/v"))
        except InputError:
            refused += 1
    assert refused > 5
