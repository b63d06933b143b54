"""The records inside a FLIR camera's photo, found within bounds: nothing is believed that the file does not hold.

The layout is public (https://exiftool.org/TagNames/FLIR.html): numbered APP1 segments of a JPEG hold the parts of an
FFF file, whose directory says where its records lie.
"""

from __future__ import annotations

import struct

from ivif_core.errors import InputError
from ivif_core.imaging.jpeg_markers import next_marker
from ivif_core.imaging.wholeness import check_whole

RAW_DATA, EMBEDDED_IMAGE, CAMERA_INFO, PICTURE_IN_PICTURE = 1, 14, 32, 42
"""Types of records: thermal counts, visible picture, constants of the camera, how one lies in the other."""
_EXPECTED = "expected a radiometric JPEG of a FLIR camera"
_APP1, _SCAN, _ALONE = 0xE1, 0xDA, frozenset({0x01, *range(0xD0, 0xD9)})
_MAGIC = b"FLIR\0"
_ENTRY = "HH7I"
"""Of the directory: type, subtype, version, index, start, length, parent, object, checksum."""


def read_records(data: bytes, what: str) -> dict[int, bytes]:
    """Type -> content of the records that are used here; of several of one type the first.

    Args:
        data: a JPEG file.
        what: begins the error.

    Raises:
        InputError: no JPEG, one without a FLIR camera's thermal data, or it is cut short or damaged.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        raise InputError(f"{what} is not a JPEG; {_EXPECTED}")
    check_whole(data, what)
    try:
        content = _joined(data, what)
        if content[:4] not in (b"FFF\0", b"AFF\0"):
            raise ValueError("no FFF")
        # The order of bytes is the one in which the version is one (100 to 199).
        order = ">" if 100 <= struct.unpack_from(">I", content, 0x14)[0] < 200 else "<"
        start, count = struct.unpack_from(f"{order}2I", content, 0x18)
        directory = content[start : start + struct.calcsize(f"={_ENTRY}") * count]
        if RAW_DATA not in (found := _listed(content, directory, order)):
            raise ValueError("no thermal picture")
    except (struct.error, IndexError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what}: its thermal data are cut short or damaged") from error
    return found


def _joined(data: bytes, what: str) -> bytes:
    """The FFF file."""
    parts: dict[int, bytes] = {}
    last = None
    place = 2
    while True:
        marker, place = next_marker(data, place)
        if marker == _SCAN:
            break
        if marker in _ALONE:
            continue
        length = max(struct.unpack_from(">H", data, place)[0], 2)
        segment = data[place + 2 : place + length]
        place += length
        if marker == _APP1 and segment.startswith(_MAGIC):
            number, said = segment[6], segment[7]
            if number in parts or last not in (None, said):
                raise ValueError("parts contradict each other")
            parts[number], last = segment[8:], said
    if last is None:
        raise InputError(
            f"{what} holds no thermal data of a FLIR camera (a plain JPEG, or another maker's); {_EXPECTED}"
        )
    if sorted(parts) != list(range(last + 1)):
        raise ValueError("a part is missing")
    return b"".join(parts[number] for number in range(last + 1))


def _listed(content: bytes, directory: bytes, order: str) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for kind, _, _, _, start, length, *_ in struct.iter_unpack(order + _ENTRY, directory):
        if kind in (RAW_DATA, EMBEDDED_IMAGE, CAMERA_INFO, PICTURE_IN_PICTURE) and kind not in found:
            if start + length > len(content):
                raise ValueError("a record ends behind the file")
            found[kind] = content[start : start + length]
    return found
