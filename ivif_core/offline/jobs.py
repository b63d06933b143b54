"""Many folders and bags, each a job of its own: what to do, what became of it, and doing one."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ivif_core.errors import ConfigError, InputError, IvifError, OutputError
from ivif_core.files.outputs import check_folder, place_folder
from ivif_core.files.reading import read_text
from ivif_core.files.writing import append_line, temporary_folder
from ivif_core.imaging.files import pair_by_stem
from ivif_core.models import resolve_model
from ivif_core.offline.bag import fuse_bag
from ivif_core.offline.bags.recording import is_bag, is_recording
from ivif_core.offline.folder import fuse_folder, reader
from ivif_core.settings import Settings
from ivif_core.types import Source

DONE, PARTIAL, FAILED = "done", "partial", "failed"
_MOST_NAMED = 3
"""Failed images of a folder that the manifest names one by one."""


@dataclass(frozen=True)
class Job:
    """One folder of pairs or one bag.

    Attributes:
        source: folder with `infrared/` and `visible/`, or a bag.
        target: folder of fused images, or the new bag.
        topics: of bags: 'infrared' and 'visible' -> topic; what is left out is found in each bag by type.
        parameters: of the node, by dotted name.
        keep_all: of bags: copy all other messages too.
    """

    source: str
    target: str
    topics: dict[Source, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    keep_all: bool = False

    def settings(self) -> dict[str, Any]:
        """What the result depends on, besides input and model."""
        return {"parameters": self.parameters, "topics": self.topics, "keep_all": self.keep_all}

    def entry(self, error: str = "") -> dict[str, Any]:
        """The manifest's entry of a job of which nothing is done yet."""
        hashes = {"input_sha256": None, "model_sha256": None}
        ended = {"output": self.target, "status": FAILED, "fused": 0, "error": error, "seconds": None}
        return {"input": self.source, **hashes, **self.settings(), **ended}


def find_sources(lists: Iterable[Path]) -> list[Path]:
    """Inputs that the arguments name: text files hold one path a line (relative to the file; # begins a comment).

    A folder is an input itself (a bag, or pairs), or else all its sub-folders and bag files are looked at.

    Raises:
        InputError: a list is missing or no text, or nothing is named.
    """
    found: dict[Path, None] = {}
    for path in lists:
        if path.is_dir() and not is_recording(path) and not _holds_pairs(path):
            inside = (child for child in sorted(path.iterdir()) if is_bag(child) or _holds_pairs(child))
            found.update(dict.fromkeys(inside))
        elif path.is_dir() or is_bag(path):
            found[path] = None
        else:
            try:
                lines = read_text(path).splitlines()
                if "\0" in "".join(lines):
                    raise ConfigError("it holds NUL")
            except ConfigError as error:
                raise InputError(f"{path}: expected a folder, a bag, or a text file of such: {error}") from error
            named = (line.partition("#")[0].strip() for line in lines)
            found.update(dict.fromkeys(path.parent / name for name in named if name))
    if not found:
        raise InputError(f"no folder of pairs and no bag in {', '.join(map(str, lists))}")
    return list(found)


def _holds_pairs(path: Path) -> bool:
    return (path / "infrared").is_dir() and (path / "visible").is_dir()


def name_targets(sources: Sequence[Path], output: Path) -> list[Path]:
    """Where each input goes: its name in `output`; inputs of one name get a piece of their path's hash behind it."""
    uses = Counter(source.stem for source in sources)
    return [
        output / (source.stem if uses[source.stem] == 1 else f"{source.stem}-{_short_hash(source)}")
        for source in sources
    ]


def _short_hash(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]


