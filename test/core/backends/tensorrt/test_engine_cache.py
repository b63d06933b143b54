from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.backends.tensorrt.engine_cache import BuildCancelled, EngineCache, default_folder, key_of
from ivif_core.cli.main import main
from ivif_core.errors import ConfigError

KEY = key_of({"model": "a"})
ENGINE = bytes(range(256)) * 40
REPOSITORY = Path(__file__).resolve().parents[4]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

BUILDER = """
import logging, sys, time
from pathlib import Path
from ivif_core.backends.tensorrt.engine_cache import EngineCache
logging.basicConfig(level="WARNING", format="%(message)s")
folder, key, seconds = sys.argv[1:4]
def build():
    with Path(sys.argv[4]).open("a") as log:
        log.write("build\\n")
    time.sleep(float(seconds))
    return bytes(range(256)) * 40
engine = EngineCache(folder).get(key, build, of={})
print(len(engine))
"""

UNPRIVILEGED = "import os, ivif_core.backends.tensorrt.engine_cache\nif os.geteuid() == 0: os.setuid(65534)\n"


def _start(folder: Path, seconds: float, log: Path, prefix: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", prefix + BUILDER, str(folder), KEY, str(seconds), str(log)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def _fail() -> bytes:
    raise AssertionError("it was built although it is cached")


def test_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "ivif" / "engines"
    monkeypatch.setenv("HOME", "/home/robot")
    for ignored in ("", "relative/path"):  # the specification: relative paths are invalid and ignored
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert default_folder() == Path("/home/robot/.cache/ivif/engines")


def test_key_depends_on_every_entry_and_not_on_their_order() -> None:
    assert key_of({"a": 1, "b": [2, 3]}) == key_of({"b": [2, 3], "a": 1})
    assert len({key_of({"a": 1}), key_of({"a": 2}), key_of({"b": 1}), key_of({})}) == 4
    assert key_of({}) == hashlib.sha256(b"{}").hexdigest()


def test_builds_once_and_then_reads(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "deep" / "folder")
    assert cache.get(KEY, lambda: ENGINE, of={"model": "student"}) == ENGINE
    assert cache.get(KEY, _fail, of={}) == ENGINE
    assert cache.entries()[0].of == {"model": "student"}
    assert not list(cache.folder.glob("*.part"))


@pytest.mark.parametrize("damage", ["cut", "flip", "header", "empty", "foreign"])
def test_damaged_engine_is_built_anew_with_one_warning(tmp_path: Path, damage: str, caplog) -> None:
    cache = EngineCache(tmp_path)
    cache.store(KEY, ENGINE, {})
    data = bytearray(cache.path(KEY).read_bytes())
    if damage == "flip":
        data[-100] ^= 1
    elif damage == "header":
        data[13] ^= 0x80
    damaged = {"cut": data[:-1], "empty": b"", "foreign": b"ptrt" * 100}.get(damage, data)
    cache.path(KEY).write_bytes(damaged)
    assert cache.get(KEY, lambda: b"new", of={}) == b"new"
    assert caplog.text.count("is damaged") in (1, 2)  # seen before and after taking the lock
    assert cache.load(KEY) == b"new"


@given(st.binary(max_size=200))
def test_no_file_content_passes_as_an_engine_or_crashes(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = EngineCache(folder)
        for data in (content, b"IVIFENG1" + content):
            cache.path(KEY).write_bytes(data)
            assert cache.load(KEY) is None
            assert cache.entries()[0].of == {}


def test_engine_that_the_runtime_refuses_is_built_anew(tmp_path: Path, caplog) -> None:
    cache = EngineCache(tmp_path)
    cache.store(KEY, b"old", {})
    assert cache.get(KEY, lambda: b"new", of={}, accept=lambda engine: engine == b"new") == b"new"
    assert "refuses" in caplog.text
    assert cache.get(KEY, _fail, of={}, accept=lambda engine: engine == b"new") == b"new"


def test_engine_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, limit_bytes=3 * len(ENGINE))
    for age, key in ((30, "a"), (20, "b")):
        cache.store(key, ENGINE, {})
        os.utime(cache.path(key), (time.time() - age,) * 2)
    cache.load("a")  # now b is the one used longest ago
    cache.store("c", ENGINE, {})
    assert {entry.key for entry in cache.entries()} == {"a", "c"}
    EngineCache(tmp_path, limit_bytes=1).store("d", ENGINE, {})  # larger than the limit alone: still kept
    assert [entry.key for entry in cache.entries()] == ["d"]


def test_limit_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="positive"):
        EngineCache(tmp_path, limit_bytes=0)


