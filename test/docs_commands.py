"""`make docs-test`: every command of README and docs as it is typed: in a clone, a wheel's environment or a workspace.

A comment before a block, which no reader sees, says what differs from typing it, one rule a line:

    <!-- docs-test
    skip `make test`: minutes              not run, for this reason; without `…`: the whole block
    with `<this repository>`: $REPO        typed as this instead
    stays `ros2 launch`: status: fusing    runs until Ctrl-C: goes on beside the commands after it once it has said this
    while `fusion_node`: status            the same, started before the block though it is not written there
    first: cp -r fused other               typed before the block
    needs `ivif fuse-many`: ray            not run where Python has no such package
    -->

$REPO is the clone, $INPUTS the folder of `docs_inputs`, which is also copied to where the commands run. What needs a
program that is not here, or a file of the clone where there is none, is not run either, and is counted. Of commands
within the text, the names of commands, options, modules and targets of make are checked.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "training/README.md",
    *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md")),
)
BLOCK = re.compile(
    r"^(?: *<!-- docs-test\n(?P<rules>.*?)-->\n+)?"
    r"(?P<indent> *)```(?P<language>bash|console|python)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
RULE = re.compile(r" *(?P<kind>skip|with|stays|while|first|needs)(?: `(?P<text>.+?)`)?: ?(?P<value>.*)")
INLINE = re.compile(r"(?<!`)`((?:ivif|make|python -m) [^`]+)`")
BUILT_IN = ("cd", "export", "source", "eval", "test")
PATIENCE, START, QUIET, END = 400.0, 90.0, 6.0, 25.0
"""Seconds: for a command; until one that stays has said its word; for one without a word; from Ctrl-C to the end."""
INTERRUPTED = (0, -signal.SIGINT, 128 + signal.SIGINT, signal.SIGINT)
"""Exit statuses after Ctrl-C; the last is that of the `ros2` command."""
PRELUDE = """
import cv2
images = (cv2.imread(f"{name}/0.png", 0) for name in ("infrared", "visible", "other"))
infrared, visible, fused = (cv2.resize(image, (320, 240)) for image in images)
"""


@dataclass
class Block:
    """One fenced block, with the rules before it: (kind, text it is for or '', value)."""

    page: str
    line: int
    language: str
    text: str
    rules: list[tuple[str, str, str]]

    def rule(self, kind: str, command: str) -> str | None:
        return next((value for its, text, value in self.rules if its == kind and text in command), None)

    def commands(self) -> list[str]:
        if self.language == "python":
            return [self.text]
        lines = self.text.replace("\\\n", "\\\0").splitlines()
        lines = [line.removeprefix("$ ").replace("\0", "\n") for line in map(str.strip, lines)]
        return [line for line in lines if line and not line.startswith("#")]


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page that hold commands or Python.

    Raises:
        ValueError: a rule is none.
    """
    text = (ROOT / page).read_text("utf-8")
    for found in BLOCK.finditer(text):
        rules = []
        for line in filter(str.strip, (found["rules"] or "").splitlines()):
            rule = RULE.fullmatch(line)
            if rule is None:
                raise ValueError(f"{page}: not a rule: {line}")
            rules.append((rule["kind"], rule["text"] or "", rule["value"]))
        body = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        yield Block(page, text[: found.start("text")].count("\n"), found["language"], body, rules)


def inline_faults(page: str) -> Iterator[str]:
    """What is named within the text of a page and is not there."""
    from ivif_core.cli.tree import COMMANDS, GROUPS

    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for span in INLINE.findall((ROOT / page).read_text("utf-8")):
        program, *words = span.split()
        is_there = True
        if program == "make":
            is_there = {word for word in words if "=" not in word} <= targets
        elif program == "python":
            is_there = importlib.util.find_spec(words[1]) is not None
        elif words[0].isalpha() and words[0].islower() and words[0] not in GROUPS:
            name = next((name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS), None)
            options = {word.strip(",)…") for word in words if word.startswith("--")}
            is_there = name is not None and options <= _options(name)
        if not is_there:
            yield span


def _options(command: str) -> set[str]:
    from ivif_core.cli.parser import make_parser

    parser = make_parser(command)
    for word in command.split():
        subparsers = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        parser = subparsers.choices[word]
    return set(parser._option_string_actions)


