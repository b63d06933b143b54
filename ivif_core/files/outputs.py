"""What a run may write: never an input, never what this program did not make, never what another run is writing."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ivif_core  # for its version, which is looked up only where it is used
from ivif_core.errors import IvifError, OutputError
from ivif_core.files.writing import check_name, exchange, is_there, lock, make_folder, printable, rename_new, sync_tree

MARK = ".ivif-output.json"
"""File in every folder that a run made as a whole: by what, and the sizes of all its files."""


def check_apart(output: Path, inputs: Iterable[str | Path | None]) -> None:
    """Refuse an output that is, contains or lies in an input, whatever links and mounts it is reached by.

    Args:
        inputs: files and folders; None stands for one that was not given.

    Raises:
        OutputError: it does.
    """
    given = [Path(path) for path in inputs if path is not None]
    which = "the input" if len(given) == 1 else "an input"
    try:
        here = output.resolve()
        for path in given:
            source = path.resolve()
            if source == here or (_identity(here) and _identity(source) == _identity(here)):
                said = "holds inputs" if here.is_dir() and len(given) > 1 else f"is {which}"
                raise OutputError(f"{printable(output)} {said}; name another output")
            if _holds(here, source):
                raise OutputError(f"{printable(output)} holds inputs ({printable(path)}); name another output")
            if _holds(source, here):
                raise OutputError(f"{printable(output)} lies in {which}, {printable(path)}; name another output")
    except IvifError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, before Python 3.13; NUL in a name
        raise OutputError(f"cannot write {printable(output)}: {error}") from error


def check_file(output: Path, inputs: Iterable[str | Path | None], *, overwrite: bool) -> None:
    """Refuse, before any work, a file that cannot be written at the end.

    Raises:
        OutputError: as `check_apart`; it is there and `overwrite` is False; a folder or device is in the way; its
            folder is missing.
    """
    check_name(output)
    if output.is_dir() or not output.parent.is_dir():
        raise OutputError(f"cannot write {printable(output)}: expected the path of a file in a folder that exists")
    check_apart(output, inputs)
    if not overwrite and is_there(output):
        raise OutputError(f"{printable(output)} already exists; --overwrite replaces it")


def check_folder(output: Path, inputs: Iterable[str | Path | None], *, overwrite: bool) -> None:
    """Refuse, before any work, a folder that `place_folder` will not put in place.

    Raises:
        OutputError: as `check_apart`; it is there and `overwrite` is False; it is not of this program, or not only.
    """
    check_name(output)
    check_apart(output, inputs)
    if is_there(output):
        if not overwrite:
            raise OutputError(f"{printable(output)} already exists; --overwrite replaces it")
        check_ours(output, output)


def check_ours(folder: Path, named: Path) -> None:
    """Refuse a folder in which anything is not as this program left it.

    Args:
        named: its name in the message.

    Raises:
        OutputError: it has no mark, or holds something else too.
    """
    refused = f"{printable(named)} is not replaced: "
    if folder.is_symlink() or not folder.is_dir():
        raise OutputError(f"{refused}ivif did not make this folder; remove it, or name another output")
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
        sizes = dict(mark["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OutputError(f"{refused}ivif did not make it; remove it, or name another output") from error
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent) / name
            inside = path.relative_to(folder).as_posix()
            facts = path.lstat()
            known = inside == MARK or sizes.get(inside) == facts.st_size
            if stat.S_ISDIR(facts.st_mode):
                known = any(key.startswith(f"{inside}/") for key in sizes)
            if not known or not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
                raise OutputError(f"{refused}ivif did not make {printable(inside)} in it; name another output")


def place_folder(made: Path, target: Path, *, made_by: str, overwrite: bool) -> None:
    """Mark a folder that is whole and give it its name, at once.

    Args:
        made: lies in a `files.temporary_folder` beside the target; with `overwrite` the old one is there afterwards.
        made_by: command, for the mark.

    Raises:
        OutputError: another run was faster, or what is there now may not be replaced.
        OSError: the disk is full or fails.
    """
    sizes = {
        path.relative_to(made).as_posix(): path.stat().st_size for path in sorted(made.rglob("*")) if path.is_file()
    }
    mark: dict[str, Any] = {"made_by": made_by, "version": ivif_core.__version__, "files": sizes}
    (made / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
    sync_tree(made)
    try:
        rename_new(made, target)
    except FileExistsError as error:
        if not overwrite:
            raise OutputError(f"{printable(target)} already exists: another run has just made it") from error
        check_ours(target, target)
        exchange(made, target)
        try:
            check_ours(made, target)  # what was there at that very moment
        except OutputError:
            exchange(made, target)
            raise


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Make a folder where it is missing, and keep other runs out of it as long as the context or this process lasts.

    What was made, and is empty at the end, is removed.

    Raises:
        OutputError: it cannot be made; another run is in it.
    """
    made = [path for path in (folder, *folder.parents) if not is_there(path)]
    make_folder(folder)
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputError(f"cannot write {printable(folder)}: {error.strerror}") from error
    try:
        if not lock(handle):
            raise OutputError(f"another run is writing into {printable(folder)}; wait for it, or name another output")
        yield
    finally:
        with suppress(OSError):  # it holds something
            for path in made:
                path.rmdir()
        os.close(handle)


def _holds(outer: Path, inner: Path) -> bool:
    """Whether resolved `inner` lies below `outer`."""
    wanted = _identity(outer)
    return outer in inner.parents or (wanted is not None and any(_identity(p) == wanted for p in inner.parents))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
