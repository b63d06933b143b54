"""Bags of one message a topic, for tests that ask what topics are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np


def record_topics(path: Path, topics: Mapping[str, tuple[str, np.ndarray]]) -> Path:
    """Topic -> (encoding, pixels) as Image, or (format, bytes) as CompressedImage where the name ends so."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    image, compressed = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
    header = store.types["std_msgs/msg/Header"](store.types["builtin_interfaces/msg/Time"](7, 0), "camera")
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for number, (topic, (encoding, pixels)) in enumerate(topics.items()):
            data = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
            if topic.endswith("/compressed"):
                kind, message = compressed, store.types[compressed](header=header, format=encoding, data=data)
            else:
                kind = image
                message = store.types[image](
                    header=header,
                    height=pixels.shape[0],
                    width=pixels.shape[1],
                    encoding=encoding,
                    is_bigendian=0,
                    step=pixels.strides[0],
                    data=data,
                )
            connection = writer.add_connection(topic, kind, typestore=store)
            writer.write(connection, 10**9 + number, store.serialize_cdr(message, kind))
    return path