def hash_files(path: Path) -> str:
    """SHA-256 over names and contents of a file, or of all files of a folder.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    files = sorted(child for child in path.rglob("*") if child.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def run_job(job: Job, earlier: dict[str, Any] | None = None) -> dict[str, Any]:
    """Do one job; whatever goes wrong is in the entry.

    Args:
        earlier: the job's entry of a former run: given back where input, model and settings are the same, it did not
            fail, and the output is still there.

    Returns:
        The manifest's entry: input, input_sha256, model_sha256, parameters, topics, keep_all, output, status (done;
        partial: a broken bag or some bad images; failed), fused, seconds, error.
    """
    started = time.perf_counter()
    source, target = Path(job.source), Path(job.target)
    entry = job.entry()
    try:
        entry["input_sha256"] = hash_files(source)
        entry["model_sha256"] = hash_files(resolve_model(job.parameters.get("model")))
        same = ("input_sha256", "model_sha256", *job.settings(), "output")
        is_same = earlier is not None and all(earlier.get(key) == entry[key] for key in same)
        if earlier and is_same and earlier["status"] != FAILED and target.exists():
            return earlier
        entry["fused"], entry["error"] = _fuse(job, source, target)
        entry["status"] = PARTIAL if entry["error"] else DONE
    except IvifError as error:
        entry["error"] = str(error)
    except Exception as error:  # one bad input must not stop thousands
        entry["error"] = f"{type(error).__name__}: {error}"
    entry["seconds"] = round(time.perf_counter() - started, 3)
    return entry


def _fuse(job: Job, source: Path, target: Path) -> tuple[int, str]:
    """Pairs fused, and what is missing of the result."""
    parameters = Settings.from_values({"threads": 1, **job.parameters})  # jobs run side by side, so one thread each
    with parameters.fuser() as fuser:
        if not _holds_pairs(source):
            result = fuse_bag(
                source,
                target,
                job.topics,
                fuser,
                parameters.pairing(),
                keep_all=job.keep_all,
                overwrite=True,
                maximum_megapixels=parameters.maximum_megapixels,
                crops=parameters.crops(),
            )
            malformed = result.dropped["malformed"]
            return result.fused, result.broken or (f"{malformed} malformed images" if malformed else "")
        pairs, lonely = pair_by_stem(source / "infrared", source / "visible")
        check_folder(target, [source], overwrite=True)
        with temporary_folder(target) as part:
            read = reader(parameters.maximum_megapixels, parameters.crops())
            made = fuse_folder(fuser, pairs, part / target.name, read=read)
            if made.unwritten:
                raise OutputError(made.failed[made.unwritten[0]])
            if not made.written:
                raise InputError(f"{source}: no pair could be fused: {next(iter(made.failed.values()))}")
            place_folder(part / target.name, target, made_by="ivif fuse-many", overwrite=True)
    missing = [f"{len(lonely)} files without a partner"] if lonely else []
    if made.failed:
        named = "; ".join(f"{stem}: {why}" for stem, why in list(made.failed.items())[:_MOST_NAMED])
        missing.append(f"{len(made.failed)} pairs failed ({named})")
    return len(made.written), "; ".join(missing)


_LARGEST_MANIFEST = 1 << 30


class Manifest:
    """A file of one JSON object a line, appended to as jobs end; the last line of an input counts."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            InputError: the file is there and cannot be read.
        """
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        try:
            lines = read_text(path, _LARGEST_MANIFEST).splitlines() if path.exists() else []
        except ConfigError as error:
            raise InputError(f"cannot read the manifest {path}: {error}") from error
        for line in lines:
            try:
                entry = json.loads(line)
                if entry.keys() >= {"input", "status"}:
                    self.entries[entry["input"]] = entry
            except (ValueError, AttributeError, TypeError, RecursionError):
                continue  # the line that a killed run was writing

    def add(self, entry: dict[str, Any]) -> None:
        """Keep an entry and write it at once.

        Raises:
            OutputError: the file cannot be written; it stays as it was.
        """
        if self.entries.get(entry["input"]) == entry:
            return
        self.entries[entry["input"]] = entry
        append_line(self.path, json.dumps(entry))
