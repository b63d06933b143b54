"""MCAP files: whole ones by the library's reader once their sizes are checked, broken ones record by record.

https://mcap.dev/spec
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ivif_core.errors import InputError
from ivif_core.offline.bags.storage_file import definition, qos, unpacked
from ivif_core.offline.bags.unpacking import MAXIMUM_UNPACKED, most_unpacked, unpack

if TYPE_CHECKING:
    from rosbags.interfaces import Connection

_MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
_FIRST_PRIVATE = 0x80
_HEAD = 9
"""Bytes of a record's opcode and length."""
_MAXIMUM_HELD = 1 << 30
"""Most bytes of chunks that overlap in time, which a reader holds at once; beside what the file itself has."""
_MAXIMUM_DEFINITION = 1 << 20


@dataclass(frozen=True)
class _Chunk:
    """Attributes: where its packed data starts, how much that is, how it is packed, and its size by its own word."""

    data: int
    packed: int
    compression: str
    size: int


class McapFile:
    """A `StorageFile` of a whole file; messages come in order of time."""

    is_ros2 = True

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: the file.

        Raises:
            InputError: it is damaged, or a chunk of it would unpack to more than a recording's.
        """
        from rosbags.rosbag2 import Reader, storage_mcap

        # The library's own takes minutes for brackets in brackets.
        storage_mcap.parse_qos = qos  # type: ignore[attr-defined, assignment]
        held = _check_chunks(path)  # before the library's reader, which unpacks without a bound, sees them
        self._reader = Reader(path)
        try:
            self._reader.open()
        except Exception as error:  # of a damaged file the library lets through whatever its parsers meet
            raise InputError(f"{path}: {_named(error)}") from error
        try:
            self._check_index(path, held)
        except BaseException:
            self.close()
            raise
        self._path = path
        self.connections = list(self._reader.connections)

    def messages(self, connections: Sequence[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """See `StorageFile`."""
        messages = self._reader.messages(connections)
        last = -1
        while True:
            try:
                connection, last, raw = next(messages)
            except StopIteration:
                return
            except Exception as error:  # as when opening
                yield from self._behind(last, connections)
                raise InputError(f"{self._path}: {_named(error)}") from error
            yield connection, last, unpacked(raw)

    def _behind(self, last: int, connections: Sequence[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """What damage left of the messages after a time."""
        wanted = {connection.id: connection for connection in connections}
        with suppress(InputError):
            rest = SalvagedMcap(self._path)
            for connection, recorded, raw in rest.messages(rest.connections):
                if recorded > last and connection.id in wanted:
                    yield wanted[connection.id], recorded, raw

    def close(self) -> None:
        """See `StorageFile`."""
        self._reader.close()

    def _check_index(self, path: Path, held: dict[int, tuple[_Chunk, int]]) -> None:
        """The index must name the chunks that were checked, each once, and not too many for one moment."""
        steps: list[tuple[int, int]] = []
        seen = set()
        for entry in self._reader.storage.chunks:  # type: ignore[attr-defined]
            chunk, most = held.get(entry.chunk_start_offset, (None, 0))
            said = (entry.compressed_size, entry.compression, entry.uncompressed_size)
            if chunk is None or said != (chunk.packed, chunk.compression, chunk.size):
                raise InputError(f"{path}: its index does not fit its chunks")
            if entry.chunk_start_offset in seen:
                raise InputError(f"{path}: its index names a chunk twice")
            seen.add(entry.chunk_start_offset)
            if entry.message_start_time <= entry.message_end_time:
                steps += [(entry.message_start_time, -most), (entry.message_end_time + 1, most)]
        size = 0
        for _, step in sorted(steps):
            size -= step
            if size > _MAXIMUM_HELD + path.stat().st_size:
                raise InputError(f"{path}: chunks of one time unpack to more than {_MAXIMUM_HELD >> 20} MiB; refused")


class SalvagedMcap:
    """A `StorageFile` of what can be read of a broken file: all whole records up to where its records break off.

    Of a chunk that is cut or damaged, the records before the damage count; a bad checksum alone costs nothing.
    Messages come as they lie in the file.

    Attributes:
        runs_backwards: most messages of a topic are older than the one before.
    """

    is_ros2 = True

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: the file.

        Raises:
            InputError: it is not an MCAP file, or not one message of it can be read.
        """
        self._path = path
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._found: dict[int, Connection] = {}
        self._counts: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._steps_back = 0
        for _ in self._read({}):
            pass
        self.runs_backwards = 2 * self._steps_back > sum(self._counts.values()) - len(self._counts) > 0
        self.connections = [
            connection._replace(msgcount=self._counts.get(channel, 0)) for channel, connection in self._found.items()
        ]
        if not self._counts:
            raise InputError(f"{path}: not one message of it can be read")

    def messages(self, connections: Sequence[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """See `StorageFile`."""
        for connection, recorded, raw in self._read({connection.id: connection for connection in connections}):
            yield connection, recorded, unpacked(raw)

    def close(self) -> None:
        """See `StorageFile`."""

    def _read(self, wanted: dict[int, Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        self._counts = {}
        for opcode, content in _salvaged(self._path):
            if opcode == _MESSAGE:
                channel, _, recorded = struct.unpack_from("<HIQ", content)
                if channel in self._found:
                    self._counts[channel] = self._counts.get(channel, 0) + 1
                    self._steps_back += recorded < self._last.get(channel, 0)
                    self._last[channel] = recorded
                if channel in wanted:
                    yield wanted[channel], recorded, bytes(content[22:])
            elif opcode == _SCHEMA:
                number, place = struct.unpack_from("<H", content)[0], 2
                name, place = _text(content, place)
                encoding, place = _text(content, place)
                self._schemas.setdefault(number, (name, encoding, _text(content, place)[0]))
            elif opcode == _CHANNEL:
                self._add_channel(content)

    def _add_channel(self, content: memoryview) -> None:
        from rosbags.interfaces import Connection, ConnectionExtRosbag2

        channel, schema = struct.unpack_from("<HH", content)
        topic, place = _text(content, 4)
        form, place = _text(content, place)
        name, encoding, text = self._schemas.get(schema, ("", "", ""))
        if channel in self._found or not name or not topic:
            return
        more = ConnectionExtRosbag2(form, qos(_metadata(content[place:]).get("offered_qos_profiles", "")))
        self._found[channel] = Connection(channel, topic, name, definition(encoding, text), "", 0, more, self)


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """(opcode, where its content starts, length of that) of every record; the last one may end behind the file."""
    position = len(_MAGIC)
    while position + _HEAD <= size:
        file.seek(position)
        opcode, length = struct.unpack("<BQ", file.read(_HEAD))
        if opcode == 0 or _DATA_END < opcode < _FIRST_PRIVATE:
            return
        yield opcode, position + _HEAD, length
        position += _HEAD + length


def _chunk(file: BinaryIO, start: int, length: int, *, mend: bool = False) -> _Chunk:
    """The chunk whose content starts at `start`.

    Args:
        mend: where the length of the compression's name is damaged, take the one that fits the length of the record.

    Raises:
        InputError: its head contradicts the length of the record.
    """
    file.seek(start)
    head = file.read(48)
    if len(head) == 48 and length >= 40:
        size, said = struct.unpack_from("<Q", head, 16)[0], struct.unpack_from("<I", head, 28)[0]
        for name in (said, 0, len("lz4"), len("zstd")) if mend else (said,):
            packed = struct.unpack_from("<Q", head, 32 + name)[0] if name <= 8 else length
            if packed == length - 40 - name or (name == said and packed <= length - 40 - name):
                return _Chunk(start + 40 + name, packed, head[32 : 32 + name].decode("ascii", "replace"), size)
    raise InputError(f"the chunk at byte {start - _HEAD} has a damaged head")


def _check_chunks(path: Path) -> dict[int, tuple[_Chunk, int]]:
    """Where each chunk's record starts -> the chunk, and a bound on what it unpacks to.

    Raises:
        InputError: a chunk is damaged, or unpacks to too much.
    """
    size, checked = path.stat().st_size, {}
    with path.open("rb") as file:
        for opcode, start, length in _records(file, size):
            if start + length > size:
                raise InputError(f"{path} is cut short")
            if opcode != _CHUNK:
                continue
            try:
                chunk = _chunk(file, start, length)
                file.seek(chunk.data)
                most = most_unpacked(file, chunk.packed, chunk.compression)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            if chunk.compression and max(most, chunk.size) > MAXIMUM_UNPACKED:
                raise InputError(
                    f"{path}: the chunk at byte {start - _HEAD} unpacks to {max(most, chunk.size) >> 20} MiB; "
                    f"expected at most {MAXIMUM_UNPACKED >> 20} MiB"
                )
            checked[start - _HEAD] = (chunk, most)
    return checked


def _salvaged(path: Path) -> Iterator[tuple[int, memoryview]]:
    """(opcode, content) of schemas, channels and messages, those in chunks too."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise InputError(f"{path} is not an MCAP file")
        for opcode, start, length in _records(file, size):
            if opcode in (_DATA_END, _FOOTER):
                return
            if opcode == _CHUNK:
                yield from _of_chunk(file, start, length, size)
            elif opcode in (_SCHEMA, _CHANNEL, _MESSAGE) and start + length <= size:
                file.seek(start)
                yield from _checked(opcode, memoryview(file.read(length)))


def _of_chunk(file: BinaryIO, start: int, length: int, end: int) -> Iterator[tuple[int, memoryview]]:
    try:
        chunk = _chunk(file, start, length, mend=True)
        file.seek(chunk.data)
        packed = file.read(max(0, min(chunk.packed, end - chunk.data)))
        records = memoryview(unpack(packed, chunk.compression, is_cut=True))
    except (InputError, MemoryError):
        return  # nothing of this chunk can be had; the next one stands by itself
    place = 0
    while place + _HEAD <= len(records):
        opcode, size = struct.unpack_from("<BQ", records, place)
        place += _HEAD
        if place + size > len(records):
            return
        yield from _checked(opcode, records[place : place + size])
        place += size


def _checked(opcode: int, content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The record, if it is long enough to be one of those that are read."""
    if len(content) >= {_SCHEMA: 2, _CHANNEL: 4, _MESSAGE: 22}.get(opcode, len(content) + 1):
        yield opcode, content


def _text(content: memoryview, place: int) -> tuple[str, int]:
    """A text with its length before it, and where it ends; empty where it is cut or no UTF-8."""
    if place + 4 > len(content):
        return "", len(content)
    end = place + 4 + struct.unpack_from("<I", content, place)[0]
    if end > len(content) or end - place > _MAXIMUM_DEFINITION:
        return "", len(content)
    try:
        return str(content[place + 4 : end], "utf-8"), end
    except UnicodeDecodeError:
        return "", end


def _metadata(content: memoryview) -> dict[str, str]:
    """The map behind a channel's encoding."""
    found: dict[str, str] = {}
    place, end = 4, len(content)
    while place < end:
        key, place = _text(content, place)
        found[key], place = _text(content, place)
    return found


def _named(error: Exception) -> str:
    said = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
