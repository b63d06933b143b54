"""Fusion of recorded bags: the node's pairing, scaling and registration, as fast as the machine goes."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivif_core.data.bag_images import IMAGE_TYPES, STORAGE_SUFFIXES, BrokenBag, open_bag
from ivif_core.data.bag_recovery import recover_files
from ivif_core.data.bag_writer import BagWriter, recording
from ivif_core.errors import InputError, OutputError
from ivif_core.files import temporary_folder
from ivif_core.fusion import Fuser
from ivif_core.image_message import to_infrared, to_visible
from ivif_core.outputs import check_folder, place_folder
from ivif_core.pairing import Pair, Pairing, Source
from ivif_core.stages import overlapped, side_by_side
from ivif_core.thermal import ThermalScaling

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import Connection

FUSED_TOPIC = "/ivif/fused"


@dataclass
class BagResult:
    """What became of a bag.

    Attributes:
        fused: pairs fused.
        images: images read, by source.
        dropped: images that are in no pair, by cause as in `pairing.Pairing`, and `malformed`: pairs whose images could
            not be decoded or fused, or messages that are none.
        broken: why the bag was read in part only; empty: it was whole.
        seconds: wall time.
    """

    fused: int = 0
    images: Counter[Source] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    broken: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class _Message:
    """A message as recorded; `content` is set for images that wait for their partner."""

    connection: Connection
    recorded: int
    raw: bytes
    content: Any = None


@dataclass(frozen=True)
class _Decoded:
    visible_message: _Message
    intensity: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class _Fused:
    visible_message: _Message
    pixels: np.ndarray


class _Restart:
    """Stamps went back: what was learned from earlier frames is void."""


class _Malformed:
    """Stands for a pair or message that is of no use; counted where all threads' work comes together."""


def fuse_bag(
    source: Path,
    target: Path,
    topics: dict[Source, str],
    fuser: Fuser,
    pairing: Pairing,
    *,
    fused_topic: str = FUSED_TOPIC,
    keep_all: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda fused, of: None,
) -> BagResult:
    """Fuse the pairs of a bag into a new one, of the same storage, which appears only when it is whole.

    Reading with pairing, decoding with scaling, fusing (by `Fuser.workers`) and writing overlap. A bag that is cut
    short is fused as far as it goes.

    Args:
        source: folder of a rosbag2 recording, or one of its .mcap or .db3 files.
        target: folder of the new bag.
        topics: 'infrared' and 'visible' -> name of an Image or CompressedImage topic.
        fuser, pairing: used up from their present state on.
        fused_topic: gets Images (bgr8 or mono8) with the visible's header, recorded when the visible was.
        keep_all: copy every other message too, bit by bit.
        overwrite: replace `target`, if it is of this program and holds nothing else.
        progress: told pairs fused, and visible images that the bag says to have.

    Raises:
        InputError: no such bag or topic, or not one pair could be fused (nothing is written then).
        OutputError: `target` may not be written (see `outputs.check_folder`), or the disk is full.
    """
    check_folder(target, recording(source), overwrite=overwrite)
    if topics["infrared"] == topics["visible"]:
        raise InputError(f"infrared and visible are the same topic, {topics['visible']}")
    started = time.perf_counter()
    result = BagResult()
    with temporary_folder(target) as part, _storage_errors(target):
        made = part / "made" / target.name  # the storage's file is named after its folder
        for folder in (made.parent, part / "recovered"):
            folder.mkdir()
        with ExitStack() as stack:
            readers = _open(source, part / "recovered", stack, result)
            found = _find_topics(source, readers, topics)
            if keep_all:
                _check_keep_all(source, readers, fused_topic)
            said = _count_images(readers, found)
            is_mcap = storage_suffix(source) == ".mcap"
            workers = [partial(_fuse, worker) for worker in stack.enter_context(fuser.workers())]
            with BagWriter(made, is_mcap=is_mcap, fused_topic=fused_topic) as writer:
                read = _read(readers, found, pairing, keep_all, result)
                decoded = overlapped(_decode(overlapped(read, 8), fuser.scaling))
                fused = overlapped(side_by_side(decoded, lambda item: isinstance(item, _Decoded), workers))
                with closing(fused):
                    for item in fused:
                        if isinstance(item, _Fused):
                            writer.write_fused(
                                item.pixels, item.visible_message.content.header, item.visible_message.recorded
                            )
                            result.fused += 1
                            progress(result.fused, said["visible"])
                        elif isinstance(item, _Malformed):
                            result.dropped["malformed"] += 1
                        else:
                            writer.write(item.connection, item.recorded, item.raw)
                result.dropped.update(pairing.dropped)
                if not result.broken and result.images.total() < said.total():
                    result.broken = f"{said.total() - result.images.total()} of {said.total()} images cannot be read"
                if result.fused == 0:
                    raise InputError(_explain_none(source, result, pairing))
        place_folder(made, target, made_by="ivif bag", overwrite=overwrite)
    result.seconds = time.perf_counter() - started
    return result


