"""The frames that a page shows: pairs of files, radiometric photos, or pairs spread over a recorded bag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ivif_core.errors import InputError
from ivif_core.imaging.messages import to_infrared, to_visible
from ivif_core.offline.bags.pairs import BagCounts, BagPairs
from ivif_core.offline.bags.recording import open_recording
from ivif_core.offline.folder import Images, Pair, reader
from ivif_core.offline.radiometric_photo import read_photo
from ivif_core.settings import Settings
from ivif_core.sync import pairing
from ivif_core.types import Source

MOST_OF_BAG = 120
"""Pairs of a bag that are kept."""
MOST_BYTES = 512 << 20
"""Of their messages, in memory."""


@dataclass(frozen=True)
class Frames:
    """What there is to look at.

    Attributes:
        names: of the frames, in order.
        read: index -> infrared, visible, and the pair's own registration, if any.
        celsius: infrared is temperatures, whatever the parameters say of counts.
        warnings: lines for the user.
    """

    names: list[str]
    read: Callable[[int], Images]
    celsius: bool = False
    warnings: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Read frames up to the first that can be read.

        Raises:
            InputError: none can; of the first.
        """
        errors = []
        for index in range(len(self.names)):
            try:
                self.read(index)
                return
            except InputError as error:
                errors.append(error)
        raise errors[0]


def pair_frames(pairs: dict[str, Pair], settings: Settings) -> Frames:
    """Pairs of image files, by stem."""
    read, files = reader(settings.maximum_megapixels, settings.crops()), list(pairs.values())
    return Frames(list(pairs), lambda index: read(files[index]))


def photo_frames(photos: dict[str, Path], settings: Settings) -> Frames:
    """Radiometric photos, by stem; the camera's own registration stands in for plain resize."""
    files = list(photos.values())

    def read(index: int) -> Images:
        photo = read_photo(files[index], settings.maximum_megapixels)
        return photo.celsius, photo.visible, photo.placed() if settings["registration.mode"] == "resize" else None

    return Frames(list(photos), read, celsius=True)


def bag_frames(path: Path, topics: dict[Source, str], settings: Settings, progress: Callable[[], Any]) -> Frames:
    """Up to `MOST_OF_BAG` pairs spread evenly over a bag, which is read once; named by seconds from the first on.

    Args:
        path: as of `open_recording`; of a broken bag, what can be read.
        progress: called at each pair of the bag.

    Raises:
        InputError: no bag, it lacks a topic, or no pair is found.
    """
    counts = BagCounts()
    kept: list[pairing.Pair] = []
    step, found, room = 1, 0, 0
    with TemporaryDirectory(prefix="ivif-") as salvage, open_recording(path, Path(salvage)) as recording:
        pairs = BagPairs(path, recording, topics, settings.pairing(), counts)
        for item in pairs.read():
            if not isinstance(item, pairing.Pair):
                continue
            progress()
            if found % step == 0:
                kept.append(item)
                room = room or max(2, min(MOST_OF_BAG, MOST_BYTES // max(1, _size(item))))
                if len(kept) > room:  # a pair of every two goes: still evenly spread
                    kept, step = kept[::2], 2 * step
            found += 1
        pairs.finish()
    if not kept:
        raise InputError(f"{path}: no pair within {settings['slop']:g} s; {'; '.join(counts.warnings) or 'no frames'}")
    crops, most = settings.crops(), settings.maximum_megapixels

    def read(index: int) -> Images:
        infrared = to_infrared(kept[index].infrared.content, most)
        visible = to_visible(kept[index].visible.content, most)
        return crops["infrared"].apply(infrared, "infrared"), crops["visible"].apply(visible, "visible"), None

    start = kept[0].visible_stamp
    names = [f"{(pair.visible_stamp - start) / 1e9:.2f} s" for pair in kept]
    return Frames(names, read, warnings=counts.warnings + ([counts.broken] if counts.broken else []))


def _size(pair: pairing.Pair) -> int:
    return sum(len(message.content.data) for message in (pair.infrared, pair.visible))
