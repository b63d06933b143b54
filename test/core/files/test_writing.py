from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from ivif_core.errors import OutputError
from ivif_core.files.writing import (
    append_line,
    exchange,
    rename_new,
    scratch_folder,
    temporary_file,
    temporary_folder,
    write_bytes,
    write_text,
)
from test.core.files.full_disk import full_disk

WHILE_WRITING = """
import os, sys, time
from pathlib import Path
from ivif_core.files.writing import temporary_file, temporary_folder
from ivif_core.files.interruption import Terminated, ended_by_signals
folder = Path(sys.argv[1])
try:
    with ended_by_signals(), temporary_file(folder / "a.mp4") as file, temporary_folder(folder / "b") as inside:
        file.write_text("half")
        (inside / "c").mkdir()
        (inside / "c" / "d").write_text("half")
        print("writing", flush=True)
        time.sleep(60)
except Terminated as end:
    sys.exit(end.status)
"""


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start_writing(folder) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", WHILE_WRITING, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    return process


def test_text_is_written_whole(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old and longer than what comes")
    write_text(path, "grüne Wiese\n")
    assert path.read_bytes() == "grüne Wiese\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"none/page\.html: No such file or directory"):
        write_text(tmp_path / "none" / "page.html", "x")


def test_the_mode_is_what_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", ["folder", "full folder", "fifo", "device"])
def test_what_is_no_file_is_never_replaced(tmp_path, kind):
    path = tmp_path / "x.png"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = type(path)("/dev/null")
    else:
        path.mkdir()
        if kind == "full folder":
            (path / "mine").write_text("mine")
    before = path.lstat()
    with pytest.raises(OutputError, match="cannot write"):
        write_text(path, "x")
    after = path.lstat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    assert names(tmp_path) == ([] if kind == "device" else ["x.png"])


@pytest.mark.parametrize("name", ["a" * 256, "ü" * 128, "nul\0", "latin\udce4", "lone\ud800", "long/" + "b" * 300])
def test_names_that_cannot_be_are_one_line_without_a_trace(tmp_path, name):
    (tmp_path / "long").mkdir()
    for write in (lambda path: write_bytes(path, b"x"), lambda path: temporary_folder(path).__enter__()):
        with pytest.raises(OutputError) as raised:
            write(tmp_path / name)
        assert "\n" not in str(raised.value)
        str(raised.value).encode()  # can be printed
    assert names(tmp_path) == ["long"] and names(tmp_path / "long") == []


def test_the_longest_name_works(tmp_path):
    write_bytes(tmp_path / ("a" * 251 + ".png"), b"x")
    assert names(tmp_path) == ["a" * 251 + ".png"]


def test_what_appears_meanwhile_is_kept_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(OutputError, match="already exists"), temporary_file(path, overwrite=False) as temporary:
        temporary.write_text("ours")
        path.write_text("theirs")
    assert path.read_text() == "theirs" and names(tmp_path) == ["a"]
    with temporary_file(path) as temporary:
        temporary.write_text("ours")
    assert path.read_text() == "ours" and names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_exception_leaves_the_old_and_nothing_else(tmp_path, error):
    (tmp_path / "a").write_text("old")
    with (
        pytest.raises(error),
        temporary_folder(tmp_path / "b") as folder,
        temporary_file(tmp_path / "a") as file,
    ):
        (folder / "half").write_text("half")
        file.write_text("half")
        raise error
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_leaves_nothing(tmp_path, number):
    process = start_writing(tmp_path)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert names(tmp_path) == []


def test_leftovers_of_a_killed_run_go_with_the_next_one_and_live_ones_stay(tmp_path):
    mine = [".ivif", ".ivif-1-abc.part", ".hidden.part", ".ivif-7-0123456789ab.part~"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    killed, live = start_writing(tmp_path), start_writing(tmp_path)
    try:
        killed.kill()
        killed.communicate()
        assert len(names(tmp_path)) == len(mine) + 4
        write_bytes(tmp_path / "a", b"x")
        left = set(names(tmp_path)) - {*mine, "a"}
        assert len(left) == 2 and all(f"-{live.pid}-" in name for name in left)
    finally:
        live.terminate()
        live.communicate()
    assert names(tmp_path) == sorted([*mine, "a"])


@pytest.mark.parametrize("room", [0, 1, 4096, 99_999])
def test_a_full_disk_leaves_the_old_file(tmp_path, room):
    (tmp_path / "a").write_bytes(b"old")
    code = "from ivif_core.files.writing import write_bytes; write_bytes('a', bytes(100_000))"
    done = full_disk(code, room, tmp_path)
    assert done.returncode == 1 and "OutputError: cannot write a: File too large" in done.stderr
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"
    assert full_disk(code, 100_000, tmp_path).returncode == 0 and (tmp_path / "a").stat().st_size == 100_000


def test_a_line_is_added_whole_or_not_at_all(tmp_path):
    path = tmp_path / "log"
    append_line(path, "one")
    append_line(path, "zwei ü")
    with path.open("a") as file:
        file.write("cut by a ki")
    append_line(path, "three")
    assert path.read_text().splitlines() == ["one", "zwei ü", "cut by a ki", "three"]
    size = path.stat().st_size
    done = full_disk("from ivif_core.files.writing import *\nappend_line(Path('log'), 'x' * 100)", size + 10, tmp_path)
    assert "OutputError" in done.stderr and path.stat().st_size == size


@pytest.mark.parametrize("known", [True, False], ids=["at once", "as near as it gets"])
def test_renaming_never_loses_a_folder(tmp_path, monkeypatch, known):
    if not known:
        monkeypatch.setattr("ivif_core.files.writing._renameat2", lambda *arguments: False)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "was").write_text(name)
    with pytest.raises(FileExistsError):
        rename_new(tmp_path / "a", tmp_path / "b")
    exchange(tmp_path / "a", tmp_path / "b")
    assert [(tmp_path / name / "was").read_text() for name in ("a", "b")] == ["b", "a"]
    rename_new(tmp_path / "a", tmp_path / "c")
    assert names(tmp_path) == ["b", "c"]


def test_scratch_of_a_killed_run_goes_with_the_next_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder() as mine:
        (mine / "frame.png").touch()
        assert mine.stat().st_mode & 0o077 == 0
        code = (
            "import os, pathlib; from ivif_core.files.writing import scratch_folder\n"
            "with scratch_folder() as folder: (folder / 'x').touch(); os._exit(9)"
        )
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
        assert len(names(tmp_path)) == 2
        with scratch_folder() as another:
            assert sorted(names(tmp_path)) == sorted([mine.name, another.name])
        assert (mine / "frame.png").is_file()
    assert names(tmp_path) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(OutputError, match="cannot write a temporary file: No such file"), scratch_folder():
        pass


def test_a_name_is_what_lies_on_the_disk_whatever_the_locale(tmp_path):
    code = "import os, sys; from ivif_core.files.writing import write_text; write_text(sys.argv[1], 'x')"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    name = os.fsencode(tmp_path) + "/ä.txt".encode()
    subprocess.run([sys.executable, "-c", code, name], env={**os.environ, **plain}, check=True)
    assert names(tmp_path) == ["ä.txt"]
