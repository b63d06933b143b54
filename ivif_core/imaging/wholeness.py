"""Whether an image or a video has its end: OpenCV 4 fills what is missing of a JPEG with grey and says nothing, and
FFmpeg plays a video as far as it goes.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ivif_core.errors import InputError
from ivif_core.imaging.jpeg_markers import next_marker

_END, _SCAN, _ALONE = 0xD9, 0xDA, frozenset({0x01, *range(0xD0, 0xD9)})
_AFTER_SCAN = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
"""A marker that ends a scan's data: not a stuffed byte (0), not a restart (0xD0 to 0xD7)."""

_GREY = 128
"""What decoders make of the blocks that a JPEG lacks, in every channel."""
_FILLER = b"".join(random.Random(0).randbytes(64).replace(b"\xff", b"") + bytes([0xFF, 0xD0 + n]) for n in range(8))
"""Data of blocks, with every restart marker."""

_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"styp", b"uuid", b"meta")


def check_whole(data: bytes | memoryview, what: str) -> None:
    """Refuse a JPEG or PNG image whose end is missing; bytes behind the end are no matter.

    Args:
        data: an encoded image of any format.
        what: begins the error.

    Raises:
        InputError: it is cut short.
    """
    content = bytes(data)
    try:
        if content.startswith(b"\xff\xd8\xff"):
            whole = _has_jpeg_end(content)
        elif content.startswith(b"\x89PNG"):
            whole = _has_png_end(content)
        else:
            return
    except (struct.error, IndexError):
        whole = False
    if not whole:
        raise InputError(f"{what} is cut short after {len(content)} bytes")


def check_filled(
    data: bytes | memoryview, image: np.ndarray, decode: Callable[[np.ndarray], np.ndarray | None], what: str
) -> None:
    """Refuse a JPEG image that has its end, but not all its blocks: cut or with a gap, and an end put behind it.

    Decoders take what is missing for grey. Where the last block is grey, or there are several scans, other blocks are
    put before the end and all is decoded again: nothing changes where none is missing.

    Args:
        data: an encoded image of any format that passed `check_whole`.
        image: what `decode` made of it, as stored (not turned): H×W or H×W×C.
        decode: bytes to pixels.
        what: begins the error.

    Raises:
        InputError: it lacks blocks.
    """
    content = bytes(data)
    if not content.startswith(b"\xff\xd8\xff"):
        return
    end, scans = _jpeg_end(content)
    last_block = image[-1, (image.shape[1] - 1) // 8 * 8 :]  # of it the row that takes no colour from blocks above
    if scans == 1 and not (last_block == _GREY).all():
        return
    filled = decode(np.frombuffer(content[:end] + _FILLER + b"\xff\xd9", np.uint8))
    if filled is not None and not np.array_equal(filled, image):
        raise InputError(f"{what} lacks the last of its blocks: it was cut, or data in it were lost")


def _has_jpeg_end(data: bytes) -> bool:
    return bool(_jpeg_end(data)[0])


def _jpeg_end(data: bytes) -> tuple[int, int]:
    """Where its end marker stands, 0 for none, and its scans.

    From marker to marker, since the preview in a header has an end of its own.
    """
    place, scans = 2, 0
    while True:
        marker, place = next_marker(data, place)
        if marker == _END:
            return place - 2, scans
        if marker in _ALONE or marker == 0:
            continue
        (length,) = struct.unpack_from(">H", data, place)
        place += max(length, 2)
        if marker == _SCAN:
            scans += 1
            found = _AFTER_SCAN.search(data, place)
            if found is None:
                return 0, scans
            place = found.start()


def _has_png_end(data: bytes) -> bool:
    place = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if name == b"IEND":
            return bool(place <= len(data))


def check_whole_video(path: Path) -> None:
    """Refuse an MP4, Matroska or AVI file that is shorter than it says; one that does not say it passes.

    Raises:
        InputError: it is cut short.
        OSError: it cannot be read.
    """
    there = path.stat().st_size
    with path.open("rb") as file:
        said = _video_size(file, there)
    if said > there:
        raise InputError(f"{path} is cut short: {there} of {said} bytes are there")


def _video_size(file: BinaryIO, there: int) -> int:
    """Bytes that a video says to have at least; 0: it does not say it (its recorder was killed, or it is a stream).

    RIFF; Matroska (RFC 9559); ISO/IEC 14496-12, box by box.
    """
    head, place = file.read(16), 0
    if head.startswith(b"RIFF"):
        return 8 + int.from_bytes(head[4:8], "little")
    if head.startswith(b"\x1aE\xdf\xa3"):
        length, size = _ebml_size(head[4:])
        file.seek(4 + length + size)
        segment = file.read(12)
        if not segment.startswith(b"\x18S\x80\x67"):
            return 0
        own, inside = _ebml_size(segment[4:])
        is_said = inside != (1 << 7 * own) - 1
        return 4 + length + size + 4 + own + inside if is_said else 0
    while head[4:8] in _BOXES:
        wide = head[:4] == b"\0\0\0\1"
        length = int.from_bytes(head[8:16] if wide else head[:4], "big")
        if length < 8:  # 0: to the end of the file
            return 0
        place += length
        if place >= there:
            return place
        file.seek(place)
        head = file.read(16)
    return 0


def _ebml_size(data: bytes) -> tuple[int, int]:
    """Bytes of a number of variable length, and its value."""
    length = 9 - data[0].bit_length() if data and data[0] else 1
    return length, int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1)
