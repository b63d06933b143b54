"""The one place where an error of a command becomes a line for a person and an exit status.

What is raised on purpose (`IvifError`) is the user's to mend: status 2. An exception that nobody foresaw is this
program's fault and says so: status 70. `IVIF_TRACEBACK=1` shows where either came from.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, TextIO

from ivif_core.cli.missing_package import missing_package
from ivif_core.cli.parser import complete, parse
from ivif_core.cli.quiet import only_own_lines
from ivif_core.errors import IvifError, one_line
from ivif_core.files.interruption import at_once, was_interrupted

DONE_IN_PART, WRONG_INPUT, INTERNAL_ERROR, INTERRUPTED, NO_READER = 1, 2, 70, 130, 141
"""70 is EX_SOFTWARE of sysexits.h; the last two are what a shell shows for SIGINT and SIGPIPE."""
LONGEST_MESSAGE = 1000
_OUT_OF_MEMORY = ("allocate memory", "not enough memory", "out of memory", "bad_alloc", "bad allocation", "map segment")


def run(argv: Sequence[str] | None) -> int:
    """Run `ivif` with these arguments (None: the process's); no exception leaves it, but a signal's."""
    _open_standard_files()
    with only_own_lines():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    name = "ivif"
    try:
        with at_once():  # the command's module is imported here, with what it needs
            complete()
            arguments = parse(list(sys.argv[1:] if argv is None else argv))
        name = f"ivif {arguments.command}"
        status = int(arguments.run(arguments))
        sys.stdout.flush()
        return status
    except SystemExit as end:  # --help, --version
        return _flushed(end.code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        return INTERRUPTED if was_interrupted() else _report(name, error)


def _flushed(code: Any) -> int:
    try:
        sys.stdout.flush()
    except OSError as error:
        return _report("ivif", error)
    return code if isinstance(code, int) else 0


def _report(name: str, error: Exception) -> int:
    """Say what happened on one line of standard error, and tell the exit status."""
    if isinstance(error, BrokenPipeError):
        _discard(sys.stdout)
        return NO_READER
    if os.environ.get("IVIF_TRACEBACK"):
        traceback.print_exception(error)
    status, line = _explain(error)
    try:
        print(f"{name}: {_shortened(line)}", file=sys.stderr, flush=True)
    except OSError:  # standard error is full or closed: the status must do
        _discard(sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        _discard(sys.stdout)
    return status


def _shortened(line: str) -> str:
    """One line; of a long one both ends, since a name of any length stands before what is wrong with it."""
    if len(line) <= LONGEST_MESSAGE:
        return one_line(line, LONGEST_MESSAGE)
    half = LONGEST_MESSAGE // 2
    return f"{one_line(line[:half], half)}…{one_line(line[-half:], half)}"


def _explain(error: Exception) -> tuple[int, str]:
    if isinstance(error, IvifError):
        return WRONG_INPUT, str(error)
    if _is_out_of_memory(error):
        return DONE_IN_PART, "there is not enough memory for this; try fewer workers or smaller images"
    if isinstance(error, ImportError) and (line := missing_package(error)):
        return WRONG_INPUT, line
    if isinstance(error, OSError) and error.strerror:
        return WRONG_INPUT, f"{error.filename or 'cannot write the output'}: {error.strerror}"
    return INTERNAL_ERROR, (
        f"internal error: {type(error).__name__}: {one_line(error)}; please report it, with what "
        "IVIF_TRACEBACK=1 in the environment shows"
    )


def _is_out_of_memory(error: Exception) -> bool:
    """Of Python, NumPy or OpenCV; of torch, a runtime or the loader of libraries, told by their words."""
    if isinstance(error, MemoryError) or getattr(error, "code", None) == -4:  # cv2.Error.StsNoMem
        return True
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def _open_standard_files() -> None:
    """Let /dev/null stand for standard files that are closed: else the next file opened would take their output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    # A name from a file system need not be text; it must not end the command that prints it.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _discard(stream: TextIO) -> None:
    """Send what is still buffered nowhere, so that Python's own flush at the end says nothing."""
    try:
        target = stream.fileno()
    except (OSError, ValueError):  # no real file: a test's
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, target)
    os.close(null)
