"""Recordings: damaged bytes, damaged metadata, and databases whose tables hold what no recorder writes."""

from __future__ import annotations

import random
import re
import sqlite3
import tempfile
from pathlib import Path

import cv2

from test.fuzz import command
from test.fuzz.damage import damage
from test.fuzz.mill import Case, Mill, Verdict
from test.fuzz.pictures import PAIRS, TOPIC_OPTIONS, fused_in, ros1_bag, ros2_bag

KINDS = ("mcap", "db3", "zstd", "ros1")
OUTPUT = "out"
METADATA = "metadata.yaml"
STATEMENTS = (
    "UPDATE messages SET timestamp = 'soon'",
    "UPDATE messages SET timestamp = -1 WHERE id % 2",
    "UPDATE messages SET timestamp = 9223372036854775807",
    "UPDATE messages SET data = 3.5 WHERE id % 3 = 0",
    "UPDATE messages SET data = 'text'",
    "UPDATE messages SET data = zeroblob(3)",
    "UPDATE messages SET topic_id = 77 WHERE id % 2",
    "UPDATE messages SET topic_id = 'one'",
    "UPDATE topics SET type = 'std_msgs/msg/String'",
    "UPDATE topics SET name = name || char(10)",
    "UPDATE topics SET name = x'ff00'",
    "UPDATE topics SET serialization_format = 'json'",
    "DELETE FROM topics WHERE id % 2",
    "DELETE FROM messages",
    "DROP TABLE topics",
    "ALTER TABLE messages RENAME COLUMN data TO payload",
    "CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM topics; END",
    "ALTER TABLE messages RENAME TO m; CREATE VIEW messages AS SELECT * FROM m, m AS n, m AS o",
    "CREATE TABLE victim (a); INSERT INTO messages SELECT id + 1000000, topic_id, timestamp, data FROM messages",
)
"""SQL that makes a valid database of wrong content."""


class Bags(Mill):
    name = "bags"

    def open(self, scratch: Path) -> None:
        self._bags = {kind: ros2_bag(scratch, kind) for kind in KINDS[:3]} | {"ros1": ros1_bag(scratch)}
        bag, out = str(scratch / "mcap"), ["preload", "preload2"]
        extract = ["extract", "-o", out[1], *TOPIC_OPTIONS]
        command.preload([["bag", bag, out[0], *TOPIC_OPTIONS], [*extract, bag]], scratch)
        command.preload([[*extract[:2], "preload3", *TOPIC_OPTIONS, str(scratch / "drive.bag")]], scratch)
        self._turn = 0

    def make(self, random: random.Random) -> Case:
        kind = KINDS[random.randrange(len(KINDS))]
        files = dict(self._bags[kind])
        name = next(name for name in files if name != METADATA)
        sort = "SQL"
        if kind == "db3" and random.random() < 0.2:
            files[name] = with_statement(files[name], random.choice(STATEMENTS))
        elif kind != "ros1" and random.random() < 0.1:
            sort, files[METADATA] = damage(files[METADATA], random)
        else:
            sort, files[name] = damage(files[name], random, head=random.choice((200, 2000)))
            if kind != "ros1" and random.random() < 0.2:
                files[name] = damage(files[name][::-1], random)[1][::-1]  # its end too, where the index is
        named = "drive"
        if kind == "ros1" or random.random() < 0.3:
            named = f"drive/{name}"
            if random.random() < 0.5:
                files.pop(METADATA, None)
        if kind == "ros1" or random.random() < 0.4:
            arguments = ["extract", named, "-o", OUTPUT, *TOPIC_OPTIONS]
        else:
            arguments = ["bag", named, OUTPUT, *TOPIC_OPTIONS, *random.choice(([], ["--keep-all"]))]
        return Case(
            kind, {f"drive/{name}": data for name, data in files.items()}, {"arguments": arguments, "sort": sort}
        )

    def judge(self, case: Case, folder: Path) -> Verdict:
        arguments = case.options["arguments"]
        ended = command.run(arguments, folder)
        verdict = command.judge(case, folder, ended, [OUTPUT])
        faults = list(verdict.faults)
        if verdict.taken:
            has = fused_in(folder / OUTPUT) if arguments[0] == "bag" else extracted_in(folder / OUTPUT)
            said = re.search(r"(\d+) pairs", ended.said)
            if isinstance(has, str):
                faults.append(has)
            elif said is None or int(said[1]) != has:
                faults.append(f"the output holds {has} pairs, and that was not said")
            elif has < PAIRS and ended.code == 0 and not re.search(r"unmatched|jump|broken|;", ended.said):
                faults.append(f"{has} of {PAIRS} pairs, and exit code 0 without a word")
        return Verdict(verdict.taken, faults, verdict.said)


def with_statement(database: bytes, statement: str) -> bytes:
    with tempfile.NamedTemporaryFile(suffix=".db3") as file:
        file.write(database)
        file.flush()
        connection = sqlite3.connect(file.name)
        connection.executescript(f"PRAGMA ignore_check_constraints = ON; {statement}")
        connection.commit()
        connection.close()
        return Path(file.name).read_bytes()


def extracted_in(folder: Path) -> int | str:
    """How many pairs a folder holds, or which image is cut."""
    stems = []
    for side in ("infrared", "visible"):
        files = sorted((folder / side).glob("*.png"))
        stems.append([file.stem for file in files])
        for file in files:
            if cv2.imread(str(file), cv2.IMREAD_UNCHANGED) is None:
                return f"cut image: {file.name}"
    return len(stems[0]) if stems[0] == stems[1] else "images without a partner"


def make_mill() -> Mill:
    return Bags()
