"""Fusion of recorded bags: the node's pairing, scaling and registration, as fast as the machine goes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ivif_core.errors import InputError, OutputError
from ivif_core.files.outputs import check_folder, place_folder
from ivif_core.files.writing import temporary_folder
from ivif_core.fusion import Fuser
from ivif_core.imaging.crop import UNCROPPED, Crops
from ivif_core.imaging.messages import as_sent, to_infrared, to_visible
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS
from ivif_core.offline.bags.pairs import BagCounts, BagPairs, Malformed, Message, Restart
from ivif_core.offline.bags.recording import Recording, open_recording
from ivif_core.offline.bags.writer import BagWriter, recording_files
from ivif_core.offline.prefetch import overlapped, side_by_side
from ivif_core.sync.pairing import Pair, Pairing
from ivif_core.thermal.scaling import ThermalScaling, to_intensity
from ivif_core.thermal.suspicion import suspicions
from ivif_core.types import Source

FUSED_TOPIC = "/ivif/fused"


@dataclass
class BagResult(BagCounts):
    """What became of a bag.

    Attributes:
        fused: pairs fused.
        seconds: wall time.
    """

    fused: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Decoded:
    visible_message: Message
    intensity: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class _Fused:
    visible_message: Message
    pixels: np.ndarray


def fuse_bag(
    source: Path,
    target: Path,
    topics: Mapping[Source, str | None],
    fuser: Fuser,
    pairing: Pairing,
    *,
    fused_topic: str = FUSED_TOPIC,
    keep_all: bool = False,
    overwrite: bool = False,
    maximum_megapixels: float = MAXIMUM_MEGAPIXELS,
    crops: Crops = UNCROPPED,
    progress: Callable[[int, int], None] = lambda fused, of: None,
) -> BagResult:
    """Fuse the pairs of a bag into a new one, of the same storage, which appears only when it is whole.

    Reading with pairing, decoding with scaling, fusing (by `Fuser.workers`) and writing overlap. A bag that is cut
    short is fused as far as it goes.

    Args:
        source: folder of a rosbag2 recording, or one of its .mcap or .db3 files.
        target: folder of the new bag.
        topics: 'infrared' and 'visible' -> name of an Image or CompressedImage topic; None: found by what its images
            are (`bags.images.find_topics`).
        fuser, pairing: used up from their present state on.
        fused_topic: gets Images (bgr8 or mono8) with the visible's header, recorded when the visible was.
        keep_all: copy every other message too, bit by bit.
        overwrite: replace `target`, if it is of this program and holds nothing else.
        maximum_megapixels: larger images are malformed; they are not decoded.
        crops: of both cameras; an image of which nothing is left is malformed.
        progress: told pairs fused, and visible images that the bag says to have.

    Raises:
        InputError: no such bag or topic, or not one pair could be fused (nothing is written then).
        OutputError: `target` may not be written (see `outputs.check_folder`), or the disk is full.
    """
    check_folder(target, recording_files(source), overwrite=overwrite)
    if (same := topics.get("infrared")) and same == topics.get("visible"):
        raise InputError(f"infrared and visible are the same topic, {same}")
    started = time.perf_counter()
    result, spoilt = BagResult(), ""
    with temporary_folder(target) as part, _storage_errors(target):
        made = part / "made" / target.name  # the storage's file is named after its folder
        for folder in (made.parent, part / "recovered"):
            folder.mkdir()
        with ExitStack() as stack:
            recording = stack.enter_context(open_recording(source, part / "recovered"))
            pairs = BagPairs(source, recording, topics, pairing, result)
            if keep_all:
                _check_keep_all(source, recording, fused_topic)
            is_mcap = recording.suffix == ".mcap"
            workers = [partial(_fuse, worker) for worker in stack.enter_context(fuser.workers())]
            with BagWriter(made, is_mcap=is_mcap, fused_topic=fused_topic) as writer:
                read = overlapped(pairs.read(keep_all=keep_all), 8)
                decoded = overlapped(_decode(read, fuser.scaling, maximum_megapixels, crops, result.warnings))
                fused = overlapped(side_by_side(decoded, lambda item: isinstance(item, _Decoded), workers))
                with closing(read), closing(decoded), closing(fused):  # a stage that fails leaves those before it going
                    for item in fused:
                        if isinstance(item, _Fused):
                            writer.write_fused(
                                item.pixels, item.visible_message.content.header, item.visible_message.recorded
                            )
                            result.fused += 1
                            progress(result.fused, pairs.said["visible"])
                        elif isinstance(item, Malformed):
                            spoilt = spoilt or item.why
                            result.dropped["malformed"] += 1
                        elif isinstance(item, Message):
                            writer.write(item.connection, item.recorded, item.raw)
                pairs.finish()
                if result.fused == 0:
                    raise InputError(_explain_none(source, result, pairing, spoilt))
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


def _check_keep_all(source: Path, recording: Recording, fused_topic: str) -> None:
    if not all(file.is_ros2 for file in recording.files):
        raise InputError(f"{source}: messages of a ROS 1 bag cannot be kept bit-equal; convert it (rosbags-convert)")
    if any(connection.topic == fused_topic for file in recording.files for connection in file.connections):
        raise InputError(f"{source} has a topic {fused_topic} already; name another for the fused images (--topic)")


def _decode(
    items: Iterator[Any], scaling: ThermalScaling, maximum_megapixels: float, crops: Crops, warnings: list[str]
) -> Iterator[Message | _Decoded | Malformed]:
    """Pairs as arrays; one after the other, since the scaling follows the frames. The first one is looked at."""
    is_first = True
    for item in items:
        if isinstance(item, Restart):
            scaling.reset()
        elif isinstance(item, Pair):
            try:
                counts = crops["infrared"].apply(to_infrared(item.infrared.content, maximum_megapixels), "infrared")
                visible = crops["visible"].apply(to_visible(item.visible.content, maximum_megapixels), "visible")
                if is_first:
                    is_first = False
                    sent = [as_sent(each.content, maximum_megapixels) for each in (item.infrared, item.visible)]
                    warnings += [found.line for found in suspicions(sent[0], sent[1], crops["infrared"])]
                intensity = to_intensity(counts, scaling)
            except InputError as error:
                yield Malformed(str(error))
            else:
                yield _Decoded(item.visible, intensity, visible)
        else:
            yield item


def _fuse(fuser: Fuser, item: _Decoded) -> _Fused | Malformed:
    try:
        return _Fused(item.visible_message, fuser.fuse(item.intensity, item.visible))
    except InputError as error:
        return Malformed(str(error))


def _explain_none(source: Path, result: BagResult, pairing: Pairing, spoilt: str) -> str:
    counts = ", ".join(f"{cause} {count}" for cause, count in sorted(result.dropped.items()) if count)
    if spoilt:
        why = "; ".join(filter(None, [spoilt, result.broken]))
        return f"{source}: not one pair was fused ({counts}); the first malformed one: {why}"
    if result.warnings:
        return "; ".join([f"{source}: {result.warnings[-1]}", *result.warnings[:-1], *filter(None, [result.broken])])
    return (
        f"{source}: not one pair was fused of {result.images['infrared']} infrared and {result.images['visible']} "
        f"visible images within slop {pairing.slop:g} s ({counts or 'nothing dropped'}); are the stamps of one clock? "
        f"slop and thermal_time_offset can be set in a parameter file{'; ' + result.broken if result.broken else ''}"
    )
