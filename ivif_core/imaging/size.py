"""The size of an encoded image from its header, checked before a decoder takes the memory that the header asks for.

A few hundred kilobytes of PNG can stand for gigabytes of pixels. Formats whose header is not understood here are
refused, whatever OpenCV could make of them.
"""

from __future__ import annotations

import re
import struct

from ivif_core.errors import InputError
from ivif_core.imaging.jpeg_markers import next_marker

MAXIMUM_MEGAPIXELS = 64.0
"""Pixels that an image may have unless more are asked for, in millions."""
_FORMATS = "PNG, JPEG, TIFF, BMP, WebP, PGM, PPM or JPEG 2000"
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN = 0xDA
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_ROWS, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 256, 257, 278, 322, 323
_TIFF_TYPES = {3: "H", 4: "I", 16: "Q"}
_TIFF_MOST_TAGS = 4096


def check_size(width: int, height: int, what: str, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> None:
    """Refuse an image that is too large.

    Args:
        width, height: as a header says them.
        what: begins the error.
        maximum_megapixels: of pixels, in millions.

    Raises:
        InputError: it has more pixels, or none.
    """
    if width < 1 or height < 1:
        raise InputError(f"{what}: expected a width and height of at least 1, got {width}×{height}")
    if width * height > maximum_megapixels * 1e6:
        raise InputError(
            f"{what}: {width}×{height} pixels are more than {maximum_megapixels:g} megapixels (maximum_megapixels)"
        )


def check_encoded(data: bytes | memoryview, what: str, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> None:
    """Refuse an encoded image that is too large, or of a format that is not read here.

    Raises:
        InputError: as `check_size`, or its header is damaged or unknown.
    """
    data = memoryview(data)
    try:
        size = _size(data)
    except (struct.error, IndexError, ValueError, KeyError):
        raise InputError(f"{what} could not be decoded: its header is cut short or damaged") from None
    if size is None:
        raise InputError(f"{what} could not be decoded: it is not an image; expected {_FORMATS}")
    check_size(*size, what, maximum_megapixels)


def _size(data: memoryview) -> tuple[int, int] | None:
    start = bytes(data[:12])
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if start.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff(data)
    if start.startswith(b"BM"):
        return _bmp(data)
    if start.startswith(b"RIFF") and start[8:] == b"WEBP":
        return _webp(data)
    if re.match(rb"P[1-6][\s#]", start):
        return _pnm(data)
    if start[4:12] == b"jP  \r\n\x87\n" or start.startswith(b"\xff\x4f\xff\x51"):
        return _jpeg2000(data)
    return None


def _png(data: memoryview) -> tuple[int, int]:
    if bytes(data[12:16]) != b"IHDR":
        raise ValueError("no header")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg(data: memoryview) -> tuple[int, int]:
    """Of all frames before the first scan the largest: a decoder takes one of them."""
    width = height = 0
    place = 2
    while True:
        marker, place = next_marker(data, place)
        if marker == _JPEG_SCAN:
            break
        if marker in _JPEG_ALONE:
            continue
        length = struct.unpack_from(">H", data, place)[0]
        if marker in _JPEG_FRAMES:
            rows, columns = struct.unpack_from(">HH", data, place + 3)
            width, height = max(width, columns), max(height, rows)
        place += max(length, 2)
    return width, height


def _tiff(data: memoryview) -> tuple[int, int]:
    """Of the first image and of its tiles or strips, each of which is unpacked as a whole, the larger."""
    order = "<" if data[0] == ord("I") else ">"
    is_big = 43 in (data[2], data[3])
    (place,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, place)
    place += 8 if is_big else 2
    tags: dict[int, int] = {}
    for _ in range(min(count, _TIFF_MOST_TAGS)):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if kind in _TIFF_TYPES:
            (value,) = struct.unpack_from(order + _TIFF_TYPES[kind], data, place + (12 if is_big else 8))
            tags[tag] = max(value, tags.get(tag, 0))
        place += 20 if is_big else 12
    width, height = tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]
    rows = min(tags.get(_TIFF_ROWS, height), height)
    tile = (tags.get(_TIFF_TILE_WIDTH, width), tags.get(_TIFF_TILE_HEIGHT, rows))
    return max((width, height), tile, key=lambda size: size[0] * size[1])


def _bmp(data: memoryview) -> tuple[int, int]:
    (head,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if head == 12 else "<ii", data, 18)
    return abs(width), abs(height)


def _webp(data: memoryview) -> tuple[int, int]:
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[place : place + 3], "little") for place in (24, 27))
        return width, height
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError(kind)


def _pnm(data: memoryview) -> tuple[int, int]:
    blank = rb"(?:\s|#[^\n\r]{0,1000}[\n\r])+"
    found = re.match(rb"P[1-6]" + blank + rb"(\d{1,10})" + blank + rb"(\d{1,10})", bytes(data[:8192]))
    if found is None:
        raise ValueError("no size")
    return int(found[1]), int(found[2])


def _jpeg2000(data: memoryview) -> tuple[int, int]:
    """Of everything that looks like the start of a codestream the largest: boxes before it may hold decoys."""
    sizes = []
    for found in re.finditer(rb"\xff\x4f\xff\x51", data):
        width, height, left, top = struct.unpack_from(">4I", data, found.start() + 8)
        sizes.append((width - left, height - top))
    return max(sizes, key=lambda size: size[0] * size[1])
