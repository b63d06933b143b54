"""Small inputs that stand for large ones, made by hand from the formats' descriptions."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

_BLOCK = 128 << 10


def zstd_bomb(size: int, says: int | None = None) -> bytes:
    """A zstd frame (RFC 8878) of run-length blocks that unpacks to `size` zeros; `says`: its content size, a lie."""
    # Whether it has a content size, a window of 2 MiB, and the size.
    head = b"\x00\x58" if says is None else b"\xc0\x58" + struct.pack("<Q", says)
    blocks = size // _BLOCK
    block = (_BLOCK << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    last = (_BLOCK << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd" + head + block * (blocks - 1) + last


def png_header(width: int, height: int, name: bytes = b"IHDR") -> bytes:
    """A PNG file that is all header: 8-bit RGB, and pixels that are cut."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(name, struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def record(opcode: int, content: bytes) -> bytes:
    """An MCAP record."""
    return struct.pack("<BQ", opcode, len(content)) + content


def mcap_with_chunk(path: Path, packed: bytes, size: int, times: int = 1, compression: bytes = b"zstd") -> None:
    """An MCAP file of one chunk, which its index names `times` times; no message in it."""
    magic = b"\x89MCAP0\r\n"
    head = record(0x01, struct.pack("<I", 4) + b"ros2" + struct.pack("<I", 0))
    kind = struct.pack("<I", len(compression)) + compression
    chunk = record(0x06, struct.pack("<QQQI", 1, 2, size, 0) + kind + struct.pack("<Q", len(packed)) + packed)
    start = len(magic) + len(head)
    data = magic + head + chunk + record(0x0F, bytes(4))
    index = struct.pack("<QQQQI", 1, 2, start, len(chunk), 0) + struct.pack("<Q", 0) + kind
    index = record(0x08, index + struct.pack("<QQ", len(packed), size))
    schema = record(0x03, struct.pack("<HI", 1, 1) + b"a" + struct.pack("<II", 0, 0))
    statistics = record(0x0B, bytes(46))
    footer = record(0x02, struct.pack("<QQI", len(data), 0, 0))
    path.write_bytes(data + schema + index * times + statistics + footer + magic)
