from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from ivif_core.errors import InputError
from ivif_core.offline.bags.db3_file import Db3File, salvage_db3
from ivif_core.offline.bags.storage_file import qos
from ivif_core.offline.extract import extract
from test.core.recorded_bag import INFRARED, TOPICS, cut, frames, read_all, record

COUNT = 6


@pytest.fixture
def path(tmp_path):
    record(tmp_path / "bag", frames(COUNT), mcap=False)
    return tmp_path / "bag" / "bag.db3"


def change(path, *statements, writable=False):
    """Run statements on a file as an attacker would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        if writable:
            database.execute("PRAGMA writable_schema=ON")
        for statement in statements:
            database.execute(*statement) if isinstance(statement, tuple) else database.execute(statement)


def test_messages_are_those_that_the_librarys_reader_finds(path):
    file = Db3File(path)
    found: dict[str, list[tuple[int, bytes]]] = {}
    for connection, recorded, raw in file.messages(file.connections):
        found.setdefault(connection.topic, []).append((recorded, raw))
    file.close()
    assert found == read_all(path.parent)
    assert {c.topic: c.msgcount for c in file.connections} == {topic: len(rows) for topic, rows in found.items()}


@pytest.mark.parametrize("has_metadata", [True, False])
@pytest.mark.parametrize(
    "sql",
    [
        "VACUUM INTO '{}'",
        "ATTACH DATABASE '{}' AS p",
        "CREATE TABLE messages AS SELECT writefile('{}', 'x')",
        "CREATE TABLE p.owned AS SELECT 1",
        "DROP TABLE messages",
    ],
)
def test_sql_in_the_schema_never_runs(path, tmp_path, sql, has_metadata):
    evil = sql.format(tmp_path / "pwned")
    row = "INSERT INTO sqlite_master(rowid, type, name, tbl_name, rootpage, sql) VALUES (?, 'table', ?, ?, 0, ?)"
    change(path, (row, (-9, "messages", "messages", evil)), (row, (-8, "x", "x", evil)), writable=True)
    if not has_metadata:
        (path.parent / "metadata.yaml").unlink()
    before = path.read_bytes()
    with pytest.raises(InputError):
        extract(path.parent, tmp_path / "out", **TOPICS)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bag"]
    assert path.read_bytes() == before


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS id, 1 AS topic_id"
HOSTILE = {
    "messages are a view": (f"CREATE VIEW messages AS {ENDLESS}, x AS timestamp, x'00' AS data FROM c", "not a plain"),
    "messages are virtual": (
        "CREATE VIRTUAL TABLE messages USING fts5(id, topic_id, timestamp, data)",
        "plain",
    ),
    "data is computed": (
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data AS (zeroblob(1000000000)))",
        "computed columns",
    ),
    "a column is computed and stored": (
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data, x AS (hex(data)) STORED)",
        "computed columns",
    ),
    "no column of data": ("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp)", "lacks data"),
    "no rows by place": ("CREATE TABLE messages(id PRIMARY KEY, topic_id, timestamp, data) WITHOUT ROWID", "_rowid_"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_schema_that_would_run_is_refused(path, name):
    statement, said = HOSTILE[name]
    change(path, "DROP TABLE messages", statement)
    with pytest.raises(InputError, match=said):
        Db3File(path)


def test_topics_as_a_view_are_refused(path):
    change(path, "ALTER TABLE topics RENAME TO t", "CREATE VIEW topics AS SELECT * FROM t")
    with pytest.raises(InputError, match="topics is not a plain table"):
        Db3File(path)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM messages; END",
        "CREATE VIEW other AS SELECT randomblob(1000000000)",
        "CREATE INDEX i ON messages (abs(timestamp))",
        "CREATE VIRTUAL TABLE other USING rtree(id, a, b)",
    ],
)
def test_what_stands_beside_the_tables_is_never_touched(path, statement):
    change(path, statement)
    file = Db3File(path)
    assert len(list(file.messages(file.connections))) == COUNT * 6
    file.close()


def test_the_connection_reads_and_does_nothing_else(path):
    file = Db3File(path)
    for statement in (
        "DELETE FROM messages",
        "ATTACH ':memory:' AS x",
        "PRAGMA writable_schema=ON",
        "SELECT load_extension('x')",
        "SELECT randomblob(9)",
        "CREATE TEMP TABLE x(y)",
        "VACUUM",
    ):
        with pytest.raises(sqlite3.Error):
            file._database.execute(statement).fetchall()
    file.close()


def test_a_table_that_loops_ends(path):
    """Pages that name one page many times stand for more rows than a disk holds."""
    change(path, "DELETE FROM messages WHERE id > 1")
    size, rows = 4096, 255
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name='messages'").fetchone()
    leaf = len(data) // size + 1
    data += data[(root - 1) * size : root * size]  # the leaf with one row
    for child in range(leaf, leaf + 8):  # eight floors of pages whose entries all name the page below
        page = bytearray(size)
        page[0] = 5
        page[3:5] = rows.to_bytes(2, "big")
        page[5:7] = (size - 5 * rows).to_bytes(2, "big")
        page[8:12] = child.to_bytes(4, "big")
        for row in range(rows):
            place = size - 5 * (row + 1)
            page[12 + 2 * row : 14 + 2 * row] = place.to_bytes(2, "big")
            page[place : place + 5] = child.to_bytes(4, "big") + b"\x01"
        data += page
    data[(root - 1) * size : root * size] = data[-size:]
    data[28:32] = (len(data) // size).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(InputError, match="more rows than the file has room for"):
        Db3File(path)


def test_a_journal_beside_it_is_left_alone(path):
    """A hot journal would be rolled back into the file by whoever opens it for writing."""
    journal = path.with_name(path.name + "-journal")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN")
        database.execute("PRAGMA cache_size=1")
        database.execute("UPDATE messages SET timestamp = 0")
        hot, changed = journal.read_bytes() if journal.exists() else b"", path.read_bytes()
        database.execute("ROLLBACK")
    assert hot
    journal.write_bytes(hot)
    path.write_bytes(changed)
    file = Db3File(path)
    list(file.messages(file.connections))
    file.close()
    assert path.read_bytes() == changed and journal.read_bytes() == hot


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE messages SET timestamp = 'noon' WHERE id = 3",
        "UPDATE messages SET data = 'text' WHERE id = 3",
        "UPDATE messages SET data = 17 WHERE id = 3",
        "UPDATE messages SET topic_id = NULL WHERE id = 3",
    ],
)
def test_rows_of_other_types_are_left_out(path, statement):
    change(path, "CREATE TABLE m AS SELECT * FROM messages", "DROP TABLE messages", "ALTER TABLE m RENAME TO messages")
    change(path, statement)
    file = Db3File(path)
    assert len(list(file.messages(file.connections))) == COUNT * 6 - 1
    file.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE messages SET timestamp = 'noon' WHERE id IN (3, 4)",
        "UPDATE messages SET topic_id = 'x' WHERE id IN (3, 4)",
        "UPDATE messages SET topic_id = 99 WHERE id IN (3, 4)",
    ],
)
def test_messages_that_belong_nowhere_are_said_to_be_lost(path, tmp_path, statement):
    change(path, statement)
    (path.parent / "metadata.yaml").unlink()  # which counts them too
    found = extract(path, tmp_path / "pairs", infrared=TOPICS["infrared"], visible=TOPICS["visible"])
    assert "2 of its messages have no time or no topic" in found.broken and found.pairs


def test_what_a_killed_recorder_left_in_its_journal_is_said_to_be_lost(path, tmp_path):
    """Recorders that write ahead keep the last messages in a file of their own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_autocheckpoint=0")
        database.execute("INSERT INTO messages SELECT id + 1000, topic_id, timestamp, data FROM messages")
        killed = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")}
    for name, content in killed.items():
        path.with_name(name).write_bytes(content)
    found = extract(path, tmp_path / "pairs", infrared=TOPICS["infrared"], visible=TOPICS["visible"])
    assert f"{path.name}-wal" in found.broken and found.pairs == COUNT
    assert {name: path.with_name(name).read_bytes() for name in killed} == killed


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 20_000, "[x, " * 5000], ids=lambda text: text[:3])
def test_qos_that_nests_is_none_and_takes_no_time(text, monkeypatch):
    monkeypatch.setattr("rosbags.rosbag2.metadata.parse_qos", lambda text: pytest.fail("read by the library"))
    assert qos(text) == []


