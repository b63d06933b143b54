"""Photos of hand-held FLIR cameras: thermal picture in °C, the visible photo beside it, and how one lies in the other.

Constants and temperature are read by flyr (extra `radiometric`). What it takes on trust is found and decoded here,
within bounds: the parts in the file, the directory of records, the two pictures.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np

from ivif_core.calibration.picture_in_picture import picture_in_picture
from ivif_core.errors import ConfigError, InputError
from ivif_core.files.writing import printable
from ivif_core.imaging import colour
from ivif_core.imaging.files import AS_STORED, decode, find_images, read_image_bytes
from ivif_core.imaging.flir_records import (
    CAMERA_INFO,
    EMBEDDED_IMAGE,
    PICTURE_IN_PICTURE,
    RAW_DATA,
    read_records,
)
from ivif_core.imaging.orientation import exif_orientation, upright, upright_matrix
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS, check_size
from ivif_core.registration.base import Homography, Resize
from ivif_core.thermal.radiometry import ZERO_CELSIUS

SUFFIXES = (".jpg", ".jpeg")
_LARGEST_THERMAL = 4.0
"""Megapixels; the largest that such cameras write is 2048×1536."""
_HEAD = 32
"""Bytes of a picture's record before the picture."""
_LITTLE_ENDIAN = b"\2\0"
"""How the records start whose byte order is known."""


@dataclass(frozen=True)
class RadiometricPhoto:
    """What one file holds, upright.

    Attributes:
        celsius: float32 h×w; NaN where the count stands for no temperature.
        visible: uint8 H×W×3 BGR or H×W.
        registration: as the camera notes it; None: it notes nothing, or what cannot be.
        notes: what the temperature was computed with: emissivity, reflected_celsius, distance_m …
    """

    celsius: np.ndarray
    visible: np.ndarray
    registration: Homography | None
    notes: dict[str, float]

    def placed(self) -> Homography | Resize:
        """The registration, or plain resize where there is none."""
        return self.registration or Resize()


def find_photos(paths: list[Path]) -> dict[str, Path]:
    """Stem -> file of photos that are named, and of all JPEG files of folders that are.

    Raises:
        InputError: a folder without any, or two of one stem.
    """
    found: dict[str, Path] = {}
    for path in paths:
        files = [path]
        if path.is_dir():
            files = [one for one in find_images(path).values() if one.suffix.lower() in SUFFIXES]
            if not files:
                raise InputError(f"{printable(path)}: no JPEG files in this folder")
        for file in files:
            if file.stem in found:
                raise InputError(
                    f"both {printable(found[file.stem])} and {printable(file)} are '{file.stem}'; keep one"
                )
            found[file.stem] = file
    return found


def is_photo(path: Path) -> bool:
    """Whether a file is a radiometric JPEG, as far as its records say."""
    try:
        return path.is_file() and bool(read_records(read_image_bytes(path), printable(path)))
    except InputError:
        return False


def read_photo(path: str | Path, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> RadiometricPhoto:
    """Read a radiometric JPEG.

    Raises:
        InputError: the file is missing, no radiometric JPEG, cut short, damaged, too large, or without visible picture.
        ImportError: flyr is not installed.
    """
    from flyr.picture_in_picture import parse_picture_in_picture_info
    from flyr.thermal import parse_camera_info
    from flyr.thermogram import FlyrThermogram

    what = printable(path)
    data = read_image_bytes(path)
    records = read_records(data, what)
    if EMBEDDED_IMAGE not in records:
        raise InputError(f"{what} holds no visible picture; expected a photo of a camera with two lenses")
    counts = _counts(records[RAW_DATA], what, maximum_megapixels)
    visible = _visible(records[EMBEDDED_IMAGE], what, maximum_megapixels)
    info = records.get(CAMERA_INFO, b"")
    try:
        if not info.startswith(_LITTLE_ENDIAN):
            raise ValueError("no constants, or of another byte order")
        constants = parse_camera_info(BytesIO(info), (0, CAMERA_INFO, 0, len(info)))
        with np.errstate(all="ignore"):
            celsius = FlyrThermogram(counts, constants).celsius.astype(np.float32)
    except (struct.error, ValueError, ArithmeticError) as error:
        raise InputError(f"{what}: the camera's constants, which make °C of its counts, are damaged") from error
    celsius[~np.isfinite(celsius)] = np.nan
    if np.isnan(celsius).all():
        raise InputError(f"{what}: by the camera's constants no pixel has a temperature; they are damaged")
    registration, orientation = None, exif_orientation(data)
    try:
        noted = parse_picture_in_picture_info(
            BytesIO(records[PICTURE_IN_PICTURE]), (0, PICTURE_IN_PICTURE, 0, len(records[PICTURE_IN_PICTURE]))
        )
        sizes = celsius.shape[::-1], visible.shape[1::-1]
        matrix = picture_in_picture(noted.real_to_ir, noted.offset_x, noted.offset_y, *sizes)
        turns = [upright_matrix(size, orientation) for size in sizes]
        registration = Homography(turns[1] @ matrix @ np.linalg.inv(turns[0]))
    except (KeyError, struct.error, ConfigError):
        pass  # nothing is noted, or what cannot be
    return RadiometricPhoto(
        upright(celsius, orientation), upright(visible, orientation), registration, _notes(constants)
    )


def _counts(record: bytes, what: str, maximum_megapixels: float) -> np.ndarray:
    """uint16 h×w."""
    what = f"{what}: its thermal picture"
    if len(record) < _HEAD or not record.startswith(_LITTLE_ENDIAN):
        raise InputError(f"{what} is damaged, or in a byte order that is not known")
    width, height = struct.unpack_from("<2H", record, 2)
    limit = min(maximum_megapixels, _LARGEST_THERMAL)
    check_size(width, height, what, limit)
    content = record[_HEAD:]
    if content.startswith(b"\x89PNG"):
        # These cameras write the two bytes of a count the wrong way round.
        counts = decode(content, what, cv2.IMREAD_UNCHANGED, limit).byteswap()
    elif len(content) < 2 * width * height:
        raise InputError(f"{what} is cut short: {width}×{height} pixels in {len(content)} bytes")
    else:
        counts = np.frombuffer(content, "<u2", width * height).reshape(height, width)
    if counts.dtype != np.uint16 or counts.shape != (height, width):
        raise InputError(f"{what}: expected {width}×{height} counts of 16 bits, got {counts.shape} of {counts.dtype}")
    return counts


def _visible(record: bytes, what: str, maximum_megapixels: float) -> np.ndarray:
    content = record[_HEAD:]
    if not content.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        raise InputError(f"{what}: its visible picture is neither JPEG nor PNG")
    return colour.check_visible(decode(content, f"{what}: its visible picture", AS_STORED, maximum_megapixels))


def _notes(constants: dict[str, float]) -> dict[str, float]:
    kelvin = {"reflected_celsius": "reflected_apparent_temperature", "air_celsius": "atmospheric_temperature"}
    notes = {"emissivity": constants["emissivity"], "distance_m": constants["object_distance"]}
    notes |= {name: constants[theirs] - ZERO_CELSIUS for name, theirs in kelvin.items()}
    notes["humidity"] = constants["relative_humidity"]
    return {name: round(float(value), 4) for name, value in notes.items()}
