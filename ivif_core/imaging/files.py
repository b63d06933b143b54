"""Image files of pairs: found by stem, read with errors that name the file, written whole or not at all."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from ivif_core.errors import ConfigError, InputError
from ivif_core.files.reading import read_bytes
from ivif_core.files.writing import printable, write_bytes
from ivif_core.imaging import colour
from ivif_core.imaging.orientation import exif_orientation, upright
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS, check_encoded
from ivif_core.imaging.wholeness import check_filled, check_whole

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION
"""Flags of OpenCV: 8 bits, the channels of the file."""
_MAXIMUM_BYTES = 1 << 30

_SOFTWARE = b"tEXtSoftware\0ivif"
"""Chunk of every PNG file that is written here, behind the header (PNG, 11.3.4.3)."""
_PNG_HEADER = 33
"""Bytes before the first other chunk."""


def find_images(folder: str | Path) -> dict[str, Path]:
    """Stem -> file of every image in a folder, sorted by stem; hidden files are left out.

    Raises:
        InputError: no such folder, or two images of one stem.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder at {folder}")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.stem, path.suffix)):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:
            raise InputError(f"{folder}: both {found[path.stem].name} and {path.name} are '{path.stem}'; keep one")
        found[path.stem] = path
    return found


def pair_by_stem(infrared: str | Path, visible: str | Path) -> tuple[dict[str, tuple[Path, Path]], list[Path]]:
    """Match two folders by stem.

    Returns:
        stem -> (infrared file, visible file), sorted, and the files without a partner.

    Raises:
        InputError: a folder is missing or ambiguous, or nothing matches.
    """
    infrared_files, visible_files = find_images(infrared), find_images(visible)
    pairs = {stem: (path, visible_files[stem]) for stem, path in infrared_files.items() if stem in visible_files}
    if not pairs:
        raise InputError(
            f"no names match between {infrared} ({len(infrared_files)} images) and {visible} "
            f"({len(visible_files)} images); a pair has the same name but for its extension"
        )
    lonely = [path for stem, path in {**infrared_files, **visible_files}.items() if stem not in pairs]
    return pairs, lonely


def read_infrared(path: str | Path, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """Infrared image, upright, its numbers as stored: H×W; luminance where the file is in colour.

    8 bits are intensity. All else is what the camera measured (TIFF: signed, 32-bit and float too; counts, °C, kelvin)
    and goes through scaling.

    Raises:
        InputError: the file is missing, broken, too large, or in colour of another type than 8, 16 bits or float32.
    """
    image = read_as_stored(path, maximum_megapixels)
    if image.ndim == 2:
        return image
    if (image[:, :, :1] == image[:, :, : min(3, image.shape[2])]).all():
        return np.ascontiguousarray(image[:, :, 0])
    if image.shape[2] < 3 or image.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"{path}: expected one number a pixel, or colour, got {image.shape[2]} of {image.dtype}")
    return cv2.cvtColor(image[:, :, :3], cv2.COLOR_BGR2GRAY)


def read_visible(path: str | Path, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """Visible image, upright: uint8, H×W×3 BGR, or H×W where the file is grey.

    Raises:
        InputError: the file is missing, broken or too large.
    """
    return colour.check_visible(_read(path, AS_STORED, maximum_megapixels))


def read_as_stored(path: str | Path, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """An image with the channels and numbers that its file holds, upright: H×W or H×W×C.

    Raises:
        InputError: the file is missing, broken or too large.
    """
    return _read(path, cv2.IMREAD_UNCHANGED, maximum_megapixels)


def read_image_bytes(path: str | Path) -> bytes:
    """The bytes of an image file.

    Raises:
        InputError: there is none that can be read.
    """
    try:
        return read_bytes(path, _MAXIMUM_BYTES)
    except ConfigError as error:
        raise InputError(f"cannot read image {error}") from error


def decode(data: bytes, what: str, flags: int, maximum_megapixels: float) -> np.ndarray:
    """An encoded image, H×W or H×W×C as OpenCV's `flags` ask for, whose size and end were looked at first.

    Raises:
        InputError: broken or too large; `what` begins the error.
    """
    check_encoded(data, what, maximum_megapixels)
    check_whole(data, what)
    decoder = partial(cv2.imdecode, flags=flags)
    try:
        image = decoder(np.frombuffer(data, np.uint8))
    except cv2.error as error:  # hostile sizes in a header
        raise InputError(f"{what} is broken: {error.err}") from error
    if image is None or image.size == 0:
        raise InputError(f"{what} is not an image, or is broken")
    check_filled(data, image, decoder, what)
    return image


def write_image(path: str | Path, image: np.ndarray, *, overwrite: bool = True, sweep_folder: bool = True) -> None:
    """Write an image in the format of its suffix, as `files.write_bytes`.

    Raises:
        InputError: the format is unknown or does not take the image, or as `write_bytes`.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:  # others go through a temporary file of OpenCV's, which a full disk leaves
        raise InputError(
            f"cannot write {printable(path)}: expected an image suffix, one of {' '.join(sorted(SUFFIXES))}"
        )
    try:
        # In memory: OpenCV's own writing says nothing of a full disk, and crashes on names that are no UTF-8.
        made, data = cv2.imencode(path.suffix, image)
    except cv2.error as error:
        raise InputError(f"cannot write {printable(path)}: {error.err or 'OpenCV does not encode it'}") from error
    if not made:
        raise InputError(f"cannot write {printable(path)}: its format does not take this image")
    content = data.tobytes()
    if content.startswith(b"\x89PNG"):
        chunk = struct.pack(">I", len(_SOFTWARE) - 4) + _SOFTWARE + struct.pack(">I", zlib.crc32(_SOFTWARE))
        content = content[:_PNG_HEADER] + chunk + content[_PNG_HEADER:]
    write_bytes(path, content, overwrite=overwrite, sweep_folder=sweep_folder)


def is_of_ivif(path: Path) -> bool:
    """Whether a file is a PNG file that was written here."""
    try:
        with path.open("rb") as file:
            return file.read(_PNG_HEADER + 4 + len(_SOFTWARE)).endswith(_SOFTWARE)
    except OSError:
        return False


def _read(path: str | Path, flags: int, maximum_megapixels: float) -> np.ndarray:
    data = read_image_bytes(path)
    return upright(decode(data, str(path), flags, maximum_megapixels), exif_orientation(data))
