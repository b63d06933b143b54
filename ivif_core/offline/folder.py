"""Fusion of image files: one pair, or two folders matched by name."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ivif_core.errors import InputError, IvifError, OutputError
from ivif_core.files.outputs import check_apart, check_file, only_run
from ivif_core.files.writing import check_name, is_there, sweep
from ivif_core.fusion import Fuser
from ivif_core.imaging.crop import UNCROPPED, Crops
from ivif_core.imaging.files import read_infrared, read_visible, write_image
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS
from ivif_core.offline.prefetch import overlapped
from ivif_core.registration.base import Registration

Pair = tuple[Path, Path]
Images = tuple[np.ndarray, np.ndarray, Registration | None]
"""Infrared, visible, and the pair's own registration; None: the fuser's."""
Read = Callable[[Pair], Images]


@dataclass
class FolderResult:
    """What became of the pairs of two folders.

    Attributes:
        written: stems that were fused.
        kept: stems whose output was there already.
        failed: stem -> why.
        unwritten: stems of those that were fused but could not be written.
    """

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unwritten: list[str] = field(default_factory=list)


def fuse_file(
    fuser: Fuser,
    infrared: Path,
    visible: Path,
    output: Path,
    *,
    grey: bool = False,
    overwrite: bool = False,
    read: Read | None = None,
) -> None:
    """Fuse one pair of image files into `output`, whose suffix says the format.

    Args:
        read: reads the pair; None: `reader()`.

    Raises:
        InputError: an image is broken, or `output` is there already and `overwrite` is False, or is an input.
    """
    check_file(output, (infrared, visible), overwrite=overwrite)
    fused = fuse_images(fuser, (read or reader())((infrared, visible)), grey)
    write_image(output, fused, overwrite=overwrite)


def fuse_folder(
    fuser: Fuser,
    pairs: dict[str, Pair],
    output: Path,
    *,
    grey: bool = False,
    overwrite: bool = False,
    read: Read | None = None,
    inputs: Iterable[Path] | None = None,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> FolderResult:
    """Fuse pairs of files into `<stem>.png`; one bad pair does not stop the rest.

    Reading, fusing and writing overlap.

    Args:
        pairs: stem -> (infrared file, visible file), as `image_files.pair_by_stem` gives them.
        output: folder, made where it is not there.
        overwrite: otherwise a pair whose output is there is left out.
        read: reads a pair; None: `reader()`.
        inputs: what `output` must not be or lie in; None: the folders of the files.
        progress: wraps the stems, as tqdm does.

    Raises:
        InputError: `output` cannot be made, or is a folder of inputs.
    """
    check_name(output)
    check_apart(output, inputs or {path.parent for pair in pairs.values() for path in pair})
    with only_run(output):
        sweep(output)
        return _fuse_into(output, fuser, pairs, grey, overwrite, read or reader(), progress)


def _fuse_into(
    output: Path,
    fuser: Fuser,
    pairs: dict[str, Pair],
    grey: bool,
    overwrite: bool,
    read: Read,
    progress: Callable[[Iterable[str]], Iterable[str]],
) -> FolderResult:
    result = FolderResult()
    wanted = {}
    for stem, pair in pairs.items():
        target = output / f"{stem}.png"
        try:
            if is_there(target) and not overwrite:
                result.kept.append(stem)
                continue
            check_file(target, pair, overwrite=overwrite)
        except InputError as error:
            result.failed[stem] = str(error)
        else:
            wanted[stem] = pair
    frames = overlapped(_read(wanted.values(), read))
    made = overlapped(_fuse(frames, fuser, grey))
    with closing(frames), closing(made):
        for stem, fused in zip(progress(wanted), made, strict=True):
            try:
                if isinstance(fused, IvifError):
                    raise fused
                write_image(output / f"{stem}.png", fused, sweep_folder=False)
                result.written.append(stem)
            except IvifError as error:
                result.failed[stem] = str(error)
                if isinstance(error, OutputError):
                    result.unwritten.append(stem)
    return result


def reader(maximum_megapixels: float = MAXIMUM_MEGAPIXELS, crops: Crops = UNCROPPED) -> Read:
    """What reads a pair of image files, not larger than this, cropped."""

    def read(pair: Pair) -> Images:
        infrared, visible = read_infrared(pair[0], maximum_megapixels), read_visible(pair[1], maximum_megapixels)
        return crops["infrared"].apply(infrared, str(pair[0])), crops["visible"].apply(visible, str(pair[1])), None

    return read


def _read(pairs: Iterable[Pair], read: Read) -> Generator[Images | IvifError, None, None]:
    for pair in pairs:
        try:
            yield read(pair)
        except IvifError as error:
            yield error


def _fuse(
    pairs: Iterable[Images | IvifError], fuser: Fuser, grey: bool
) -> Generator[np.ndarray | IvifError, None, None]:
    for pair in pairs:
        try:
            yield pair if isinstance(pair, IvifError) else fuse_images(fuser, pair, grey)
        except IvifError as error:
            yield error


def fuse_images(fuser: Fuser, images: Images, grey: bool = False) -> np.ndarray:
    """Fuse what a `Read` gives; a registration of the pair's own replaces the fuser's."""
    infrared, visible, registration = images
    fuser.registration = registration or fuser.registration
    return fuser.fuse(infrared, visible, grey=grey)
