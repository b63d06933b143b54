"""Every error is one line and a status: the user's, the machine's, and this program's own."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_core.cli.commands import engines_list
from ivif_core.cli.main import main
from ivif_core.errors import InputError

IVIF = [sys.executable, "-c", "import sys; from ivif_core.cli.main import main; sys.exit(main(sys.argv[1:]))"]


def of_opencv() -> Exception:
    with pytest.raises(cv2.error) as caught:
        cv2.resize(np.zeros((4, 4), np.uint8), (0, 0))
    return caught.value


def of_cv2_memory() -> Exception:
    error = of_opencv()
    error.code = -4  # what OpenCV gives where an allocation fails
    return error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("a\nb\x1b[2J"), 2, r"a\nb\x1b[2J"),
        (FileNotFoundError(2, "No such file or directory", "x\ny"), 2, r"x\ny: No such file"),
        (OSError(36, "File name too long", "x/" * 2000), 2, "x/x/: File name too long"),
        (OSError(28, "No space left on device"), 2, "No space left"),
        (MemoryError(), 1, "not enough memory"),
        (np._core._exceptions._ArrayMemoryError((1 << 40,), np.dtype("u1")), 1, "not enough memory"),
        (of_cv2_memory(), 1, "not enough memory"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 1, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), 1, "not enough memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, "not enough memory"),
        (of_opencv(), 70, "internal error"),
        (KeyError("x"), 70, "internal error: KeyError: 'x'"),
        (struct.error("unpack\nrequires"), 70, r"unpack\nrequires"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), 70, "internal error"),
        (sqlite3.DatabaseError("malformed"), 70, "malformed"),
        (RecursionError("deep"), 70, "IVIF_TRACEBACK=1"),
        (ValueError("long " * 10_000), 70, "…"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2, "pip install"),
        (ImportError("libGL.so.1: no such file", name="cv2"), 2, "libGL.so.1"),
        (ModuleNotFoundError("No module named 'ivif_core.x'", name="ivif_core.x"), 70, "internal error"),
    ],
)
def test_an_exception_is_one_line_and_a_status(error, status, said, monkeypatch, capsys):
    def fail(args):
        raise error

    monkeypatch.setattr(engines_list, "run", fail)
    assert main(["engines", "list"]) == status
    line = capsys.readouterr().err
    assert line.startswith("ivif engines list: ") and said in line and line.count("\n") == 1 and len(line) < 1200


def test_the_trace_is_shown_on_request(monkeypatch, capsys):
    monkeypatch.setattr(engines_list, "run", lambda args: {}["gone"])
    monkeypatch.setenv("IVIF_TRACEBACK", "1")
    assert main(["engines", "list"]) == 70
    said = capsys.readouterr().err
    assert "Traceback" in said and said.splitlines()[-1].startswith("ivif engines list: internal error")


HOSTILE = ["", ".inf", "nan", "-1", "1e400", "9" * 5000, "0x10", "1_0", "٣", "\udce4", "x\ny", "--", "1;2"]
"""What stands where a number should."""
NUMBERS = [
    ["fuse", "a", "b", "-o", "c", "--vividness"],
    ["fuse-many", "a", "-o", "c", "--workers"],
    ["evaluate", "f", "i", "v", "--workers"],
    ["extract", "a", "-o", "c", "--infrared", "/a", "--visible", "/b", "--every"],
    ["extract", "a", "-o", "c", "--infrared", "/a", "--visible", "/b", "--slop"],
    ["calibrate", "time", "a", "--largest"],
    ["calibrate", "click", "a", "b", "-o", "c", "--port"],
    ["calibrate", "scene", "a", "b", "-o", "c", "--rotation"],
    ["bench", "models", "--rounds"],
    ["bench", "models", "--threads"],
    ["bench", "models", "--sizes"],
    ["bench", "bag", "a", "--infrared", "/a", "--visible", "/b", "--rounds"],
    ["bench", "cameras", "--frames"],
    ["bench", "startup", "--count"],
    ["engines", "build", "--dry-run", "--max"],
    ["engines", "build", "--dry-run", "--device"],
]


@pytest.mark.parametrize("command", NUMBERS, ids=lambda command: f"{command[0]} {command[1]} {command[-1]}")
def test_a_number_that_is_none_is_one_line(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for text in HOSTILE:
        assert main([*command, text]) == 2, text[:50]
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1 and len(captured.err) < 1200, text[:50]
    assert not list(tmp_path.iterdir())


FILES = [
    ["fuse", "{}", "b.png", "-o", "out.png"],
    ["fuse", "a.png", "b.png", "-o", "out.png", "--registration", "{}"],
    ["bag", "{}", "out", "--infrared", "/a", "--visible", "/b"],
    ["bag", "b", "out", "--infrared", "/a", "--visible", "/b", "--params", "{}"],
    ["extract", "{}", "-o", "out", "--infrared", "/a", "--visible", "/b"],
    ["evaluate", "a.png", "a.png", "b.png", "--registration", "{}"],
    ["info", "--model", "{}"],
    ["calibrate", "scene", "{}", "b.png", "-o", "out.yaml"],
    ["calibrate", "points", "a.png", "b.png", "-o", "out.yaml", "--points", "{}"],
    ["calibrate", "click", "{}", "b.png", "-o", "out.json"],
    ["calibrate", "time", "{}"],
    ["export", "{}", "--variants", "fp16"],
    ["evaluate", "{}", "a.png", "b.png"],
    ["fuse-many", "{}", "-o", "out"],
]


@pytest.mark.parametrize("command", FILES, ids=lambda command: f"{command[0]} {command[1]} {command.index('{}')}")
def test_a_file_that_is_none_is_one_line(command, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.zeros((48, 48), np.uint8))
    cv2.imwrite("b.png", np.zeros((48, 48, 3), np.uint8))
    os.mkfifo("fifo")
    Path("folder").mkdir()
    Path("nul").write_bytes(bytes(100))
    Path("circle").symlink_to("circle")
    before = sorted(tmp_path.rglob("*"))
    for file in ("/dev/zero", "fifo", "nowhere", "n" * 300, "latin\udce4", "nul", "circle", "~nosuchuser/x"):
        assert main([file if word == "{}" else word for word in command]) == 2, file
        said = capfd.readouterr().err
        assert said.startswith("ivif ") and said.count("\n") == 1, said
    assert sorted(tmp_path.rglob("*")) == before


TARGETS = [
    ["fuse", "a.png", "b.png", "-o", "{}"],
    ["calibrate", "points", "a.png", "b.png", "--points", "p.json", "-o", "{}"],
    ["evaluate", "f", "f", "f", "--json", "{}"],
    ["fuse-many", "f", "-o", "{}"],
    ["engines", "clear", "--cache", "{}"],
]


@pytest.mark.parametrize("command", TARGETS, ids=lambda command: command[0])
def test_an_output_that_cannot_be_is_one_line(command, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.zeros((48, 48), np.uint8))
    cv2.imwrite("b.png", np.zeros((48, 48, 3), np.uint8))
    corners = [{"infrared": [x, y], "visible": [x + 1.0, y]} for x in (3.0, 28.0) for y in (3.0, 28.0)]
    Path("p.json").write_text(json.dumps({"points": corners}))
    for folder in ("f", "f/infrared", "f/visible"):
        Path(folder).mkdir()
        shutil.copy("a.png", folder)
    Path("circle").symlink_to("circle")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("HOME", "")
    for file in ("", ".", "/", "circle", "circle/x", "/proc/self/x.png"):
        status = main([file if word == "{}" else word for word in command])
        said = capfd.readouterr()
        assert (status == 2 and said.err.startswith("ivif ") and said.err.count("\n") == 1) or status == 0, (file, said)
    assert sorted(tmp_path.rglob("*")) == before


def run(command: str) -> subprocess.CompletedProcess:
    """A command line of bash, with `ivif` in it."""
    script = f'ivif() {{ "{sys.executable}" -c \'{IVIF[2]}\' "$@"; }}\n{command}'
    # argparse itself ignores that help could not be written, where nothing is buffered.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("ivif --help | true; echo ${PIPESTATUS[0]}", "141"),
        ("ivif engines list | true; echo ${PIPESTATUS[0]}", "141"),
        ("ivif engines list >/dev/full; echo $?", "2"),
        ("ivif --version >/dev/full; echo $?", "2"),
        ("ivif engines list >&-; echo $?", "0"),
        ("ivif engines list >&- 2>&-; echo $?", "0"),
        ("ivif fsue 2>&-; echo $?", "2"),
        ("ivif fsue 2>/dev/full; echo $?", "2"),
        ("ivif engines list <&- >/dev/null; echo $?", "0"),
    ],
)
def test_standard_files_that_are_closed_full_or_gone(command, status):
    done = run(command)
    assert done.stdout.split()[-1] == status
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert done.stderr.count("\n") == ("/dev/full; echo" in command and "2>" not in command)


SLOW = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            print("importing", flush=True)
            while True:
                try:
                    time.sleep(30)
                except KeyboardInterrupt:
                    raise ImportError("an extension module makes this of it")
sys.meta_path.insert(0, Slow())
from ivif_core.cli.main import main
sys.exit(main(["bench", "cameras", "--frames", "1"]))
"""


@pytest.mark.parametrize(
    "module", ["ivif_core.cli.boundary", "argparse", "cv2", "ivif_core.cli.commands.bench_cameras"]
)
def test_ctrl_c_while_modules_are_imported(module):
    """Also where what is imported turns the interruption into an error of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(module=module)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "")


def test_ctrl_c_at_work_that_comes_out_as_another_error(monkeypatch, capsys):
    def work(args):
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        raise RuntimeError("what a runtime makes of it")

    monkeypatch.setattr(engines_list, "run", work)
    assert main(["engines", "list"]) == 130
    assert capsys.readouterr().err == ""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
