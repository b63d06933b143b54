"""Each mill for a few cases, through the program of the long runs; and that they see the faults they are for."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from test.fuzz import command
from test.fuzz.__main__ import MILLS
from test.fuzz.campaign import Counts, kept, replay, run_mill
from test.fuzz.damage import SORTS_BY_NAME, damage
from test.fuzz.mill import Case, Mill, Verdict

CASES = {
    ("messages", "live_parameters"): 2,
    ("bags", "models", "full_disks"): 5,
    ("images", "texts"): 10,
    ("kills", "races"): 2,
}
"""Mills that share a process -> cases of each. Recipes are for long runs alone: loading torch takes as long as all."""
NEEDS = {"messages": "rclpy", "live_parameters": "rclpy", "models": "onnx"}


@pytest.mark.parametrize("names", CASES, ids=" ".join)
def test_mills(names, tmp_path):
    here = [name for name in names if name not in NEEDS or importlib.util.find_spec(NEEDS[name])]
    if not here:
        pytest.skip(f"{NEEDS[names[0]]} is not installed")
    call = [sys.executable, "-B", "-m", "test.fuzz", "--cases", str(CASES[names]), "--minutes", "10"]
    call += [word for name in here for word in ("--only", name)]
    root = Path(__file__).parents[2]
    run = subprocess.run([*call, "--faults", tmp_path], cwd=root, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stdout + run.stderr
    for name in here:
        assert re.search(rf"^{name} .*tried +[1-9]\d* .*faults 0$", run.stdout, re.MULTILINE), run.stdout


class Bad(Mill):
    name = "bad"

    def make(self, random):
        return Case("kind", {"in/a.txt": random.randbytes(3)}, {"answer": 42})

    def judge(self, case, folder):
        wrong = case.files["in/a.txt"] == (folder / "in/a.txt").read_bytes() and case.options["answer"] == 42
        return Verdict(False, ["it is bad"] if wrong else [], "said")


def test_every_mill_has_its_turn():
    assert {name for names in CASES for name in names} == set(MILLS) - {"recipes"}


def test_a_faulty_input_is_counted_kept_and_tried_again(tmp_path):
    counts, told = Counts(), []
    run_mill(Bad(), 3, tmp_path, counts, most=7, tell=told.append)
    assert counts.tried["kind"] == 7 and sum(counts.faults.values()) == 7
    assert len(told) == 5 and "faults 7" in counts.lines("bad")[0]
    file = Path(told[0].rsplit(": ", 1)[1])
    name, case = kept(file)
    assert name == "bad" and json.loads(file.read_text())["said"] == "said"
    assert case == Bad().make(random.Random("bad 3 0"))
    assert replay(Bad(), case).faults == ["it is bad"]


@pytest.mark.parametrize("sort", SORTS_BY_NAME)
def test_damage_takes_every_length(sort):
    for length in (0, 1, 2, 3, 40):
        for seed in range(50):
            data = bytearray(range(length))
            SORTS_BY_NAME[sort](data, random.Random(seed), 200)
            assert isinstance(bytes(data), bytes)


def test_damage_is_the_same_for_a_seed():
    assert damage(bytes(100), random.Random(1)) == damage(bytes(100), random.Random(1))


ENDS = [
    (command.Ended(0, "", "done", 1), []),
    (command.Ended(2, "ivif fuse: no\n", "", 1), []),
    (command.Ended(2, "ivif fuse: no\nand more\n", "", 1), ["2 lines for a refusal"]),
    (command.Ended(2, "", "", 1), ["0 lines for a refusal"]),
    (command.Ended(1, "", "", 1), ["exit code 1 without a word"]),
    (command.Ended(-11, "", "", 1), ["exit code -11"]),
    (command.Ended(None, "", "", 90), ["hung for 90 s"]),
    (command.Ended(2, "libpng error: x\nivif fuse: no\n", "", 1), ["a library printed lines of its own"]),
    (command.Ended(0, "", "done", 1, lasting=True), ["its processes live on"]),
]


@pytest.mark.parametrize(("ended", "faults"), ENDS)
def test_verdict_of_a_run(tmp_path, ended, faults):
    folder, case = tmp_path / "case", Case("", {"a.png": b"1"})
    (tmp_path / "case.tmp").mkdir()
    case.write(folder)
    assert command.judge(case, folder, ended, ["out.png"]).faults == faults


def test_verdict_sees_what_a_run_leaves_and_changes(tmp_path):
    folder, case = tmp_path / "case", Case("", {"a.png": b"1", "drive/b": b"2"})
    (tmp_path / "case.tmp").mkdir()
    case.write(folder)
    for name, content in (("a.png", b"3"), ("drive/c", b""), (".ivif-1-2.part", b""), ("out.png", b"")):
        (folder / name).write_bytes(content)
    found = command.judge(case, folder, command.Ended(2, "no\n", "", 1), ["out.png"]).faults
    left = {f"left over: {name}" for name in ("drive/c", ".ivif-1-2.part", "out.png")}
    assert set(found) == {"input a.png changed", *left}
