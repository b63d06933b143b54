"""The two image streams of a recorded bag (rosbag2 .mcap and .db3; ROS 1 .bag too), read in order of arrival."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ivif_core.errors import InputError, shown
from ivif_core.offline.bags.cameras import cameras_of
from ivif_core.offline.bags.recording import BrokenBag, Recording, open_recording
from ivif_core.offline.bags.storage_file import IMAGE_TYPES, deserialize
from ivif_core.sync.recorded_stamps import RecordedStamps, TimedFrame
from ivif_core.sync.stamp_check import nanoseconds
from ivif_core.types import SOURCES, Source

_CDR = "cdr"
"""What rosbag2 calls DDS's own form of messages, the only one that is read here."""


@dataclass(frozen=True)
class BagImage:
    """One message of a bag: Image or CompressedImage, for `ivif_core.imaging.messages`.

    Attributes:
        stamp: time to pair it by, ns: of acquisition, or of recording where the driver's stamps are of no use
            (`RecordedStamps`).
        recorded: ns.
    """

    source: Source
    stamp: int
    recorded: int
    message: Any


def read_bag_images(
    path: str | Path, infrared_topic: str | None = None, visible_topic: str | None = None
) -> Iterator[BagImage]:
    """Yield the images of both topics.

    Args:
        path: folder of a rosbag2 recording, one of its .mcap or .db3 files, or a ROS 1 .bag file.
        infrared_topic, visible_topic: topic names; those of raw or of compressed images. None: as `find_topics`.

    Raises:
        InputError: no bag there, it is broken, or it lacks a topic (the image topics that it has are named).
    """
    stamps: RecordedStamps[Any] = RecordedStamps()
    with open_recording(Path(path)) as recording:
        sources = find_topics(path, recording, {"infrared": infrared_topic, "visible": visible_topic})
        for file in recording.files:
            wanted = [c for c in file.connections if c.topic in sources and c.msgtype in IMAGE_TYPES]
            if not wanted:
                continue
            try:
                for connection, recorded, raw in file.messages(wanted):
                    message = deserialize(raw, connection.msgtype, is_ros2=file.is_ros2)
                    source = sources[connection.topic]
                    yield from map(_image, stamps.add(source, driver_stamp(message), recorded, message))
            except InputError as error:
                yield from map(_image, stamps.finish())
                raise BrokenBag(f"{path}: the bag cannot be read: {error}") from error
    yield from map(_image, stamps.finish())


def _image(frame: TimedFrame[Any]) -> BagImage:
    return BagImage(frame.source, frame.time, frame.recorded, frame.item)


def find_topics(path: str | Path, recording: Recording, topics: Mapping[Source, str | None]) -> dict[str, Source]:
    """Topic name -> source; a camera that is not named is found by what its images are (`cameras_of`).

    Raises:
        InputError: the recording has no images of a topic; it names those that it has. Or they are no CDR. Or it
            is not plain which topic a camera that is not named has.
    """
    named = {source: topic for source in SOURCES if (topic := topics.get(source))}
    if len(named) < len(SOURCES):
        named = cameras_of(path, recording, named, "--infrared TOPIC --visible TOPIC")
    images = {c.topic for file in recording.files for c in file.connections if c.msgtype in IMAGE_TYPES}
    for source, topic in named.items():
        if topic not in images:
            has = ", ".join(sorted(name[:80] for name in images)[:20]) or "none"
            why = f"; {recording.broken}" if recording.broken else ""
            raise InputError(f"{path}: no images of the {source} topic {topic}; image topics of this bag: {has}{why}")
    for connection in (c for file in recording.files for c in file.connections if c.topic in named.values()):
        form = getattr(connection.ext, "serialization_format", _CDR)  # a ROS 1 bag has but one
        if form != _CDR:
            raise InputError(f"{path}: {connection.topic} is serialized as {shown(form)}; expected '{_CDR}'")
    return {topic: source for source, topic in named.items()}


def driver_stamp(message: Any) -> int | None:
    """A message's stamp as the driver set it, ns; None: no valid time (see `nanoseconds`)."""
    stamp = message.header.stamp
    return nanoseconds(int(stamp.sec), int(stamp.nanosec))