def test_failed_build_leaves_nothing_and_frees_the_lock(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    with pytest.raises(RuntimeError, match="no such operator"):
        cache.get(KEY, lambda: (_ for _ in ()).throw(RuntimeError("no such operator")), of={})
    assert cache.entries() == []
    assert cache.get(KEY, lambda: ENGINE, of={}) == ENGINE


def test_timings_are_kept(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    assert cache.timing("10.3-gpu") == b""
    cache.store_timing("10.3-gpu", b"timings")
    assert cache.timing("10.3-gpu") == b"timings"


def test_four_processes_build_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [_start(tmp_path / "cache", 0.5, log) for _ in range(4)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [out.strip() for out, _ in results] == [str(len(ENGINE))] * 4
    assert log.read_text() == "build\n"


def test_kill_in_the_middle_of_a_build_frees_the_next_one(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "cache"
    process = _start(folder, 60, log)
    _wait_for(lambda: log.exists() and log.read_text() == "build\n")
    (folder / f"{KEY}-xyz.part").write_bytes(ENGINE[:100])  # what a kill in the middle of writing leaves
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    cache = EngineCache(folder)
    assert cache.load(KEY) is None
    assert cache.get(KEY, lambda: ENGINE, of={}) == ENGINE  # and does not wait for a lock that nobody holds
    assert not list(folder.glob("*.part"))


def test_waiting_for_another_process_can_be_given_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = _start(tmp_path / "cache", 60, log)
    try:
        _wait_for(log.exists)
        cancelled = threading.Event()
        threading.Timer(0.3, cancelled.set).start()
        with pytest.raises(BuildCancelled):
            EngineCache(tmp_path / "cache").get(KEY, _fail, of={}, cancelled=cancelled)
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_full_disk_is_said_and_the_engine_used_all_the_same(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
    out, err = _start(tmp_path / "cache", 0, tmp_path / "log", prefix=limit).communicate(timeout=30)
    assert out.strip() == str(len(ENGINE))
    assert err.count("cannot keep the engine") == 1
    assert "XDG_CACHE_HOME" in err
    assert EngineCache(tmp_path / "cache").entries() == []
    assert not list((tmp_path / "cache").glob("*.part"))


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that others can enter and nobody but root can write."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "log").touch()
        (Path(folder) / "log").chmod(0o666)
        (Path(folder) / "cache").mkdir()
        yield Path(folder)
        (Path(folder) / "cache").chmod(0o755)


@pytest.mark.parametrize("cached", [True, False])
def test_read_only_cache_is_read_and_never_fatal(read_only: Path, cached: bool) -> None:
    folder, log = read_only / "cache", read_only / "log"
    if cached:
        EngineCache(folder).store(KEY, ENGINE, {})
    folder.chmod(0o555)
    out, err = _start(folder, 0, log, prefix=UNPRIVILEGED).communicate(timeout=30)
    assert out.strip() == str(len(ENGINE)), err
    assert log.read_text() == ("" if cached else "build\n")
    assert err.count("cannot keep the engine") == (0 if cached else 1)


@pytest.mark.parametrize("opened", ["file", "folder"])
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_an_engine_that_others_can_write_is_not_loaded(tmp_path: Path, caplog, opened: str, mode: int) -> None:
    cache = EngineCache(tmp_path / "cache")
    cache.store(KEY, ENGINE, {})
    assert cache.load(KEY) == ENGINE
    path = cache.path(KEY) if opened == "file" else cache.folder
    path.chmod(path.stat().st_mode | mode)
    assert cache.load(KEY) is None
    (record,) = caplog.records
    assert "can be written by other users" in record.getMessage() and "\n" not in record.getMessage()
    assert cache.get(KEY, lambda: ENGINE, of={}) == ENGINE  # built anew, and the place closed
    assert cache.load(KEY) == ENGINE and not path.stat().st_mode & 0o022


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("given", ["file", "folder"])
def test_an_engine_of_another_user_is_not_loaded(tmp_path: Path, caplog, given: str) -> None:
    cache = EngineCache(tmp_path / "cache")
    cache.store(KEY, ENGINE, {})
    os.chown(cache.path(KEY) if given == "file" else cache.folder, 12345, -1)
    assert cache.load(KEY) is None
    assert "belongs to user 12345" in caplog.text
    assert cache.get(KEY, lambda: ENGINE, of={}) == ENGINE
    if given == "folder":
        assert "cannot keep the engine" in caplog.text and "belongs to user 12345" in (cache.why_not_writable() or "")


def test_a_cache_is_made_for_its_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cache = EngineCache(tmp_path / "cache")
        cache.store(KEY, ENGINE, {})
    finally:
        os.umask(before)
    assert cache.load(KEY) == ENGINE


def test_says_beforehand_that_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert EngineCache(tmp_path / "new").why_not_writable() is None
    assert "Not a directory" in (EngineCache(tmp_path / "file" / "cache").why_not_writable() or "")


def test_command_lists_and_clears(tmp_path: Path, capsys) -> None:
    cache = EngineCache(tmp_path)
    cache.store(KEY, ENGINE, {"file": "student.onnx", "gpu": "Orin", "maximum": [1080, 1920]})
    cache.store_timing("t", b"1")
    assert main(["engines", "list", "--cache", str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert KEY[:12] in listed and "file student.onnx, gpu Orin, maximum 1920×1080" in listed and "1 engines" in listed
    assert main(["engines", "clear", "--cache", str(tmp_path)]) == 0
    assert "removed 1 engines" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    for none in ("none", os.fsdecode(b"no\xffne")):
        assert main(["engines", "list", "--cache", str(tmp_path / none)]) == 0
        assert "0 engines" in capsys.readouterr().out


COMMANDS = """
import os, sys
from ivif_core.cli import boundary
from ivif_core.cli.commands import engines_clear, engines_list
from ivif_core.cli.main import main
if os.geteuid() == 0:
    os.setuid(65534)
for name in ("list", "clear"):
    print(main(["engines", name, "--cache", sys.argv[1]]))
"""


def test_a_folder_that_cannot_be_read_is_not_said_to_be_empty(read_only: Path, capsys) -> None:
    folder = read_only / "cache"
    EngineCache(folder).store(KEY, ENGINE, {})

    def run(mode: int) -> subprocess.CompletedProcess[str]:
        folder.chmod(mode)
        command = [sys.executable, "-c", COMMANDS, str(folder)]
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)

    said, ended = f"{folder}: Permission denied\n", run(0o311)
    assert ended.stderr == f"ivif engines list: cannot read {said}ivif engines clear: cannot clear {said}"
    assert ended.stdout == "2\n2\n" and EngineCache(folder).load(KEY) == ENGINE
    EngineCache(folder).path(KEY).chmod(0)
    assert "unreadable" in run(0o755).stdout
    for name in ("list", "clear"):
        assert main(["engines", name, "--cache", str(read_only / "log")]) == 2
    assert capsys.readouterr().err.count("Not a directory") == 2
