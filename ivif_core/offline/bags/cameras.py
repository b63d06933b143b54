"""Which topics of a recorded bag are the two cameras: by what their first images are, where nobody names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ivif_core.errors import InputError, one_line
from ivif_core.imaging.messages import as_sent
from ivif_core.offline.bags.recording import Recording, open_recording
from ivif_core.offline.bags.storage_file import IMAGE_TYPES, deserialize
from ivif_core.types import Source

USUAL: dict[Source, str] = {"infrared": "/thermal/image_raw", "visible": "/rgb/image_raw"}
"""Names that the node's own topics have; a bag that has them is not asked further."""
_COMPRESSED = "/compressed"


def find_cameras(path: str | Path, named: Mapping[Source, str | None], how_to_name: str) -> dict[Source, str]:
    """The topics of the infrared and the visible camera.

    A topic that is not named is taken if only one can be meant: the one 16-bit topic (else the one grey one) is
    infrared, the one in colour (else the one grey one that is left) is visible. Depth images and what this project
    publishes itself are no cameras; an image beside its compressed form is one.

    Args:
        path: as of `open_recording`.
        named: names that are known; `X` also stands for `X/compressed`.
        how_to_name: for the error: what the user may write to name them.

    Raises:
        InputError: no bag, or it is not plain which topics are meant; it names those that there are.
    """
    with open_recording(Path(path)) as recording:
        return cameras_of(path, recording, named, how_to_name)


def cameras_of(
    path: str | Path, recording: Recording, named: Mapping[Source, str | None], how_to_name: str
) -> dict[Source, str]:
    """As `find_cameras`, of a recording that is open."""
    kinds = {topic: _kind(recording, topic) for topic in _candidates(recording)}
    images = {c.topic for file in recording.files for c in file.connections if c.msgtype in IMAGE_TYPES}
    found: dict[Source, str] = {}
    for source, usual in USUAL.items():
        topic = named.get(source) or usual
        present = [name for name in (topic, topic + _COMPRESSED) if name in images]
        if present or named.get(source):
            found[source] = (present or [topic])[0]
    left = {topic: kind for topic, kind in kinds.items() if topic not in found.values()}
    if "infrared" not in found:
        _take(
            found, left, "infrared", ("deep", "grey") if "visible" in found or "colour" in left.values() else ("deep",)
        )
    if "visible" not in found:
        _take(found, left, "visible", ("colour", "grey"))
    if len(found) < len(USUAL):
        missing = " and ".join(source for source in USUAL if source not in found)
        named_kinds = [f"{one_line(topic, 80)} ({kind or 'unreadable'})" for topic, kind in kinds.items()]
        has = ", ".join(named_kinds[:20]) or "none"
        raise InputError(
            f"{path}: it is not plain which topic is the {missing} camera; name it: {how_to_name}; "
            f"image topics of this bag: {has}"
        )
    return found


def _take(found: dict[Source, str], left: dict[str, str], source: Source, kinds: tuple[str, ...]) -> None:
    """The only topic of the first kind that there is."""
    for kind in kinds:
        topics = [topic for topic, its in left.items() if its == kind]
        if topics:
            if len(topics) == 1:
                found[source] = topics[0]
                del left[topics[0]]
            return


def _candidates(recording: Recording) -> list[str]:
    """Topics that may be cameras, in order of name."""
    topics = {c.topic for file in recording.files for c in file.connections if c.msgtype in IMAGE_TYPES and c.msgcount}
    bare = {
        topic for topic in topics if not (topic.endswith(_COMPRESSED) and topic.removesuffix(_COMPRESSED) in topics)
    }
    return sorted(topic for topic in bare if "depth" not in topic.lower() and "/ivif/" not in topic)


def _kind(recording: Recording, topic: str) -> str:
    """Of the topic's first image: 'deep' (one channel over 8 bits), 'grey', 'colour'; empty: it cannot be read."""
    for file in recording.files:
        wanted = [c for c in file.connections if c.topic == topic and c.msgtype in IMAGE_TYPES]
        for connection, _, raw in file.messages(wanted) if wanted else ():
            try:
                return _kind_of(deserialize(raw, connection.msgtype, is_ros2=file.is_ros2))
            except InputError:
                return ""
    return ""


def _kind_of(message: Any) -> str:
    pixels = as_sent(message)
    return "colour" if pixels.ndim == 3 else "grey" if pixels.dtype == np.uint8 else "deep"
