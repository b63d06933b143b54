"""What every file of a recorded bag offers its readers, and messages of images out of their bytes.

Message definitions that a recording brings along are carried over and never used: images are read by the definitions
of ROS itself, so that a damaged or hostile definition can neither mislead nor run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from ivif_core.errors import InputError
from ivif_core.files.yaml_files import load_yaml
from ivif_core.offline.bags.unpacking import unpack

if TYPE_CHECKING:
    from rosbags.interfaces import Connection, MessageDefinition, Qos

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAXIMUM_QOS = 1 << 16
_MOST_BRACKETS = 8
"""Recorders write blocks."""


class StorageFile(Protocol):
    """One file of a recording.

    Attributes:
        connections: its topics, each with the number of its messages.
        is_ros2: messages are CDR; else ROS 1's own form.
    """

    connections: list[Connection]
    is_ros2: bool

    def messages(self, connections: Sequence[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """(connection, time of recording in ns, bytes) of these connections' messages.

        Raises:
            InputError: the file is damaged there.
        """
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


def deserialize(raw: bytes, msgtype: str, *, is_ros2: bool = True) -> Any:
    """An Image or CompressedImage.

    Raises:
        InputError: the bytes are none, or the type is neither.
    """
    if msgtype not in IMAGE_TYPES:
        raise InputError(f"message: expected {' or '.join(IMAGE_TYPES)}, got {msgtype[:80]!r}")
    store = _store(is_ros2)
    try:
        return store.deserialize_cdr(raw, msgtype) if is_ros2 else store.deserialize_ros1(raw, msgtype)
    except Exception as error:  # whatever the parser meets in bytes that are no message
        raise InputError(f"message: no {msgtype} in {len(raw)} bytes: {type(error).__name__}: {error}") from error


def unpacked(raw: bytes) -> bytes:
    """A message as sent: recorders may pack each one by zstd, which no CDR message starts like.

    What cannot be unpacked stays as it is, and is no message.
    """
    if raw[:4] != _ZSTD:
        return raw
    try:
        return unpack(raw, "zstd")
    except InputError:
        return raw


def definition(encoding: str, text: str) -> MessageDefinition:
    """A message definition as stored, unread; none where its encoding is unknown."""
    from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

    kinds = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
    kind = kinds.get(encoding)
    if kind is None:
        return MessageDefinition(MessageDefinitionFormat.NONE, "")
    return MessageDefinition(kind, text)


def qos(text: str) -> list[Qos]:
    """QoS profiles as stored with a topic; none where they cannot be read."""
    from rosbags.rosbag2.metadata import parse_qos

    # An anchor: YAML that could unfold without end. Brackets in brackets: the library's parser takes minutes for them.
    if not text or len(text) > _MAXIMUM_QOS or "&" in text or text.count("[") + text.count("{") > _MOST_BRACKETS:
        return []
    try:
        load_yaml(text, "QoS")  # so is a list in a list in a list
        return parse_qos(text)
    except Exception:  # YAML of any content; a topic without profiles is still a topic
        return []


@cache
def _store(is_ros2: bool) -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE if is_ros2 else Stores.ROS1_NOETIC)
