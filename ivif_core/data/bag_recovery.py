"""What can still be read of a bag that was cut short: a recorder was killed, a disk was full, a copy broke off.

MCAP: https://mcap.dev/spec; SQLite: https://www.sqlite.org/fileformat.html.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ivif_core.data.bag_images import STORAGE_SUFFIXES
from ivif_core.errors import InputError

_MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _CHUNK_INDEX = 0x02, 0x05, 0x06, 0x07, 0x08
_STATISTICS, _DATA_END = 0x0B, 0x0F
_LAST_OPCODE = 0x0F


def recover_files(path: Path, folder: Path) -> list[Path]:
    """Files of a broken bag that can be read: copies up to where each ends.

    Args:
        path: folder of a rosbag2 recording, or one of its files.
        folder: where the copies go; it must be there and empty.

    Returns:
        .mcap or .db3 files in the order of recording.

    Raises:
        InputError: there is no such file, or nothing of them can be read.
    """
    folder_of = path.parent if path.suffix in STORAGE_SUFFIXES else path
    files = sorted((file for file in folder_of.glob("*") if file.suffix in STORAGE_SUFFIXES), key=_number)
    if not files:
        raise InputError(f"{path} is no bag: no .mcap or .db3 file in it")
    recovered = []
    for file in files:
        target = folder / file.name
        if (_recover_mcap if file.suffix == ".mcap" else _recover_sqlite)(file, target):
            recovered.append(target)
    if not recovered:
        raise InputError(f"{path}: nothing of this bag can be read")
    return recovered


def _number(file: Path) -> tuple[str, int]:
    """Sorts name_10 behind name_9."""
    found = re.fullmatch(r"(.*?)_?(\d*)", file.stem, re.DOTALL)
    assert found is not None  # the pattern takes any text
    return found[1], int(found[2] or 0)


@dataclass
class _Chunk:
    """Where a chunk and its message indexes lie, as a chunk index record tells it."""

    start: int
    length: int
    header: bytes  # first and last time, uncompressed size, checksum
    compression: bytes
    compressed_size: int
    indexes: dict[int, int] = field(default_factory=dict)  # channel -> offset
    indexes_length: int = 0

    def record(self) -> bytes:
        first, last, size, _ = struct.unpack("<QQQI", self.header)
        offsets = b"".join(struct.pack("<HQ", *entry) for entry in self.indexes.items())
        content = struct.pack("<QQQQI", first, last, self.start, self.length, len(offsets)) + offsets
        content += struct.pack("<QI", self.indexes_length, len(self.compression)) + self.compression
        return _record(_CHUNK_INDEX, content + struct.pack("<QQ", self.compressed_size, size))


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _recover_mcap(source: Path, target: Path) -> bool:
    """Copy all whole records and write a new end behind them; False where there are none.

    Where the file breaks off, the whole messages of the last chunk are written as a chunk of their own. The summary
    holds chunk indexes, and statistics that are empty: readers then scan for channels.
    """
    size = source.stat().st_size
    with source.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return False
        chunks: list[_Chunk] = []
        end, is_whole, has_messages = len(_MAGIC), False, False
        for opcode, start, length in _records(file, size):
            if opcode in (_DATA_END, _FOOTER):
                is_whole = True
                break
            if opcode == _CHUNK:
                chunks.append(_Chunk(start, length, *_chunk_head(file)))
            elif opcode == _MESSAGE:
                has_messages = True
            elif opcode == _MESSAGE_INDEX and chunks:
                chunks[-1].indexes[struct.unpack("<H", file.read(2))[0]] = start
                chunks[-1].indexes_length += length
            end = start + length
        tail = b""
        if not is_whole:
            file.seek(end)
            if file.read(1) == bytes([_CHUNK]) and end + 9 + 40 <= size:
                start = end
            elif chunks:
                start = end = chunks.pop().start  # its indexes may be cut
            else:
                start = None
            if start is not None:
                file.seek(start + 9)
                _, compression, length = _chunk_head(file)
                tail = _whole_records(file.read(length), compression)
        if not (tail or chunks or has_messages):
            return False
        with target.open("wb") as copy:
            file.seek(0)
            _copy(file, copy, end)
            if tail:
                chunks.append(_write_chunk(copy, tail))
            copy.write(_record(_DATA_END, bytes(4)))
            summary_start = copy.tell()
            if chunks and all(chunk.indexes for chunk in chunks):
                copy.write(b"".join(chunk.record() for chunk in chunks) + _record(_STATISTICS, bytes(46)))
            else:
                summary_start = 0  # none: readers scan
            copy.write(_record(_FOOTER, struct.pack("<QQI", summary_start, 0, 0)) + _MAGIC)
    return True


def _chunk_head(file: BinaryIO) -> tuple[bytes, bytes, int]:
    """Header, compression and compressed size of the chunk at whose content the file stands."""
    header = file.read(28)
    compression = file.read(struct.unpack("<I", file.read(4))[0])
    return header, compression, struct.unpack("<Q", file.read(8))[0]


def _whole_records(data: bytes, compression: bytes) -> bytes:
    """What can be unpacked of the start of a chunk, up to its last whole record."""
    if compression:
        try:
            data = _decompressor(compression).decompress(data)
        except Exception:  # decompressors raise their own; what is behind damage cannot be had
            return b""
    end = 0
    while end + 9 <= len(data):
        length = 9 + struct.unpack_from("<Q", data, end + 1)[0]
        if end + length > len(data):
            break
        end += length
    return data[:end]


def _decompressor(compression: bytes) -> Any:
    """One that gives what it has of a stream that is cut."""
    if compression == b"lz4":
        import lz4.frame

        return lz4.frame.LZ4FrameDecompressor()
    if compression != b"zstd":
        raise ValueError(f"unknown compression {compression!r}")
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor()


def _write_chunk(file: BinaryIO, records: bytes) -> _Chunk:
    """Write records as an uncompressed chunk with its message indexes."""
    places: dict[int, list[tuple[int, int]]] = {}
    position = 0
    while position < len(records):
        opcode, length = struct.unpack_from("<BQ", records, position)
        if opcode == _MESSAGE:
            channel, _, logged = struct.unpack_from("<HIQ", records, position + 9)
            places.setdefault(channel, []).append((logged, position))
        position += 9 + length
    times = [logged for entries in places.values() for logged, _ in entries] or [0]
    header = struct.pack("<QQQI", min(times), max(times), len(records), 0)
    start = file.tell()
    file.write(_record(_CHUNK, header + struct.pack("<IQ", 0, len(records)) + records))
    chunk = _Chunk(start, file.tell() - start, header, b"", len(records))
    for channel, entries in places.items():
        chunk.indexes[channel] = file.tell()
        offsets = b"".join(struct.pack("<QQ", *entry) for entry in entries)
        file.write(_record(_MESSAGE_INDEX, struct.pack("<HI", channel, len(offsets)) + offsets))
    chunk.indexes_length = file.tell() - start - chunk.length
    return chunk


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """(opcode, offset, length with its head) of every whole record; the file stands at its content."""
    position = file.tell()
    while position + 9 <= size:
        file.seek(position)
        opcode, length = struct.unpack("<BQ", file.read(9))
        if not 0 < opcode <= _LAST_OPCODE or position + 9 + length > size:
            return
        yield opcode, position, 9 + length
        position += 9 + length


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    while length > 0:
        block = source.read(min(length, 1 << 20))
        if not block:
            return
        target.write(block)
        length -= len(block)


def _recover_sqlite(source: Path, target: Path) -> bool:
    """Copy rows in the order of writing until one cannot be read; False where there are none."""
    # SQLite refuses a file that is shorter than its head says, unless its schema may be written; this is a copy.
    shutil.copyfile(source, target)
    readable = target.with_suffix(".readable.db3")
    count = 0
    with closing(sqlite3.connect(target)) as old, closing(sqlite3.connect(readable)) as new:
        try:
            old.execute("PRAGMA writable_schema=ON")
            tables = old.execute("SELECT name, sql FROM sqlite_master WHERE type='table'").fetchall()
            for name, definition in tables:
                new.execute(definition)
                columns = len(old.execute(f'PRAGMA table_info("{name}")').fetchall())
                place = f'INSERT INTO "{name}" VALUES ({", ".join("?" * columns)})'
                if name != "messages":
                    new.executemany(place, old.execute(f'SELECT * FROM "{name}"'))
            for row in old.execute("SELECT * FROM messages ORDER BY id"):
                new.execute(f"INSERT INTO messages VALUES ({', '.join('?' * len(row))})", row)
                count += 1
        except sqlite3.DatabaseError:
            # Reading stops where the file ends; what came before it counts, if anything did.
            if count == 0:
                return False
        new.execute("CREATE INDEX IF NOT EXISTS timestamp_idx ON messages (timestamp ASC)")
        new.commit()
    readable.replace(target)
    return count > 0
