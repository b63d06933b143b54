"""Whether an encoded image has its end: OpenCV 4 fills what is missing of a JPEG with grey and says nothing."""

from __future__ import annotations

import re
import struct

from ivif_core.errors import InputError
from ivif_core.imaging.jpeg_markers import next_marker

_END, _SCAN, _ALONE = 0xD9, 0xDA, frozenset({0x01, *range(0xD0, 0xD9)})
_AFTER_SCAN = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
"""A marker that ends a scan's data: not a stuffed byte (0), not a restart (0xD0 to 0xD7)."""


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


def _has_jpeg_end(data: bytes) -> bool:
    """From marker to marker, since the preview in a header has an end of its own."""
    place = 2
    while True:
        marker, place = next_marker(data, place)
        if marker == _END:
            return True
        if marker in _ALONE or marker == 0:
            continue
        (length,) = struct.unpack_from(">H", data, place)
        place += max(length, 2)
        if marker == _SCAN:
            found = _AFTER_SCAN.search(data, place)
            if found is None:
                return False
            place = found.start()


def _has_png_end(data: bytes) -> bool:
    place = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if name == b"IEND":
            return bool(place <= len(data))
