"""The one way to write files: whole or not at all, whatever happens on the way.

What is not whole yet lies beside its target under a hidden name. It is locked by its process, and the kernel frees
that lock however the process ends: what has no lock is left over from a run that was killed, and goes.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from ivif_core.errors import OutputError
from ivif_core.files.interruption import held

_TEMPORARY = re.compile(r"\.ivif-\d+-[0-9a-f]{12}\.part(\.\w+)?")
_TRIES = 10
"""Temporaries that another run may sweep in the moment before they are locked."""
_NOREPLACE, _EXCHANGE = 1, 2  # rename(2)
_AT_FDCWD = -100
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text; as `write_bytes`.

    Raises:
        OutputError: as `write_bytes`.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(
    path: str | Path, data: bytes | memoryview, *, overwrite: bool = True, sweep_folder: bool = True
) -> None:
    """Write a file; a reader sees the old one or the whole new one, after a power cut too.

    Args:
        overwrite: replace a file that is there; False refuses, also where it appeared while this was written.
        sweep_folder: remove first what killed runs left in the folder; False where many files go into one.

    Raises:
        OutputError: the disk is full, the folder is missing or cannot be written, the name cannot be used, or something
            other than a file is there.
    """
    path = Path(path)
    with _replacing(path, "", overwrite, sweep_folder) as temporary, temporary.open("r+b") as file:
        file.write(data)
        if file.seek(0, os.SEEK_END) != len(data):
            raise OutputError(f"cannot write {printable(path)}: {file.tell()} of {len(data)} bytes went to the disk")


def temporary_file(path: str | Path, *, overwrite: bool = True) -> AbstractContextManager[Path]:
    """An empty file of the same suffix beside `path`, which takes its place when the context ends without an error.

    For writers that take a name and choose the format by its suffix; what they write must be checked by the caller.

    Raises:
        OutputError: as `write_bytes`.
    """
    path = Path(path)
    suffix = path.suffix if re.fullmatch(r"\.\w+", path.suffix, re.ASCII) else ""
    return _replacing(path, suffix, overwrite, sweep_folder=True)


@contextmanager
def _replacing(path: Path, suffix: str, overwrite: bool, sweep_folder: bool) -> Iterator[Path]:
    with _as_output_error(path):
        check_name(path)
        if sweep_folder:
            sweep(path.parent)
        temporary, handle = _new(path.parent, suffix)
        try:
            yield temporary
            os.fsync(handle)  # opened before anything was written, so that no failed write is missed
            if overwrite:
                temporary.replace(path)
            else:
                rename_new(temporary, path)
            _sync_folder(path.parent)
        finally:
            with held():
                temporary.unlink(missing_ok=True)
                os.close(handle)


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A new hidden folder in the folder of `beside` (made where it is missing); it is removed when the context ends.

    Raises:
        OutputError: as `write_bytes`, also for what is written in the context.
    """
    with _as_output_error(beside):
        check_name(beside)
        beside.parent.mkdir(parents=True, exist_ok=True)
        sweep(beside.parent)
        folder, handle = _new(beside.parent, "", is_folder=True)
        try:
            yield folder
        except OutputError as error:  # in the user's words
            raise OutputError(str(error).replace(str(folder), printable(beside))) from error
        finally:
            with held():
                shutil.rmtree(folder, ignore_errors=True)
                os.close(handle)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of this user's for what a command needs while it runs, where the system has such folders; it is removed
    when the context ends, and the next run removes what `kill -9` leaves.

    Raises:
        OutputError: there is no such place, or it cannot be written.
    """
    with _as_output_error(Path("a temporary file")):
        place = Path(tempfile.gettempdir())
        sweep(place)
        folder, handle = _new(place, "", is_folder=True)
    try:
        folder.chmod(0o700)
        yield folder
    finally:
        with held():
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


def make_folder(path: str | Path) -> Path:
    """Make a folder and those above it where they are missing.

    Raises:
        OutputError: as `write_bytes`.
    """
    path = Path(path)
    check_name(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {printable(path)}: {error.strerror}") from error
    return path


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file, or leave the file as it was.

    Raises:
        OutputError: as `write_bytes`.
    """
    with _as_output_error(path), path.open("ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
        begin = b"" if size == 0 or file.read(1) == b"\n" else b"\n"  # a killed run was writing the last line
        try:
            left = begin + line.encode("utf-8", "backslashreplace") + b"\n"
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, size)
            raise


