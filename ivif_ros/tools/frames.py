"""What `replay` publishes: frames of two cameras from a folder of pairs, from a bag or from the rendered scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ivif_core.errors import InputError
from ivif_core.imaging.files import pair_by_stem, read_infrared, read_visible
from ivif_core.imaging.messages import to_infrared, to_visible
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS
from ivif_core.offline.bags.images import read_bag_images
from ivif_core.types import Source

Size = tuple[int, int]
CACHE_BYTES = 1 << 29
"""A folder's images are kept in memory, so that no disk slows the stream; this much of them."""
COUNTS_LOW, COUNTS_HIGH = 20_000, 24_000
"""Raw counts of an uncooled camera: a scene uses a few thousand of the 65,536 levels, somewhere in the middle."""


@dataclass(frozen=True)
class Frame:
    """One image of one camera, `time` seconds after the start."""

    source: Source
    time: float
    pixels: np.ndarray


def folder_pairs(
    folder: str | Path, maximum_megapixels: float = MAXIMUM_MEGAPIXELS
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of `infrared/` and `visible/`, which match by stem, in order, as many as fit the cache.

    Raises:
        InputError: a sub-folder is missing, nothing matches or an image is broken.
    """
    pairs, _ = pair_by_stem(Path(folder) / "infrared", Path(folder) / "visible")
    size = 0
    for infrared_file, visible_file in pairs.values():
        infrared = read_infrared(infrared_file, maximum_megapixels)
        visible = read_visible(visible_file, maximum_megapixels)
        size += infrared.nbytes + visible.nbytes
        if size > CACHE_BYTES:
            return
        yield infrared, visible


def pair_frames(pairs: Iterable[tuple[np.ndarray, np.ndarray]], rate: float) -> Iterator[Frame]:
    """Both frames of a pair at the same time, `rate` pairs a second."""
    for index, (infrared, visible) in enumerate(pairs):
        yield Frame("infrared", index / rate, infrared)
        yield Frame("visible", index / rate, visible)


def bag_frames(
    path: str | Path, topics: tuple[str, str], rate: float | None, maximum_megapixels: float = MAXIMUM_MEGAPIXELS
) -> Iterator[Frame]:
    """Frames at their recorded times; with `rate`, stretched so that the visible camera runs at it on average.

    Raises:
        InputError: as `read_bag_images`; or `rate` is asked of a bag with fewer than two visible frames.
    """
    stretch = 1.0
    if rate is not None:
        stamps = [image.stamp for image in read_bag_images(path, *topics) if image.source == "visible"]
        if len(stamps) < 2 or stamps[-1] <= stamps[0]:
            raise InputError(f"{path}: a rate cannot be set for {len(stamps)} visible frame(s) of one moment")
        stretch = (len(stamps) - 1) / rate / ((stamps[-1] - stamps[0]) / 1e9)
    start = None
    for image in read_bag_images(path, *topics):
        start = image.stamp if start is None else start
        read = to_infrared if image.source == "infrared" else to_visible
        pixels = read(image.message, maximum_megapixels)
        yield Frame(image.source, (image.stamp - start) / 1e9 * stretch, pixels)


def scene_pairs(count: int, size: Size | None, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rendered night street (see `ivif_core.scene`), `count` frames that close to a loop."""
    from ivif_core.scene import Street

    street = Street(size or (640, 480), seed=seed, period=count)
    return map(street.render, range(count))


def resized(pixels: np.ndarray, size: Size | None) -> np.ndarray:
    """To (width, height), if one is asked for."""
    return pixels if size is None or pixels.shape[1::-1] == size else cv2.resize(pixels, size)


def to_counts(intensity: np.ndarray) -> np.ndarray:
    """uint8 intensity as uint16 counts, linear from 20,000 to 24,000 and reversible; counts are left as they are."""
    if intensity.dtype != np.uint8:
        return intensity
    scaled = intensity * ((COUNTS_HIGH - COUNTS_LOW) / 255.0) + COUNTS_LOW
    return np.rint(scaled).astype(np.uint16)
