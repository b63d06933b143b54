"""The markers that divide a JPEG into segments (ITU-T T.81, annex B)."""

from __future__ import annotations


def next_marker(data: bytes | memoryview, place: int) -> tuple[int, int]:
    """The next marker's second byte, and the place behind it; fill bytes are passed over.

    Raises:
        IndexError: there is none.
    """
    while data[place] != 0xFF:
        place += 1
    while data[place] == 0xFF:
        place += 1
    return data[place], place + 1
