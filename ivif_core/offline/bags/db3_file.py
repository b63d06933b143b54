"""rosbag2's SQLite files (.db3), read as data that nobody vouches for.

A database file carries its schema as SQL: views, virtual tables and generated columns of a hostile one would run while
it is read. So only plain tables with rosbag2's names are read, on a read-only connection that allows SELECT on them and
nothing else, and no text of the file becomes part of a statement. Journals beside the file are left alone.
https://www.sqlite.org/security.html, https://www.sqlite.org/fileformat.html
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivif_core.errors import InputError
from ivif_core.offline.bags.storage_file import definition, qos, unpacked
from ivif_core.offline.bags.unpacking import MAXIMUM_UNPACKED

if TYPE_CHECKING:
    from rosbags.interfaces import Connection

_TABLES = {
    "topics": ("id", "name", "type", "serialization_format"),
    "messages": ("id", "topic_id", "timestamp", "data"),
    "message_definitions": ("topic_type", "encoding", "encoded_message_definition"),
}
_OPTIONAL = ("offered_qos_profiles", "type_description_hash")
_REQUIRED = ("topics", "messages")
_JOURNALS = {"-wal": b"\x37\x7f\x06", "-journal": b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"}
"""Files beside it that hold messages, or what undoes half of a change, and how they begin."""
_STEPS_AT_ONCE = 10_000
_STEPS = 1_000_000
_STEPS_A_BYTE = 16
"""A row takes about 25 steps of SQLite's machine; a statement that does not end takes more than any file's rows."""
_ROW = 8
"""Bytes that a row takes at least."""
_MAXIMUM_TOPICS = 100_000


class Db3File:
    """A `StorageFile`; rows are read by their place in the table, whatever its indexes say.

    Attributes:
        lost: what of the recording is not read, though the file is whole; empty: nothing.
    """

    is_ros2 = True

    def __init__(self, path: Path, *, as_far_as_it_goes: bool = False) -> None:
        """
        Args:
            path: the file.
            as_far_as_it_goes: where the table of messages breaks off, what came before counts.

        Raises:
            InputError: it is no such database, it is damaged, or its schema is none that rosbag2 writes.
        """
        pages, page, _ = _pages(path)
        if pages * page != path.stat().st_size:
            raise InputError(f"{path} is cut short")  # SQLite takes zeros for what is missing of its last page
        self._path = path
        self._steps = self._strays = 0
        self._most_steps = _STEPS + _STEPS_A_BYTE * path.stat().st_size
        try:
            address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            # Read by one thread at a time, which need not be the one that opens.
            self._database = sqlite3.connect(address, uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be opened: {error}") from error
        try:
            self._guard()
            columns = self._check_schema()
            self._rows = self._read_rows(as_far_as_it_goes)
            self.connections = self._read_topics(columns)
            self.lost = self._find_lost()
        except (sqlite3.Error, ValueError, OverflowError) as error:  # a text may be no UTF-8
            self._database.close()
            raise error if isinstance(error, InputError) else InputError(f"{path}: {_one_line(error)}") from error
        except BaseException:
            self._database.close()
            raise

    def messages(self, connections: Sequence[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """See `StorageFile`. Rows that cannot be read, or hold something else, are left out."""
        self._steps = 0
        wanted = {connection.id: connection for connection in connections}
        for recorded, row, topic in self._rows:
            if topic not in wanted:
                continue
            try:
                found = self._database.execute("SELECT data FROM messages WHERE _rowid_ = ?", (row,)).fetchone()
            except (sqlite3.Error, ValueError, OverflowError, MemoryError):
                self._check_steps()
                continue
            if found and isinstance(found[0], bytes):
                yield wanted[topic], recorded, unpacked(found[0])

    def close(self) -> None:
        """See `StorageFile`."""
        self._database.close()

    def _guard(self) -> None:
        database = self._database
        database.execute("PRAGMA trusted_schema=OFF")
        database.execute("PRAGMA cell_size_check=ON")
        database.set_authorizer(_allow)
        database.set_progress_handler(self._count_steps, _STEPS_AT_ONCE)
        if hasattr(database, "setlimit"):  # Python 3.11
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAXIMUM_UNPACKED)  # type: ignore[attr-defined]
            database.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)  # type: ignore[attr-defined]
            database.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, 100)  # type: ignore[attr-defined]

    def _count_steps(self) -> bool:
        self._steps += _STEPS_AT_ONCE
        return self._steps > self._most_steps

    def _check_steps(self) -> None:
        if self._steps > self._most_steps:
            raise InputError(f"{self._path}: its tables hold more rows than the file has room for")

    def _check_schema(self) -> dict[str, list[str]]:
        """Table -> columns, where all of them are plain."""
        kinds: dict[str, list[tuple[Any, ...]]] = {}
        for name, kind, root, text in self._database.execute("SELECT name, type, rootpage, sql FROM sqlite_master"):
            if isinstance(name, str) and name.lower() in _TABLES:
                kinds.setdefault(name.lower(), []).append((kind, root, text))
        columns: dict[str, list[str]] = {}
        for table, expected in _TABLES.items():
            found = kinds.get(table, [])
            if not found and table not in _REQUIRED:
                continue
            if not found:
                raise InputError(f"{self._path}: no table {table}; expected a bag of rosbag2")
            kind, root, text = found[0]
            is_plain = kind == "table" and isinstance(root, int) and root > 0 and isinstance(text, str)
            if len(found) > 1 or not is_plain or text.split()[:2] != ["CREATE", "TABLE"]:
                raise InputError(f"{self._path}: {table} is not a plain table; refused")
            # The name is one of ours: a pragma takes no parameter, and its table form is what the authorizer refuses.
            # (place, name, type, not null, default, key, hidden); generated and virtual columns are hidden ones
            about = self._database.execute(f"PRAGMA table_xinfo({table})").fetchall()
            if any(column[6] for column in about):
                raise InputError(f"{self._path}: {table} has computed columns; refused")
            columns[table] = [column[1] for column in about]
            missing = set(expected) - set(columns[table])
            if missing:
                raise InputError(f"{self._path}: table {table} lacks {', '.join(sorted(missing))}")
        return columns

    def _read_rows(self, as_far_as_it_goes: bool) -> list[tuple[int, int, int]]:
        """(time of recording, place, topic) of all messages, in order of time."""
        rows: list[tuple[int, int, int]] = []
        most = self._path.stat().st_size // _ROW
        try:
            for row in self._database.execute("SELECT timestamp, _rowid_, topic_id FROM messages NOT INDEXED"):
                if all(isinstance(value, int) for value in row):
                    rows.append(row)
                else:
                    self._strays += 1
                if len(rows) > most:  # pages that are named many times
                    raise InputError(f"{self._path}: its tables hold more rows than the file has room for")
        except sqlite3.Error:
            self._check_steps()
            if not as_far_as_it_goes:
                raise
        return sorted(rows)

    def _find_lost(self) -> str:
        known = {connection.id for connection in self.connections}
        if strays := self._strays + sum(topic not in known for *_, topic in self._rows):
            return f"{self._path}: {strays} of its messages have no time or no topic"
        for suffix, begins in _JOURNALS.items():
            journal = self._path.with_name(self._path.name + suffix)
            if journal.is_file() and journal.open("rb").read(len(begins)) == begins:
                return (
                    f"{self._path}: its recorder was killed, and what {journal.name} holds is not read "
                    f"(`sqlite3 {self._path.name} vacuum` takes it in)"
                )
        return ""

    def _read_topics(self, columns: dict[str, list[str]]) -> list[Connection]:
        from rosbags.interfaces import Connection, ConnectionExtRosbag2

        counts = Counter(topic for *_, topic in self._rows)
        optional = [column if column in columns["topics"] else "''" for column in _OPTIONAL]
        definitions = self._read_definitions() if "message_definitions" in columns else {}
        select = f"SELECT id, name, type, serialization_format, {', '.join(optional)} FROM topics NOT INDEXED LIMIT ?"
        connections = []
        for place, *texts in self._database.execute(select, (_MAXIMUM_TOPICS,)):
            if not isinstance(place, int) or not all(isinstance(text, str) for text in texts):
                raise InputError(f"{self._path}: the table of topics is damaged")
            name, msgtype, form, profiles, digest = texts
            known = definitions.get(msgtype, definition("", ""))
            more = ConnectionExtRosbag2(form, qos(profiles))
            connections.append(Connection(place, name, msgtype, known, digest, counts[place], more, self))
        return connections

    def _read_definitions(self) -> dict[str, Any]:
        select = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions NOT INDEXED LIMIT ?"
        rows = self._database.execute(select, (_MAXIMUM_TOPICS,)).fetchall()
        return {row[0]: definition(row[1], row[2]) for row in rows if all(isinstance(text, str) for text in row)}


def salvage_db3(path: Path, folder: Path) -> Db3File:
    """A file that was cut short or damaged, as far as it goes.

    Args:
        path: the file.
        folder: a copy goes there where the file is shorter than its head says, since SQLite refuses that.

    Raises:
        InputError: nothing of it can be read.
    """
    pages, page, head = _pages(path)
    said = int.from_bytes(head[28:32], "big")
    if pages >= said and pages * page == path.stat().st_size:
        return Db3File(path, as_far_as_it_goes=True)
    copy = folder / path.name
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        file.truncate(pages * page)
        file.seek(28)
        file.write(pages.to_bytes(4, "big"))
        file.seek(92)
        file.write(head[24:28])  # says that the number of pages is up to date
    return Db3File(copy, as_far_as_it_goes=True)


def _pages(path: Path) -> tuple[int, int, bytes]:
    """Number of whole pages, size of a page, and the file's head.

    Raises:
        InputError: it is not an SQLite file, or has no whole page.
    """
    with path.open("rb") as file:
        head = file.read(100)
    page = int.from_bytes(head[16:18], "big")
    page = 65536 if page == 1 else page
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0") or page < 512:
        raise InputError(f"{path} is not an SQLite file")
    if path.stat().st_size < page:
        raise InputError(f"{path} is cut short")
    return path.stat().st_size // page, page, head


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _allow(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Reading of the known tables; the name of a table comes first, for a PRAGMA second."""
    if action == sqlite3.SQLITE_SELECT:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ and (first or "").lower() in (*_TABLES, "sqlite_master", "sqlite_schema"):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first == "table_xinfo" and second in _TABLES:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
