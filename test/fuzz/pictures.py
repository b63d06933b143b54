"""Small good inputs that the mills start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from test.core.recorded_bag import INFRARED, TOPICS, VISIBLE, frames, record

PAIRS = 4
"""In each recording."""
SIZE = (48, 48)
"""Small, and enough for every measure."""
TOPIC_OPTIONS = ["--infrared", TOPICS["infrared"], "--visible", TOPICS["visible"]]


def grey(seed: int = 0) -> np.ndarray:
    """uint8 48×48, smooth."""
    return cv2.resize(np.random.default_rng(seed).integers(0, 256, (6, 8), np.uint8), SIZE)


def colour(seed: int = 0) -> np.ndarray:
    """uint8 BGR 48×48, smooth."""
    return cv2.resize(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8), SIZE)


def counts(seed: int = 0) -> np.ndarray:
    """uint16 48×48."""
    return grey(seed).astype(np.uint16) * 16 + 20000


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def ros2_bag(folder: Path, kind: str) -> dict[str, bytes]:
    """Files of a recording of `PAIRS` pairs; kind: mcap, db3 or zstd (mcap with compressed chunks)."""
    record(folder / kind, frames(PAIRS, SIZE), mcap=kind != "db3", zstd=kind == "zstd")
    return {path.name: path.read_bytes() for path in sorted((folder / kind).iterdir())}


def ros1_bag(folder: Path) -> dict[str, bytes]:
    """The file of a ROS 1 recording of `PAIRS` pairs, both cameras raw."""
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC)
    time, header, image = (
        store.types[name] for name in ("builtin_interfaces/msg/Time", "std_msgs/msg/Header", "sensor_msgs/msg/Image")
    )

    def message(pixels: np.ndarray, encoding: str, stamp: int) -> Any:
        at = header(seq=0, stamp=time(*divmod(stamp, 10**9)), frame_id="camera")
        data = pixels.reshape(-1).view(np.uint8)
        return image(at, *pixels.shape[:2], encoding, 0, pixels.strides[0], data)

    path = folder / "drive.bag"
    with Writer(path) as writer:
        topics = [writer.add_connection(topic, image.__msgtype__, typestore=store) for topic in (INFRARED, VISIBLE)]
        for index, pair in enumerate(frames(PAIRS, SIZE)):
            stamp = 1_700_000_000_000_000_000 + index * 33_333_333
            for topic, pixels, encoding in zip(topics, pair, ("mono16", "bgr8"), strict=True):
                raw = store.serialize_ros1(message(pixels, encoding, stamp), image.__msgtype__)
                writer.write(topic, stamp, raw)
    return {path.name: path.read_bytes()}


def fused_in(bag: Path) -> int | str:
    """How many fused images a bag holds, or why it cannot be read."""
    from rosbags.rosbag2 import Reader

    try:
        with Reader(bag) as reader:
            return sum(connection.topic == "/ivif/fused" for connection, _, _ in reader.messages())
    except Exception as error:  # whatever it is, the output is broken
        return f"the output cannot be read: {type(error).__name__}: {error}"
