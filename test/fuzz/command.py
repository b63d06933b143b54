"""The command `ivif` in a forked child under limits, and what must hold of every run of it."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import ivif_core
from ivif_core.cli.main import main
from test.fuzz.mill import Case, Verdict

TIMEOUT = 90.0
"""Seconds after which a run counts as hung; a busy machine needs some for what takes 0.2 s on an idle one."""
ORPHANS = 20.0
"""Seconds that children may live on after a run that was killed."""
MEMORY = 2 << 30
"""Bytes of address space that a run may take beyond what it starts with."""
SAID = 8000
"""Most characters that one run may print."""
_NATIVE = re.compile(
    r"libpng (error|warning)|\[ ?(WARN|ERROR|INFO):\d+@|Corrupt JPEG|Premature end of JPEG|JPEG|TIFF|"
    r"(\x1b\[[\d;]*m)?(\d{4}-\d.*onnxruntime|$)"
)
"""How lines begin that libraries of C and C++ print past Python."""
ROOT = Path(ivif_core.__file__).resolve().parents[1]
"""Folder of the product that is tried."""
COMMAND = "import sys; from ivif_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
UNCAUGHT = 99
"""Exit code of the child where an exception left `main`."""


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: exit code; negative: the signal that killed it; None: it hung.
        errors: standard error.
        output: standard output.
        seconds: how long it ran.
        lasting: its children live on, though it is gone.
    """

    code: int | None
    errors: str
    output: str
    seconds: float
    lasting: bool = False

    @property
    def said(self) -> str:
        return self.errors + self.output


class Running:
    """A forked child that runs `ivif ARGUMENTS` in `folder`; its temporary files go to `folder`.tmp."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        room: int | None = None,
        *,
        fresh: bool = False,
        memory: int = MEMORY,
    ) -> None:
        """
        Args:
            memory: bytes of address space beyond what a fork has (RLIMIT_AS).
            room: bytes that a file may have at most (RLIMIT_FSIZE); None: any.
            fresh: start a Python of its own, as a shell does, instead of a fork of this one.
        """
        self.started = time.monotonic()
        output, errors = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _child(list(arguments), folder, room, (output[1], errors[1]), fresh, memory)
        for _, end in (output, errors):
            os.close(end)
        self._pipes = {output[0]: bytearray(), errors[0]: bytearray()}

    def wait(self, timeout: float = TIMEOUT) -> Ended:
        """Wait until it and all its children are gone; kill those that are left after `timeout`."""
        code = None
        opened, until = dict(self._pipes), self.started + timeout
        while (code is None or opened) and time.monotonic() < until:
            for pipe in select.select(list(opened), [], [], 0.01 if opened else 0.001)[0]:
                part = os.read(pipe, 65536)
                self._pipes[pipe] += part[: 10 * SAID - len(self._pipes[pipe])]
                if not part:
                    del opened[pipe]
            if code is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
                code = os.waitstatus_to_exitcode(ended[1])
                until = min(until, time.monotonic() + ORPHANS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if code is None:
            os.waitpid(self.pid, 0)
        output, errors = (said.decode(errors="replace") for said in self._pipes.values())
        for pipe in self._pipes:
            os.close(pipe)
        return Ended(code, errors, output, time.monotonic() - self.started, lasting=bool(opened) and code is not None)


def run(arguments: Sequence[str], folder: Path, room: int | None = None) -> Ended:
    return Running(arguments, folder, room).wait()


def preload(commands: Sequence[Sequence[str]], folder: Path) -> None:
    """Run each command once in a child, and import here what it imported, so that later children need not."""
    # Its threads would be lost in a fork, with their locks taken. The product itself sees to it in a fresh process.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    for arguments in commands:
        ended = Running(["\0modules", *arguments], folder, memory=8 * MEMORY).wait()  # libraries are mapped here
        if ended.code != 0:
            raise RuntimeError(f"a good input fails: {arguments}: {ended.said}")
        for name in (folder.parent / f"{folder.name}.tmp" / "modules").read_text().split():
            with contextlib.suppress(Exception):  # what only a running command has, as __main__
                importlib.import_module(name)
    del os.environ["ORT_DISABLE_TELEMETRY"]


def preload_here(arguments: Sequence[str], code: int) -> None:
    """Run a command once in this process: for what starts no threads, but is too slow to import twice.

    Args:
        code: with which it should end.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        ended = main(arguments)
    if ended != code:
        raise RuntimeError(f"expected exit code {code}: {arguments}: {said.getvalue()}")


