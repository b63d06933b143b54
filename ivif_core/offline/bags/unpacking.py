"""Decompression with a bound on what comes out: a few bytes of zstd can stand for gigabytes.

zstd: RFC 8878; LZ4: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, BinaryIO

from ivif_core.errors import InputError

MAXIMUM_UNPACKED = 256 << 20
"""Most bytes that one chunk or message of a bag may unpack to. Recorders close a chunk after some megabytes."""
MAXIMUM_UNPACKED_FILE = 64 << 30
"""Most bytes that one compressed file of a bag may unpack to, on disk."""
MAXIMUM_RATIO = 1000
"""Most bytes out of one that a whole file may hold. Measured on recordings: 1.1 to 30."""
_BLOCK = 1 << 20


def decompressor(compression: str) -> Any:
    """One with `decompress(data, max_length)`, `eof`, `needs_input` and `unused_data`.

    Raises:
        InputError: the compression is unknown.
    """
    if compression == "lz4":
        import lz4.frame

        return lz4.frame.LZ4FrameDecompressor()
    if compression != "zstd":
        raise InputError(f"unknown compression {compression[:40]!r}; expected zstd or lz4")
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor()


def unpack(data: bytes, compression: str, limit: int = MAXIMUM_UNPACKED, *, is_cut: bool = False) -> bytes:
    """All frames of `data`, unpacked.

    Args:
        compression: 'zstd', 'lz4', or empty: none.
        limit: most bytes that may come out.
        is_cut: take what there is of data that ends early or is damaged.

    Raises:
        InputError: more than `limit` bytes come out, the compression is unknown, or (unless `is_cut`) the data is
            damaged.
    """
    if not compression:
        return data
    parts: list[bytes] = []
    size = 0
    while data:
        unpacker = decompressor(compression)
        while not unpacker.eof:
            try:
                part = unpacker.decompress(data, max_length=min(_BLOCK, limit + 1 - size))
            except (RuntimeError, ValueError, EOFError, *_zstd_error()) as error:  # type: ignore[misc]
                if is_cut:
                    return b"".join(parts)
                raise InputError(f"{compression} data is damaged: {error}") from error
            data = b""
            size += len(part)
            if size > limit:
                raise InputError(f"{compression} data unpacks to more than {limit >> 20} MiB; refused")
            parts.append(part)
            if not part and unpacker.needs_input and not unpacker.eof:
                if is_cut:
                    return b"".join(parts)
                raise InputError(f"{compression} data is cut short")
        data = unpacker.unused_data or b""
    return b"".join(parts)


def unpack_file(source: Path, target: Path) -> None:
    """Unpack a zstd file of a bag (`.db3.zstd`, `.mcap.zstd`) with bounds on its size and ratio.

    Raises:
        InputError: it is damaged, cannot be read, or unpacks to more than a recording would.
    """
    limit = min(MAXIMUM_UNPACKED_FILE, max(MAXIMUM_UNPACKED, source.stat().st_size * MAXIMUM_RATIO))
    try:
        with source.open("rb") as packed, target.open("wb") as unpacked:
            _unpack_stream(source, packed, unpacked, limit)
    except OSError as error:
        raise InputError(f"{source} cannot be unpacked: {error.strerror or error}") from error


def _unpack_stream(source: Path, packed: BinaryIO, unpacked: BinaryIO, limit: int) -> None:
    unpacker = decompressor("zstd")
    size, data = 0, b""
    while True:
        if unpacker.eof:
            data = unpacker.unused_data or packed.read(_BLOCK)
            if not data:
                return
            unpacker = decompressor("zstd")
        elif unpacker.needs_input:
            data = packed.read(_BLOCK)
            if not data:
                raise InputError(f"{source} is cut short")
        try:
            part = unpacker.decompress(data, max_length=_BLOCK)
        except _zstd_error() as error:
            raise InputError(f"{source} is damaged: {error}") from error
        data = b""
        size += len(part)
        if size > limit:
            raise InputError(f"{source} unpacks to more than {limit >> 20} MiB; refused")
        unpacked.write(part)


def _zstd_error() -> tuple[type[Exception], ...]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return (zstd.ZstdError,)


def most_unpacked(file: BinaryIO, length: int, compression: str) -> int:
    """Bound on what the next `length` bytes of a file unpack to, from the heads of their blocks; nothing is unpacked.

    A frame may lie about its whole size. Its blocks cannot: none gives more than the format's largest block.

    Raises:
        InputError: the compression is unknown, or these are no such frames.
    """
    if not compression:
        return length
    end, most = file.tell() + length, 0
    while file.tell() < end:
        magic = int.from_bytes(file.read(4), "little")
        if magic & 0xFFFFFFF0 == 0x184D2A50:  # a frame to skip, in both formats
            file.seek(int.from_bytes(file.read(4), "little"), 1)
        elif compression == "zstd" and magic == 0xFD2FB528:
            most += _zstd_blocks(file, end)
        elif compression == "lz4" and magic == 0x184D2204:
            most += _lz4_blocks(file, end)
        else:
            raise InputError(f"this is not {compression[:40]} data")
    return most


def _zstd_blocks(file: BinaryIO, end: int) -> int:
    descriptor = _byte(file)
    is_single = descriptor >> 5 & 1
    sizes = (1 if is_single else 0, 2, 4, 8)[descriptor >> 6]
    file.seek((1 - is_single) + (0, 1, 2, 4)[descriptor & 3] + sizes, 1)
    most = 0
    while file.tell() < end:
        head = int.from_bytes(file.read(3), "little")
        kind, size = head >> 1 & 3, head >> 3
        most += 128 << 10 if kind == 2 else size  # compressed; raw and run-length blocks say their size
        file.seek(1 if kind == 1 else size, 1)
        if head & 1:
            break
    if descriptor >> 2 & 1:
        file.seek(4, 1)
    return most


def _lz4_blocks(file: BinaryIO, end: int) -> int:
    flags, largest = _byte(file), 1 << (8 + 2 * (_byte(file) >> 4 & 7))
    file.seek((8 if flags >> 3 & 1 else 0) + (4 if flags & 1 else 0) + 1, 1)
    most = 0
    while file.tell() < end:
        size = int.from_bytes(file.read(4), "little")
        if size == 0:
            break
        most += largest
        file.seek((size & 0x7FFFFFFF) + (4 if flags >> 4 & 1 else 0), 1)
    if flags >> 2 & 1:
        file.seek(4, 1)
    return most


def _byte(file: BinaryIO) -> int:
    return int.from_bytes(file.read(1), "little")
