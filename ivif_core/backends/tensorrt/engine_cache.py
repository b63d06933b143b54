"""Built engines on disk: keyed, checked, written atomically, locked between processes, bounded in size.

Building takes seconds to tens of minutes, so two nodes that start together must build once, a killed build must leave
nothing that looks like an engine, and a damaged file must be noticed here: TensorRT may crash on it. An engine is
code that runs on the GPU and, where it is version compatible, on the CPU: one that another user could have written is
not loaded.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ivif_core.errors import ConfigError, IvifError, OutputError
from ivif_core.files.writing import write_bytes

_LOG = logging.getLogger(__name__)
_MAGIC = b"IVIFENG1"
_POLL_S = 0.1
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

DEFAULT_LIMIT_BYTES = 2 << 30


class BuildCancelled(IvifError, RuntimeError):
    """The wait for an engine, or its build, was given up on request."""


@dataclass(frozen=True)
class Entry:
    """One cached engine: its key, its size with the header, when it was last used (s since the epoch), and of what."""

    key: str
    size: int
    used: float
    of: dict[str, Any]


def default_folder() -> Path:
    """`ivif/engines` under the XDG cache directory (XDG Base Directory Specification 0.8)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base and Path(base).is_absolute() else Path(os.path.expanduser("~/.cache"))  # noqa: PTH111
    if not root.is_absolute():  # a user without an entry in passwd, as in a container
        raise ConfigError("there is no home folder to keep engines in: set HOME or XDG_CACHE_HOME, or name a folder")
    return root / "ivif" / "engines"


