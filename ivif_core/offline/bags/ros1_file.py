"""ROS 1 bag files, with a bound on what their chunks unpack to."""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ivif_core.errors import InputError
from ivif_core.offline.bags.unpacking import MAXIMUM_UNPACKED, unpack

if TYPE_CHECKING:
    from rosbags.interfaces import Connection


class Ros1File:
    """A `StorageFile`."""

    is_ros2 = False

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: the file.

        Raises:
            InputError: it is damaged, or not indexed.
        """
        from rosbags.rosbag1 import Reader

        self._path = path
        self._reader = Reader(path)
        try:
            self._reader.open()
            bounded = _bounded_decompressors()
            chunks = self._reader.chunks
            chunks.update(
                {place: chunk._replace(decompressor=bounded[chunk.decompressor]) for place, chunk in chunks.items()}
            )
        except Exception as error:  # of a damaged file the library lets through whatever its parsers meet
            raise InputError(f"{path} is damaged, or no ROS 1 bag: {str(error) or type(error).__name__}") from error
        self.connections = list(self._reader.connections)

    def messages(self, connections: Sequence[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """See `StorageFile`."""
        messages = self._reader.messages(connections)
        while True:
            try:
                yield next(messages)
            except StopIteration:
                return
            except Exception as error:  # as when opening
                raise InputError(f"{self._path} is damaged: {str(error) or type(error).__name__}") from error

    def close(self) -> None:
        """See `StorageFile`."""
        self._reader.close()


def _bounded_decompressors() -> dict[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """The library's functions -> those that stop at a bound."""
    from rosbags.rosbag1.reader import decompressors

    own = {"none": bytes, "bz2": _unpack_bz2, "lz4": partial(unpack, compression="lz4")}
    return {function: own[name] for name, function in decompressors.items()}  # type: ignore[misc]


def _unpack_bz2(data: bytes) -> bytes:
    unpacker = bz2.BZ2Decompressor()
    content = unpacker.decompress(data, MAXIMUM_UNPACKED)
    if not unpacker.eof:
        raise InputError(f"bz2 data is cut short, or unpacks to more than {MAXIMUM_UNPACKED >> 20} MiB; refused")
    return content
