"""A new bag: fused images, and messages of other bags bit by bit."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rosbags.interfaces import Connection

_IMAGE = "sensor_msgs/msg/Image"
_NO_HASH = "RIHS01_" + "0" * 64
"""Of a definition that is damaged."""


def recording_files(bag: Path) -> list[Path]:
    """A bag as given, and the folder of the recording that a file of it belongs to: no output may lie in either."""
    return [bag, bag.parent] if bag.is_file() and (bag.parent / "metadata.yaml").is_file() else [bag]


class BagWriter:
    """Writes a rosbag2 folder (version 9: Jazzy and newer); a context manager."""

    def __init__(self, path: Path, *, is_mcap: bool, fused_topic: str) -> None:
        """
        Args:
            path: folder that is not there yet.
            is_mcap: MCAP, else SQLite.
        """
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.typesys import Stores, get_typestore

        plugin = StoragePlugin.MCAP if is_mcap else StoragePlugin.SQLITE3
        self._writer = Writer(path, version=9, storage_plugin=plugin)
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._fused_topic = fused_topic
        self._fused: Connection | None = None
        self._kept: dict[tuple[str, str, str], Connection] = {}

    def __enter__(self) -> BagWriter:
        self._writer.open()
        self._fused = self._writer.add_connection(self._fused_topic, _IMAGE, typestore=self._store)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, traceback)

    def write(self, connection: Connection, recorded: int, raw: bytes) -> None:
        """One message of another bag, as it is."""
        key = (connection.topic, connection.msgtype, repr(connection.ext))
        if key not in self._kept:
            self._kept[key] = self._copy_connection(connection)
        self._writer.write(self._kept[key], recorded, raw)

    def write_fused(self, pixels: np.ndarray, header: Any, recorded: int) -> None:
        """One fused image.

        Args:
            pixels: uint8 H×W×3 BGR, or H×W.
            header: whose stamp and frame it takes.
            recorded: ns.
        """
        types = self._store.types
        stamp = types["builtin_interfaces/msg/Time"](header.stamp.sec, header.stamp.nanosec)
        message = types[_IMAGE](
            header=types["std_msgs/msg/Header"](stamp, header.frame_id),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding="bgr8" if pixels.ndim == 3 else "mono8",
            is_bigendian=0,
            step=pixels.strides[0],
            data=np.ascontiguousarray(pixels).reshape(-1),
        )
        assert self._fused is not None  # the context was entered
        self._writer.write(self._fused, recorded, self._store.serialize_cdr(message, _IMAGE))

    def _copy_connection(self, connection: Connection) -> Connection:
        definition, digest = connection.msgdef.data, connection.digest
        if not definition:  # bags of Humble and older
            known = connection.msgtype in self._store.fielddefs
            definition = self._store.generate_msgdef(connection.msgtype, ros_version=2)[0] if known else ""
            digest = ""
        return self._writer.add_connection(
            connection.topic,
            connection.msgtype,
            msgdef=definition,
            rihs01=digest or _hash(connection.msgtype, definition),
            serialization_format=connection.ext.serialization_format,  # type: ignore[union-attr]
            offered_qos_profiles=connection.ext.offered_qos_profiles,  # type: ignore[union-attr]
        )


def _hash(msgtype: str, definition: str) -> str:
    """Type hash (REP 2016) from a definition; MCAP files carry definitions and no hashes.

    The definition is only parsed: `Typestore.register` would make Python code of it.
    """
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    rule = "=" * 80 + "\n"
    try:
        if definition.startswith(f"{rule}IDL: "):
            for part in definition.split(rule)[1:]:
                store.fielddefs.update(get_types_from_idl(part.partition("\n")[2]))
        else:
            store.fielddefs.update(get_types_from_msg(definition, msgtype))
        return store.hash_rihs01(msgtype)
    except Exception:  # whatever a parser meets in a text that is no definition
        return _NO_HASH