def key_of(description: dict[str, Any]) -> str:
    """sha256 (hexadecimal) over a JSON description of everything that an engine depends on."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


class EngineCache:
    """A folder of engines, shared by all processes of a user.

    Nothing here raises for a folder that cannot be written: an engine that cannot be kept is used all the same, with
    one warning that says why and what to do.
    """

    def __init__(self, folder: str | Path | None = None, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        """
        Args:
            folder: None takes `default_folder`.
            limit_bytes: engines that were used longest ago go when all together take more.

        Raises:
            ConfigError: the limit is not positive.
        """
        if limit_bytes <= 0:
            raise ConfigError(f"engine cache: the size limit must be positive, got {limit_bytes}")
        self.folder = Path(os.path.expanduser(folder)) if folder else default_folder()  # noqa: PTH111
        self.limit_bytes = limit_bytes

    def path(self, key: str) -> Path:
        """Where the engine of that key is, or would be."""
        return self.folder / f"{key}.engine"

    def why_not_writable(self) -> str | None:
        """None where engines can be kept, else why not; asked before a long build whose result is only the file."""
        try:
            self._make_folder()
            with tempfile.TemporaryFile(dir=self.folder):
                return None
        except OSError as error:
            return f"engine cache {self.folder}: {error.strerror}"

    def load(self, key: str) -> bytes | None:
        """The engine, or None where there is none, it is damaged, or others can write it (then with a warning)."""
        path = self.path(key)
        try:
            with path.open("rb") as file:
                if reason := _why_untrusted(os.fstat(file.fileno())) or _why_untrusted(
                    self.folder.stat(), "its folder"
                ):
                    _LOG.warning("engine cache: %s is not used: %s; the engine will be built anew", path, reason)
                    return None
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            _LOG.warning("engine cache: cannot read %s (%s)", path, error.strerror)
            return None
        header = _header(data)
        if header is None or hashlib.sha256(data[header[0] :]).hexdigest() != header[1].get("sha256"):
            _LOG.warning("engine cache: %s is damaged; the engine will be built anew", path)
            return None
        with contextlib.suppress(OSError):  # a read-only cache keeps no order of use
            os.utime(path)
        return data[header[0] :]

    def store(self, key: str, engine: bytes, of: dict[str, Any]) -> bool:
        """Keep an engine; False, with a warning, where the folder cannot take it.

        Args:
            of: what it was built from, for `ivif engines list`; must be JSON.
        """
        header = json.dumps({"sha256": hashlib.sha256(engine).hexdigest(), "of": of}).encode()
        try:
            self._write(self.path(key), _MAGIC + len(header).to_bytes(4, "little") + header + engine)
        except (OSError, OutputError) as error:
            _LOG.warning(
                "engine cache: cannot keep the engine in %s (%s); it will be built again at the next start. "
                "Free space or choose another folder with XDG_CACHE_HOME",
                self.folder,
                error,
            )
            return False
        self._shrink(keep=key)
        return True

    def get(
        self,
        key: str,
        build: Callable[[], bytes],
        *,
        of: dict[str, Any],
        accept: Callable[[bytes], bool] = lambda engine: True,
        cancelled: threading.Event | None = None,
    ) -> bytes:
        """The engine of that key, from disk or built now; one process builds, the others wait for it.

        Args:
            build: makes the engine; what it raises is passed on.
            of: see `store`.
            accept: False for an engine that the runtime refuses: it is built anew.
            cancelled: when set, a wait for another process ends.

        Raises:
            BuildCancelled: `cancelled` was set while waiting.
        """
        engine = self._accepted(key, accept)
        if engine is not None:
            return engine
        with self._lock(key, cancelled):
            engine = self._accepted(key, accept)  # another process may have built it meanwhile
            if engine is None:
                engine = build()
                self.store(key, engine, of)
            return engine

    def timing(self, name: str) -> bytes:
        """Kernel timings of earlier builds, which make the next one faster; empty where there are none."""
        return self._beside(f"{name}.timing")

    def store_timing(self, name: str, timings: bytes) -> None:
        """Keep kernel timings; losing them only costs time, so a folder that cannot take them is no error."""
        self._store_beside(f"{name}.timing", timings)

    def compiled(self, key: str) -> bytes:
        """What a just-in-time compiler made of that engine in earlier processes; empty where there is nothing."""
        return self._beside(f"{key}.compiled")

    def store_compiled(self, key: str, code: bytes) -> None:
        """Keep that; as `store_timing`."""
        self._store_beside(f"{key}.compiled", code)

    def _beside(self, name: str) -> bytes:
        with contextlib.suppress(OSError), (self.folder / name).open("rb") as file:
            if not _why_untrusted(os.fstat(file.fileno())) and not _why_untrusted(self.folder.stat()):
                return file.read()
        return b""

    def _store_beside(self, name: str, data: bytes) -> None:
        with contextlib.suppress(OSError, OutputError):
            self._write(self.folder / name, data)

    def entries(self) -> list[Entry]:
        """Engines in the folder, the one used last first.

        Files with a broken header, or that this user cannot read, are listed with an empty `of`.

        Raises:
            OSError: the folder cannot be read.
        """
        found = []
        for path in self._files(".engine"):
            with contextlib.suppress(FileNotFoundError):  # another process may clear at the same time
                file_stat, header = path.stat(), None
                with contextlib.suppress(PermissionError), path.open("rb") as file:
                    header = _header(file.read(1 << 16))
                of = header[1].get("of", {}) if header else {}
                found.append(Entry(path.stem, file_stat.st_size, file_stat.st_mtime, of))
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def clear(self) -> int:
        """Remove every engine, what is kept beside it, and leftovers; returns the number of engines.

        Lock files stay: removing one that a process is about to lock would let two build at once.

        Raises:
            OSError: the folder cannot be read, or written.
        """
        engines = 0
        for path in self._files(".engine", ".timing", ".compiled", ".part"):
            path.unlink(missing_ok=True)
            engines += path.suffix == ".engine"
        return engines

    def _files(self, *suffixes: str) -> list[Path]:
        """Those in the folder; none where there is no folder yet. `Path.glob` would find none where it cannot look."""
        try:
            return [path for path in self.folder.iterdir() if path.suffix in suffixes]
        except FileNotFoundError:
            return []

    def _accepted(self, key: str, accept: Callable[[bytes], bool]) -> bytes | None:
        engine = self.load(key)
        if engine is not None and not accept(engine):
            _LOG.warning("engine cache: the runtime refuses %s; the engine will be built anew", self.path(key))
            return None
        return engine

    def _write(self, path: Path, data: bytes) -> None:
        self._make_folder()
        write_bytes(path, data)
        path.chmod(path.stat().st_mode & ~_OTHERS_WRITE)

    def _make_folder(self) -> None:
        """The folder, for this user alone to write.

        Raises:
            OSError: it cannot be made, or belongs to somebody else.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        found = self.folder.stat()
        if found.st_uid == os.geteuid() and found.st_mode & _OTHERS_WRITE:
            self.folder.chmod(found.st_mode & ~_OTHERS_WRITE)  # as with a umask of 002
        elif reason := _why_untrusted(found):
            raise PermissionError(errno.EPERM, reason)

    @contextlib.contextmanager
    def _lock(self, key: str, cancelled: threading.Event | None) -> Iterator[None]:
        """Exclusive among processes; the kernel frees it when its holder dies, however it dies."""
        try:
            self._make_folder()
            handle = os.open(self.folder / f"{key}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:  # nothing can be written here, so there is nothing to share either
            yield
            return
        try:
            waiting = False
            while not _try_lock(handle):
                if not waiting:
                    _LOG.info("another process builds the same engine; waiting for it")
                    waiting = True
                if cancelled is not None and cancelled.is_set():
                    raise BuildCancelled("gave up waiting for another process that builds the same engine")
                time.sleep(_POLL_S)
            for leftover in self.folder.glob(f"{key}-*.part"):  # of a build that was killed, of version 1.0
                leftover.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)

    def _shrink(self, keep: str) -> None:
        total = 0
        for entry in self.entries():
            total += entry.size
            if total > self.limit_bytes and entry.key != keep:
                total -= entry.size
                with contextlib.suppress(OSError):
                    self.path(entry.key).unlink()
                    self.path(entry.key).with_suffix(".compiled").unlink(missing_ok=True)


def _why_untrusted(found: os.stat_result, what: str = "it") -> str | None:
    """None where only root and this user can have written a file, or in a folder."""
    if found.st_uid not in (0, os.geteuid()):
        return f"{what} belongs to user {found.st_uid}, and only root's and one's own engines are loaded"
    if found.st_mode & _OTHERS_WRITE:
        return f"{what} can be written by other users (mode {stat.S_IMODE(found.st_mode):o}); chmod go-w it"
    return None


def _header(data: bytes) -> tuple[int, dict[str, Any]] | None:
    """(offset of the engine, header) of a cache file, or None where it is none."""
    start = len(_MAGIC) + 4
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    if not data.startswith(_MAGIC) or len(data) < end:
        return None
    try:
        header = json.loads(data[start:end])
    except ValueError:
        return None
    return (end, header) if isinstance(header, dict) else None


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