@pytest.mark.parametrize("column", ["name", "type", "serialization_format"])
def test_topics_of_other_types_are_an_error(path, column):
    change(path, f"UPDATE topics SET {column} = x'ff' WHERE id = 1")
    with pytest.raises(InputError, match="topics is damaged"):
        Db3File(path)
    change(path, f"UPDATE topics SET {column} = CAST(x'ff' AS TEXT) WHERE id = 1")
    with pytest.raises(InputError, match="UTF-8"):
        Db3File(path)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
def test_a_cut_file_is_salvaged_as_far_as_it_goes(path, tmp_path, share):
    whole = Db3File(path)
    before = [entry[1:] for entry in whole.messages(whole.connections)]
    whole.close()
    cut(path.parent, share)
    with pytest.raises(InputError):
        Db3File(path)
    (tmp_path / "copies").mkdir()
    file = salvage_db3(path, tmp_path / "copies")
    after = [entry[1:] for entry in file.messages(file.connections)]
    file.close()
    assert len(after) >= len(before) * share - 8 and set(after) <= set(before)
    assert {c.topic for c in file.connections} >= {INFRARED}


def test_noise_never_gets_through(path, tmp_path, rng):
    whole = path.read_bytes()
    for index in range(120):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole) if index % 2 else 8192, size=rng.choice([1, 4, 30])):
            damaged[place] = rng.choice([0, 255, rng.integers(256)])
        path.write_bytes(damaged[: rng.integers(len(whole) // 2, len(whole) + 1)])
        shutil.rmtree(tmp_path / "copies", ignore_errors=True)
        (tmp_path / "copies").mkdir()
        for make in (Db3File, lambda path: salvage_db3(path, tmp_path / "copies")):
            try:
                file = make(path)
            except InputError as error:
                assert "\n" not in str(error)
                continue
            assert len(list(file.messages(file.connections))) <= 2 * COUNT * 6
            file.close()


def test_messages_that_are_no_cdr_are_not_taken_for_it(path, tmp_path):
    change(path, "UPDATE topics SET serialization_format = 'json'")
    with pytest.raises(InputError, match="serialized as 'json'; expected 'cdr'"):
        extract(path, tmp_path / "pairs", **TOPICS)
    assert not (tmp_path / "pairs").exists()
