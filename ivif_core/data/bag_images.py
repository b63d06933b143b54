"""The two image streams of a recorded bag (rosbag2 .mcap and .db3; ROS 1 .bag too), read in order of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_core.errors import InputError
from ivif_core.pairing import Source

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

STORAGE_SUFFIXES = (".mcap", ".db3")
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


class BrokenBag(InputError):
    """A bag is there, and cannot be read as it is."""


@dataclass(frozen=True)
class BagImage:
    """One message of a bag: Image or CompressedImage, for `ivif_core.image_message`.

    Attributes:
        stamp: acquisition time, ns; the time of recording where the driver left the stamp at zero.
    """

    source: Source
    stamp: int
    message: Any


def read_bag_images(path: str | Path, infrared_topic: str, visible_topic: str) -> Iterator[BagImage]:
    """Yield the images of both topics.

    Args:
        path: folder of a rosbag2 recording, one of its .mcap or .db3 files, or a ROS 1 .bag file.
        infrared_topic, visible_topic: topic names; those of raw or of compressed images.

    Raises:
        InputError: no bag there, it is broken, or it lacks a topic (the image topics that it has are named).
    """
    with open_bag(Path(path)) as reader:
        connections = {}
        for source, topic in (("infrared", infrared_topic), ("visible", visible_topic)):
            found = [connection for connection in _image_connections(reader) if connection.topic == topic]
            if not found:
                has = ", ".join(sorted({connection.topic for connection in _image_connections(reader)})) or "none"
                raise InputError(f"{path}: no images of the {source} topic {topic}; image topics of this bag: {has}")
            connections.update({connection.id: (source, connection) for connection in found})
        messages = reader.messages([connection for _, connection in connections.values()])
        while True:
            try:
                connection, recorded, raw = next(messages)
                message = reader.deserialize(raw, connection.msgtype)
            except StopIteration:
                return
            except Exception as error:  # as when opening
                raise _broken(Path(path), error) from error
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            yield BagImage(connections[connection.id][0], stamp or recorded, message)


def _image_connections(reader: AnyReader) -> list[Any]:
    return [connection for connection in reader.connections if connection.msgtype in IMAGE_TYPES]


@contextmanager
def open_bag(path: Path) -> Iterator[AnyReader]:
    """A reader of a whole bag.

    Args:
        path: folder of a rosbag2 recording, one of its .mcap or .db3 files, or a ROS 1 .bag file.

    Raises:
        BrokenBag: it is cut short or damaged, or its metadata.yaml is missing (its recorder was killed).
        InputError: nothing there.
    """
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    if not path.exists():
        raise InputError(f"no bag at {path}")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        raise BrokenBag(f"{path} is no bag: it has no metadata.yaml (`ros2 bag reindex` makes it anew)")
    if path.suffix in STORAGE_SUFFIXES and (path.parent / "metadata.yaml").is_file():
        path = path.parent  # a bag may have several files
    try:
        # Bags of Humble and older carry no message definitions; those of images did not change since.
        reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except Exception as error:  # of a damaged file the library lets through whatever its parsers meet
        raise _broken(path, error) from error
    try:
        yield reader
    finally:
        reader.close()


def _broken(path: Path, error: Exception) -> BrokenBag:
    return BrokenBag(f"{path}: the bag cannot be read: {type(error).__name__}: {error}")