def _child(
    arguments: list[str], folder: Path, room: int | None, ends: tuple[int, int], fresh: bool, memory: int
) -> None:
    """Never returns."""
    code = UNCAUGHT
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(ends[0], 1)
        os.dup2(ends[1], 2)
        os.closerange(3, max(ends) + 1)
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        temporary = folder.parent / f"{folder.name}.tmp"
        temporary.mkdir(exist_ok=True)
        os.environ.update(TMPDIR=str(temporary), HOME=str(temporary), XDG_CACHE_HOME=str(temporary))
        tempfile.tempdir = None
        os.chdir(folder)
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        if fresh:
            os.environ["PYTHONPATH"] = str(ROOT)
            os.execv(sys.executable, [sys.executable, "-B", "-c", COMMAND, *arguments])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _main(arguments: list[str]) -> int:
    wants_modules = arguments[0] == "\0modules"
    try:
        code = main(arguments[1:] if wants_modules else arguments)
    except SystemExit as end:  # a usage error
        code = end.code if isinstance(end.code, int) else 1
    if wants_modules:
        (Path(os.environ["TMPDIR"]) / "modules").write_text("\n".join(sorted(sys.modules)))
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def strangers(folder: Path, case: Case, outputs: Collection[str]) -> list[str]:
    """Inputs that are changed or gone, and what lies in the folder and is neither input nor output."""
    found = []
    for name, content in case.files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            found.append(f"input {name} changed")
    known = {name.split("/")[0] for name in (*case.files, *outputs)}
    found += [f"left over: {path.name}" for path in folder.iterdir() if path.name not in known]
    for name in {name.split("/")[0] for name in case.files if "/" in name}:
        there = {path.relative_to(folder).as_posix() for path in (folder / name).rglob("*") if path.is_file()}
        found += [f"left over: {path}" for path in sorted(there - set(case.files))]
    temporary = folder.parent / f"{folder.name}.tmp"
    found += [f"left over in the temporary folder: {path.name}" for path in temporary.iterdir() if path.is_file()]
    return found


def judge(case: Case, folder: Path, ended: Ended, outputs: Collection[str]) -> Verdict:
    """What must hold of every run that ends by itself.

    Exit code 0, 1 or 2; a refusal is one line; no traceback; nothing left over; no output where the code is 2.

    Args:
        outputs: names of what the command may make in the folder.
    """
    faults = []
    if ended.code is None:
        faults.append(f"hung for {ended.seconds:.0f} s")
    elif ended.code not in (0, 1, 2):
        faults.append(f"exit code {ended.code}")
    if "Traceback" in ended.said or "internal error" in ended.said:
        faults.append("traceback")
    if len(ended.said) > SAID:
        faults.append(f"printed {len(ended.said)} characters")
    if ended.lasting:
        faults.append("its processes live on")
    lines = [line for line in ended.errors.splitlines() if line.strip()]
    ours = [line for line in lines if not _NATIVE.match(line)]
    if len(ours) < len(lines):
        faults.append("a library printed lines of its own")
    if ended.code == 2 and len(ours) != 1 and not ended.errors.startswith("usage:"):
        faults.append(f"{len(ours)} lines for a refusal")
    if ended.code == 1 and not (ours or ended.output.strip()):
        faults.append("exit code 1 without a word")
    faults += strangers(folder, case, outputs if ended.code in (0, 1) else ())
    return Verdict(ended.code in (0, 1), faults, ended.said)
