"""Pairs of a recorded bag as far as it can be read, with a count of all that is lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_core.errors import InputError
from ivif_core.offline.bags.images import driver_stamp, find_topics
from ivif_core.offline.bags.recording import Recording
from ivif_core.offline.bags.storage_file import IMAGE_TYPES, deserialize
from ivif_core.sync.pairing import Pair, Pairing
from ivif_core.sync.recorded_stamps import RecordedStamps, TimedFrame
from ivif_core.sync.unpaired import PairMonitor
from ivif_core.types import Source

if TYPE_CHECKING:
    from rosbags.interfaces import Connection


@dataclass
class BagCounts:
    """What became of a bag's images.

    Attributes:
        topics: the cameras', by source.
        images: images read, by source.
        dropped: images that are in no pair, by cause as in `pairing.Pairing`, and `malformed`: pairs whose images could
            not be decoded or fused, or messages that are none.
        broken: why the bag was read in part only; empty: it was whole.
        warnings: a line for each thing about stamps and pairs that the user should know: stamps that are replaced by
            the time of recording, why most frames found no partner, pairs that are steadily too far apart.
    """

    topics: dict[Source, str] = field(default_factory=dict)
    images: Counter[Source] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    broken: str = ""
    warnings: list[str] = field(default_factory=list)

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


@dataclass(frozen=True)
class Malformed:
    """Stands for a pair or message that is of no use; counted where all work comes together."""

    why: str = "a message of its image topics is not an image"


class BagPairs:
    """Reads an open recording once; its pairs hold `Message`s."""

    def __init__(
        self, path: Path, recording: Recording, topics: Mapping[Source, str | None], pairing: Pairing, counts: BagCounts
    ) -> None:
        """
        Args:
            path: for errors.
            recording: open.
            topics: 'infrared' and 'visible' -> name of an Image or CompressedImage topic; None: as `find_topics`.
            pairing: used up from its present state on.
            counts: filled in while reading; its `dropped` and `warnings` at the end.

        Raises:
            InputError: the recording lacks a topic.
        """
        self._recording, self._pairing, self._counts = recording, pairing, counts
        self._stamps: RecordedStamps[Message] = RecordedStamps()
        self._monitor = PairMonitor(pairing)
        self._sources = find_topics(path, recording, topics)
        self.said: Counter[Source] = Counter()
        for topic, source in self._sources.items():
            self.said[source] += recording.said[topic]
            counts.topics[source] = topic
        counts.broken = recording.broken

    def read(self, *, keep_all: bool = False) -> Iterator[Message | Pair | Restart | Malformed]:
        """Pairs and, with `keep_all`, all messages, in the order of recording.

        The first pairs wait until both cameras' clocks are known (`RecordedStamps`).
        """
        recorded = 0
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
            recorded = message.recorded
            waiting = Message(message.connection, recorded, b"", content)
            for frame in self._stamps.add(source, driver_stamp(content), recorded, waiting):
                yield from self._pair(frame)
        for frame in self._stamps.finish():
            yield from self._pair(frame)
        left = self._pairing.finish()
        self._monitor.paired(left, recorded / 1e9)
        yield from left

    def _pair(self, frame: TimedFrame[Message]) -> Iterator[Pair | Restart]:
        if frame.other_clock:
            self._pairing.clear()
            self._monitor.clear()
        jumps = self._pairing.dropped["stamp_jump"]
        pairs = self._pairing.add(frame.source, frame.time, frame.item)
        if self._pairing.dropped["stamp_jump"] != jumps:
            yield Restart()
        self._monitor.frame(frame.source, frame.time, frame.recorded / 1e9)
        self._monitor.paired(pairs, frame.recorded / 1e9)
        yield from pairs

    def finish(self) -> None:
        """Count what found no partner, say why, and notice images that the bag says to have and that never came."""
        dropped = self._pairing.dropped
        for source in ("infrared", "visible"):  # those that still wait, or waited when a clock jumped
            gone = sum(dropped[f"{source}_{cause}"] for cause in ("unmatched", "late", "duplicate"))
            dropped[f"{source}_unmatched"] += self._monitor.frames[source] - self._monitor.pairs - gone
        self._counts.dropped.update(dropped)
        summary = self._monitor.summary()
        self._counts.warnings += [*self._stamps.problems, *([summary] if summary else [])]
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
