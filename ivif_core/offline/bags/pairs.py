"""Pairs of a recorded bag as far as it can be read, with a count of all that is lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_core.errors import InputError
from ivif_core.offline.bags.images import find_topics, stamp_of
from ivif_core.offline.bags.recording import Recording
from ivif_core.offline.bags.storage_file import IMAGE_TYPES, deserialize
from ivif_core.sync.pairing import Pair, Pairing
from ivif_core.types import Source

if TYPE_CHECKING:
    from rosbags.interfaces import Connection


@dataclass
class BagCounts:
    """What became of a bag's images.

    Attributes:
        images: images read, by source.
        dropped: images that are in no pair, by cause as in `pairing.Pairing`, and `malformed`: pairs whose images could
            not be decoded or fused, or messages that are none.
        broken: why the bag was read in part only; empty: it was whole.
    """

    images: Counter[Source] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    broken: str = ""

    @property
    def is_whole(self) -> bool:
        """Nothing was broken or malformed."""
        return not (self.broken or self.dropped["malformed"])


@dataclass(frozen=True)
class Message:
    """A message as recorded; `content` is set for images that wait for their partner."""

    connection: Connection
    recorded: int
    raw: bytes
    content: Any = None


class Restart:
    """Stamps went back: what was learned from earlier frames is void."""


class Malformed:
    """Stands for a pair or message that is of no use; counted where all work comes together."""


class BagPairs:
    """Reads an open recording once; its pairs hold `Message`s."""

    def __init__(
        self, path: Path, recording: Recording, topics: dict[Source, str], pairing: Pairing, counts: BagCounts
    ) -> None:
        """
        Args:
            path: for errors.
            recording: open.
            topics: 'infrared' and 'visible' -> name of an Image or CompressedImage topic.
            pairing: used up from its present state on.
            counts: filled in while reading; its `dropped` gets the pairing's at the end.

        Raises:
            InputError: the recording lacks a topic.
        """
        self._recording, self._pairing, self._counts = recording, pairing, counts
        self._sources = find_topics(path, recording, topics)
        self.said: Counter[Source] = Counter()
        for topic, source in self._sources.items():
            self.said[source] += recording.said[topic]
        counts.broken = recording.broken

    def read(self, *, keep_all: bool = False) -> Iterator[Message | Pair | Restart | Malformed]:
        """Pairs and, with `keep_all`, all messages, in the order of recording."""
        jumps = 0
        for message, source, is_ros2 in self._messages(keep_all):
            if keep_all:
                yield message
            if source is None:
                continue
            self._counts.images[source] += 1
            try:
                content = deserialize(message.raw, message.connection.msgtype, is_ros2=is_ros2)
            except InputError:
                yield Malformed()
                continue
            waiting = Message(message.connection, message.recorded, b"", content)
            pairs = self._pairing.add(source, stamp_of(content, message.recorded), waiting)
            if self._pairing.dropped["stamp_jump"] != jumps:
                jumps = self._pairing.dropped["stamp_jump"]
                yield Restart()
            yield from pairs
        yield from self._pairing.finish()

    def finish(self) -> None:
        """Count what the pairing dropped, and notice images that the bag says to have and that never came."""
        self._counts.dropped.update(self._pairing.dropped)
        lost = self.said.total() - self._counts.images.total()
        if lost > 0 and not self._counts.broken:
            self._counts.broken = f"{lost} of {self.said.total()} images cannot be read"

    def _messages(self, keep_all: bool) -> Iterator[tuple[Message, Source | None, bool]]:
        """Messages up to where each file is damaged; what is wrong there goes into the counts."""
        for file in self._recording.files:
            images = {
                c.id: self._sources[c.topic]
                for c in file.connections
                if c.topic in self._sources and c.msgtype in IMAGE_TYPES
            }
            wanted = [c for c in file.connections if keep_all or c.id in images]
            if not wanted:
                continue
            try:
                for connection, recorded, raw in file.messages(wanted):
                    yield Message(connection, recorded, raw), images.get(connection.id), file.is_ros2
            except InputError as error:
                self._counts.broken = self._counts.broken or f"reading broke off: {error}"