@contextmanager
def _storage_errors(target: Path) -> Iterator[None]:
    """What SQLite raises where it cannot write; damage in what is read is dealt with where that is read."""
    try:
        yield
    except sqlite3.Error as error:
        raise OutputError(f"cannot write {target}: {error}") from error


def _open(source: Path, recovered: Path, stack: ExitStack, result: BagResult) -> list[AnyReader]:
    try:
        return [stack.enter_context(open_bag(source))]
    except BrokenBag as error:
        result.broken = str(error)
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    return [
        stack.enter_context(AnyReader([file], default_typestore=store)) for file in recover_files(source, recovered)
    ]


def storage_suffix(source: Path) -> str:
    """'.mcap', '.db3' or another, of a bag's file or of the files in its folder; empty: it has none."""
    files = [source] if source.is_file() else [file for file in source.iterdir() if file.suffix in STORAGE_SUFFIXES]
    return files[0].suffix if files else ""


def _find_topics(source: Path, readers: list[AnyReader], topics: dict[Source, str]) -> dict[str, Source]:
    """Topic name -> source."""
    images = {c.topic for reader in readers for c in reader.connections if c.msgtype in IMAGE_TYPES}
    for name, topic in topics.items():
        if topic not in images:
            has = ", ".join(sorted(images)) or "none"
            raise InputError(f"{source}: no images of the {name} topic {topic}; image topics of this bag: {has}")
    return {topic: name for name, topic in topics.items()}


def _count_images(readers: list[AnyReader], sources: dict[str, Source]) -> Counter[Source]:
    """How many images the bag says to have."""
    said: Counter[Source] = Counter()
    for reader in readers:
        for connection in reader.connections:
            if connection.topic in sources:
                said[sources[connection.topic]] += connection.msgcount
    return said


def _check_keep_all(source: Path, readers: list[AnyReader], fused_topic: str) -> None:
    if not all(reader.is2 for reader in readers):
        raise InputError(f"{source}: messages of a ROS 1 bag cannot be kept bit-equal; convert it (rosbags-convert)")
    if any(connection.topic == fused_topic for reader in readers for connection in reader.connections):
        raise InputError(f"{source} has a topic {fused_topic} already; name another for the fused images (--topic)")


def _read(
    readers: list[AnyReader], sources: dict[str, Source], pairing: Pairing, keep_all: bool, result: BagResult
) -> Iterator[_Message | Pair | _Restart | _Malformed]:
    """Messages to keep and pairs, in the order of recording."""
    jumps = 0
    for reader in readers:
        wanted = [c for c in reader.connections if keep_all or c.topic in sources]
        for message in _until_broken(reader, wanted, result):
            if keep_all:
                yield message
            source = sources.get(message.connection.topic)
            if source is None:
                continue
            result.images[source] += 1
            try:
                content = reader.deserialize(message.raw, message.connection.msgtype)
            except Exception:  # whatever a parser raises on bytes that are no message
                yield _Malformed()
                continue
            stamp = content.header.stamp.sec * 10**9 + content.header.stamp.nanosec
            waiting = _Message(message.connection, message.recorded, b"", content)
            pairs = pairing.add(source, stamp or message.recorded, waiting)
            if pairing.dropped["stamp_jump"] != jumps:
                jumps = pairing.dropped["stamp_jump"]
                yield _Restart()
            yield from pairs
    yield from pairing.finish()


def _until_broken(reader: AnyReader, connections: list[Connection], result: BagResult) -> Iterator[_Message]:
    """Messages up to where the file is damaged; what is wrong there goes into the result."""
    messages = reader.messages(connections) if connections else iter(())
    while True:
        try:
            connection, recorded, raw = next(messages)
        except StopIteration:
            return
        except Exception as error:  # storages, decompressors and parsers raise their own
            result.broken = f"reading broke off: {type(error).__name__}: {error}"
            return
        yield _Message(connection, recorded, raw)


def _decode(items: Iterator[Any], scaling: ThermalScaling) -> Iterator[_Message | _Decoded | _Malformed]:
    """Pairs as arrays; one after the other, since the scaling follows the frames."""
    for item in items:
        if isinstance(item, _Restart):
            scaling.reset()
        elif isinstance(item, Pair):
            try:
                counts, visible = to_infrared(item.infrared.content), to_visible(item.visible.content)
                intensity = counts if counts.dtype == np.uint8 else scaling(counts)
            except InputError:
                yield _Malformed()
            else:
                yield _Decoded(item.visible, intensity, visible)
        else:
            yield item


def _fuse(fuser: Fuser, item: _Decoded) -> _Fused | _Malformed:
    try:
        return _Fused(item.visible_message, fuser.fuse(item.intensity, item.visible))
    except InputError:
        return _Malformed()


def _explain_none(source: Path, result: BagResult, pairing: Pairing) -> str:
    counts = ", ".join(f"{cause} {count}" for cause, count in sorted(result.dropped.items()) if count)
    return (
        f"{source}: not one pair was fused of {result.images['infrared']} infrared and {result.images['visible']} "
        f"visible images within slop {pairing.slop:g} s ({counts or 'nothing dropped'}); are the stamps of one clock? "
        f"slop and thermal_time_offset can be set in a parameter file{'; ' + result.broken if result.broken else ''}"
    )