class Shell:
    """Commands one after the other, as in one terminal: the folder and what is exported go on from each to the next."""

    def __init__(self, folder: Path, environment: dict[str, str], log: Path) -> None:
        self.folder, self.environment, self.log = folder, environment, log
        self._state = log.with_suffix(".env")
        self._staying: dict[str, tuple[subprocess.Popen[bytes], str]] = {}

    def run(self, command: str) -> str:
        """What went wrong; empty: nothing."""
        script = f'set -a -o pipefail\n{command}\nstatus=$?; env -0 > "$DOCS_STATE"; exit $status'
        process = self._start(script, {"DOCS_STATE": str(self._state)})
        try:
            status = process.wait(PATIENCE)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return f"not done after {PATIENCE:.0f} s"
        if status == 0:
            pairs = (pair.partition("=") for pair in self._state.read_text("utf-8").split("\0") if pair)
            self.environment = {name: value for name, _, value in pairs if name not in ("DOCS_STATE", "SHLVL", "_")}
            self.folder = Path(self.environment["PWD"])
        return f"exit status {status}" if status else ""

    def stay(self, command: str, word: str) -> str:
        """Start what ends by Ctrl-C only, in place of the last one of its name."""
        name = " ".join(command.split()[:2])
        fault = self._end(name)
        start = self.log.stat().st_size if self.log.exists() else 0
        process = self._start(f"exec env --default-signal=INT {command}", {})
        self._staying[name] = (process, command)
        limit = time.monotonic() + (START if word else QUIET)
        while time.monotonic() < limit and process.poll() is None:
            with self.log.open("rb") as log:
                log.seek(start)
                if word and word.encode() in log.read().partition(b"\n$ ")[2]:
                    return fault
            time.sleep(0.1)
        if process.poll() is None and not word:
            return fault
        return fault or f"did not say {word!r}; exit status {process.poll()}"

    def end(self) -> list[str]:
        """Ctrl-C to all that stay; what went wrong."""
        return [fault for name in list(self._staying) if (fault := self._end(name))]

    def _end(self, name: str) -> str:
        process, command = self._staying.pop(name, (None, ""))
        if process is None or process.poll() is not None:
            return f"{command}: ended by itself, exit status {process.poll()}" if process else ""
        os.killpg(process.pid, signal.SIGINT)
        try:
            status = process.wait(END)
        except subprocess.TimeoutExpired:
            status = None
        with suppress(ProcessLookupError):  # what it left behind
            os.killpg(process.pid, signal.SIGKILL)
        return "" if status in INTERRUPTED else f"{command}: after Ctrl-C status {status}"

    def _start(self, script: str, more: dict[str, str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            log.write(f"\n$ {script}\n".encode())
            log.flush()
            return subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.folder,
                env=self.environment | more,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def why_not_here(command: str, shell: Shell) -> str:
    """What a command needs that is not here; empty: nothing."""
    is_clone = (shell.folder / "pyproject.toml").exists()
    for part in re.split(r"&&|\||;|\$\(", re.sub(r"\\\n|\s+# .*", " ", command)):
        words = [word.strip("\"'") for word in part.split() if not re.match(r"\w+=", word)]
        if not words or words[0] in BUILT_IN:
            continue
        missing = (word for word in words if not (shell.folder / word).exists())
        of_clone = words[0] == "make" or any(map(_is_of_clone, missing))
        if not is_clone and (of_clone or any(re.match(r"\.(\[.*\])?$|test\.", word) for word in words)):
            return "needs a clone"
        if shutil.which(words[0], path=shell.environment["PATH"]) is None and not (shell.folder / words[0]).exists():
            return f"{words[0]} is not here"
    return ""


def _is_of_clone(word: str) -> bool:
    return "/" in word and not word.startswith(("/", ".")) and (ROOT / word).exists()


def run_block(block: Block, shell: Shell) -> Iterator[tuple[str, str, str]]:
    """Run one block: (command, 'ok' | 'not run' | 'FAILED', why)."""
    reason = next((value for kind, text, value in block.rules if kind == "skip" and not text), None)
    for kind, text, value in block.rules:
        hidden = value if kind == "first" else text
        if kind not in ("first", "while") or reason or (kind == "while" and why_not_here(text, shell)):
            continue
        if fault := shell.run(value) if kind == "first" else shell.stay(text, value):
            yield hidden, "FAILED", fault
    for typed in block.commands():
        command = typed
        for kind, text, value in block.rules:
            if kind == "with":
                command = command.replace(text, value)
        if block.language == "python":
            command = f"python - <<'END'\n{PRELUDE}\n{command}\nEND"
        why = reason or block.rule("skip", typed) or why_not_here(command.partition("<<")[0], shell)
        if not why and (package := block.rule("needs", typed)) and shell.run(f"python -c 'import {package}'"):
            why = f"{package} is not here"
        if why:
            yield typed, "not run", why
            continue
        word = block.rule("stays", typed)
        # Resolves all and installs nothing: others use this environment.
        command = re.sub(r"^(pip3? install)", r"\1 --dry-run", command)
        fault = shell.run(command) if word is None else shell.stay(re.sub(r"\s+# .*", "", command), word)
        yield typed, "FAILED" if fault else "ok", fault
    for fault in shell.end():
        yield "Ctrl-C", "FAILED", fault


def place(kind: str, scratch: Path) -> tuple[Path, Path, dict[str, str]]:
    """Where to type: the folder, a clone, and the environment."""
    clone, home, folder = scratch / "ivif_ros", scratch / "home", scratch / "work"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    for made in (home / "ws/src", folder):
        made.mkdir(parents=True)
    domain = os.environ.get("ROS_DOMAIN_ID", str(random.randrange(1, 100)))
    more = {"HOME": str(home), "ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    more |= {"ROS_LOG_DIR": str(scratch / "log"), "ROS_LOCALHOST_ONLY": "1", "OMP_NUM_THREADS": "1"}
    more |= {"PYTHONUNBUFFERED": "1", "TERM": "dumb"}
    more |= {"PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip"))}
    environment, programs = os.environ | more, Path(sys.executable).parent
    if kind == "clone":
        folder, environment["PYTHONPATH"] = clone, str(clone)
    elif kind == "wheel":
        programs = scratch / "venv/bin"
        for command in (
            [sys.executable, "-m", "venv", str(programs.parent)],
            [str(programs / "pip"), "wheel", "-qq", "--no-deps", "--wheel-dir", str(scratch), str(clone)],
        ):
            subprocess.run(command, check=True)
        wheel = next(scratch.glob("*.whl"))
        extras = "ros,openvino,video,ray,completion"
        subprocess.run([str(programs / "pip"), "install", "-qq", f"{wheel}[{extras}]"], check=True)
        environment.pop("PYTHONPATH", None)
    else:
        workspace = scratch / "workspace"
        (workspace / "src").mkdir(parents=True)
        (workspace / "src/ivif_ros").symlink_to(clone)
        built = f"cd {shlex.quote(str(workspace))} && colcon build --packages-select ivif_ros && . install/setup.bash"
        result = subprocess.run(
            ["bash", "-c", f"{built} >&2 && env -0"], env=environment, capture_output=True, text=True
        )
        if result.returncode:
            raise SystemExit(f"the workspace is not built:\n{result.stderr}")
        environment = dict(pair.split("=", 1) for pair in result.stdout.split("\0") if "=" in pair)
    if kind != "workspace":  # a `ros2` that is here knows nothing of the package
        others = (part for part in environment["PATH"].split(":") if not (Path(part) / "ros2").exists())
        environment["PATH"] = ":".join([str(programs), *others])
    return folder, clone, environment


def main() -> int:
    """0; 1 where a command failed."""
    parser = argparse.ArgumentParser(prog="make docs-test", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pages", nargs="*", default=PAGES, help="files of the clone (default: all)")
    parser.add_argument(
        "--place", choices=("clone", "wheel", "workspace"), default="clone", help="default: %(default)s"
    )
    args = parser.parse_args()
    from test.docs_inputs import write_inputs

    counts: Counter[str] = Counter()
    scratch = Path(tempfile.mkdtemp(prefix="ivif-docs-"))
    folder, clone, environment = place(args.place, scratch)
    inputs = scratch / "inputs"
    environment |= {"REPO": str(clone), "INPUTS": str(inputs)}
    write_inputs(inputs)
    for page in args.pages:
        for fault in inline_faults(page):
            counts["FAILED"] += 1
            print(f"FAILED   {page}: `{fault}`: there is no such thing", flush=True)
        subprocess.run(["git", "-C", str(clone), "clean", "-fdxq", "--exclude", ".venv"], check=True)
        if folder != clone:
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(inputs, folder, dirs_exist_ok=True)
        for block in blocks(page):
            shell = Shell(folder, dict(environment), scratch / f"{page.replace('/', '_')}.log")
            try:
                for command, outcome, why in run_block(block, shell):
                    counts[outcome] += 1
                    first = " ".join(command.split())[:110]
                    print(f"{outcome:8} {page}:{block.line}: {first}{': ' if why else ''}{why}", flush=True)
            finally:
                shell.end()
    if shutil.which("ros2", path=environment["PATH"]):
        subprocess.run(["ros2", "daemon", "stop"], env=environment, capture_output=True)
    print(", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items())))
    if counts["FAILED"]:
        print(f"what the commands said: {scratch}/*.log")
        return 1
    shutil.rmtree(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