def is_there(path: Path) -> bool:
    """Whether anything has this name, a broken link too.

    Raises:
        OutputError: no file system takes the name.
    """
    return _mode(path) != 0


def check_name(path: Path) -> None:
    """Refuse what can never become a file or be replaced by one.

    Raises:
        OutputError: the name is too long, no UTF-8 or holds NUL; or a device, pipe or the like is there.
    """
    mode = _mode(path)
    try:
        os.fsencode(path.name).decode("utf-8")  # as it lies on the disk, whatever the locale
    except UnicodeError as error:
        raise OutputError(f"cannot write {printable(path)}: its name is not UTF-8") from error
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise OutputError(f"cannot write {printable(path)}: it is a device, pipe or socket; name a file")


def printable(path: str | Path) -> str:
    """A path for messages: bytes of it that are no UTF-8 are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def sweep(folder: Path) -> bool:
    """Remove what killed runs left unfinished; that of live runs is locked and stays. Returns whether any stays."""
    found: list[Path] = []
    with suppress(OSError):
        found = [path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name)]
    for path in found:
        with suppress(OSError):
            _remove_abandoned(path)
    return any(os.path.lexists(path) for path in found)


def sync_tree(folder: Path) -> None:
    """Bring every file and folder below to the disk.

    Raises:
        OSError: the disk is full or fails.
    """
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            handle = os.open(os.path.join(parent, name), os.O_RDONLY)  # noqa: PTH118
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        _sync_folder(Path(parent))


def rename_new(source: Path, target: Path) -> None:
    """Rename, but never over something; also where that appears at this moment.

    Raises:
        FileExistsError: something is there.
    """
    if not _renameat2(source, target, _NOREPLACE):  # a file system that cannot: as near as it gets
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)


def exchange(first: Path, second: Path) -> None:
    """Swap two names at once, so that there is no moment at which one is missing where the file system can do that."""
    if not _renameat2(first, second, _EXCHANGE):
        aside = first.with_name(f"{first.name}.aside")
        second.rename(aside)
        try:
            first.rename(second)
        except BaseException:
            aside.rename(second)
            raise
        aside.rename(first)


def lock(handle: int) -> bool:
    """Try to lock an open file or folder for this process; True also where the file system knows no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _mode(path: Path) -> int:
    """As lstat says; 0: nothing is there."""
    with _as_output_error(path):
        try:
            return path.lstat().st_mode
        except FileNotFoundError:
            return 0
        except ValueError as error:  # NUL, or characters that no encoding of this system has
            raise OutputError(f"cannot write {printable(path)!r}: {error}") from error


def _new(folder: Path, suffix: str, *, is_folder: bool = False) -> tuple[Path, int]:
    """A new temporary and a handle that locks it."""
    for tries_left in reversed(range(_TRIES)):
        path = folder / f".ivif-{os.getpid()}-{secrets.token_hex(6)}.part{suffix}"
        handle = -1
        try:
            if is_folder:
                path.mkdir()
                handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            else:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            # Another run may have swept it in the moment before it was locked.
            if lock(handle) and os.path.lexists(path):
                return path, handle
            os.close(handle)
        except FileNotFoundError:  # swept; or nothing can be made here: /proc, or a folder that was removed
            if not tries_left or not folder.is_dir():
                raise
        except BaseException:
            if handle >= 0:
                os.close(handle)
            with suppress(OSError):
                path.rmdir() if is_folder else path.unlink()
            raise
    raise OSError(errno.EBUSY, "other runs remove every file that is new in its folder")


def _remove_abandoned(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is in use, or locks are unknown
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some network file systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)


def _renameat2(source: Path, target: Path, flag: int) -> bool:
    """False: the C library or the file system does not know the flag.

    Raises:
        OSError: it failed.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(target))


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise OutputError(f"{printable(path)} already exists; --overwrite replaces it") from error
    except OSError as error:
        raise OutputError(f"cannot write {printable(path)}: {error.strerror or error}") from error
