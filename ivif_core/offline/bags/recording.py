"""Which files are a recording, and a reader for each: whole files as they are, broken ones as far as they go."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from ivif_core.errors import ConfigError, InputError
from ivif_core.files.reading import read_text
from ivif_core.files.writing import scratch_folder
from ivif_core.files.yaml_files import load_yaml
from ivif_core.offline.bags.db3_file import Db3File, salvage_db3
from ivif_core.offline.bags.mcap_file import McapFile, SalvagedMcap
from ivif_core.offline.bags.ros1_file import Ros1File
from ivif_core.offline.bags.storage_file import StorageFile
from ivif_core.offline.bags.unpacking import unpack_file

STORAGE_SUFFIXES = (".mcap", ".db3")
_ROS_1 = ".bag"
_METADATA = "metadata.yaml"
_NEWEST_VERSION = 9
_MOST_VALUES = 200_000
"""Values in metadata.yaml; a recording of a day in short files has some ten thousand."""
_MAXIMUM_METADATA = 2 << 20
_MAXIMUM_COUNT = 1 << 48


class BrokenBag(InputError):
    """A bag is there, and cannot be read as it is."""


@dataclass
class Recording:
    """An open recording.

    Attributes:
        files: one after the other, in the order of recording.
        suffix: '.mcap', '.db3' or '.bag'.
        broken: why only a part is there; empty: it is whole.
        said: topic -> how many messages the recording says to have.
    """

    files: list[StorageFile]
    suffix: str
    broken: str = ""
    said: Counter[str] = field(default_factory=Counter)


@dataclass
class _Metadata:
    """Attributes: files in order, and the number of messages by topic, as metadata.yaml has them."""

    files: list[Path]
    counts: Counter[str]


@contextmanager
def open_recording(path: Path, salvage: Path | None = None) -> Iterator[Recording]:
    """Open all files of a recording.

    Args:
        path: folder of a rosbag2 recording, one of its files (packed by zstd or not), or a ROS 1 .bag file. A file
            stands for the whole recording where the metadata.yaml beside it lists it, else for itself alone.
        salvage: an empty folder for copies of broken files; None: a broken recording is refused.

    Raises:
        BrokenBag: it is cut short or damaged, or its metadata.yaml is missing (its recorder was killed).
        InputError: nothing there, nothing that can be read, or a folder with several recordings.
    """
    if not path.exists():
        raise InputError(f"no bag at {path}")
    with ExitStack() as stack:
        recording = _open(path, salvage, stack)
        counted: Counter[str] = Counter()
        for file in recording.files:
            for connection in file.connections:
                counted[connection.topic] += connection.msgcount
        recording.said |= counted
        yield recording


def is_bag(path: Path) -> bool:
    """Whether a path is a recorded bag, by its name: a file of one, or a folder with such."""
    files = path.iterdir() if path.is_dir() else [path]
    return any(_is_storage(file) or file.suffix == _ROS_1 for file in files)


def storage_suffix(path: Path) -> str:
    """'.mcap', '.db3' or another, of a bag's file or of the files in its folder; empty: it has none."""
    files = [path] if path.is_file() else [file for file in sorted(path.iterdir()) if _is_storage(file)]
    return _suffix(files[0]) if files else ""


def _open(path: Path, salvage: Path | None, stack: ExitStack) -> Recording:
    metadata, broken = None, ""
    if path.exists() and not path.is_dir() and not path.is_file():  # a device or a pipe
        raise InputError(f"{path} is not a bag; expected a folder, or a .mcap, .db3 or .bag file")
    try:
        metadata = _metadata_of(path)
        files = metadata.files if metadata else [path]
        missing = [file.name for file in files if not os.path.isfile(file)]  # noqa: PTH113  # raises for no name
        if missing:
            raise BrokenBag(f"{path}: the bag cannot be read: {', '.join(missing[:3])} missing")
        with ExitStack() as opening:
            opened = [_open_file(file, opening) for file in files]
            if lost := [file.lost for file in opened if isinstance(file, Db3File) and file.lost]:
                raise BrokenBag(lost[0])
            stack.push(opening.pop_all())
        return Recording(opened, _suffix(files[0]), said=metadata.counts if metadata else Counter())
    except InputError as error:
        broken = str(error)
        if salvage is None:
            raise error if isinstance(error, BrokenBag) else BrokenBag(_in_one_line(path, broken)) from error
    files = [file for file in metadata.files if os.path.isfile(file)] if metadata else []  # noqa: PTH113
    files = files or ([path] if path.is_file() else _split_files(path))
    opened, reasons = [], []
    for file in files:
        try:
            opened.append(_salvage_file(file, salvage, stack))
        except InputError as error:
            reasons.append(str(error))
    if not opened:
        first = reasons[0] if reasons and _METADATA in broken else broken  # of a file, rather than of the metadata
        raise InputError(f"{path}: nothing of this bag can be read: {' '.join(first.split())}")
    said = metadata.counts if metadata else Counter()
    broken = _in_one_line(path, broken)
    if any(isinstance(file, SalvagedMcap) and file.runs_backwards for file in opened):
        broken += "; its messages run backwards in time: `mcap sort` puts them in order"
    return Recording(opened, _suffix(files[0]), broken, said)


def _metadata_of(path: Path) -> _Metadata | None:
    """What the metadata say; None for a file that stands for itself.

    Raises:
        BrokenBag: there are none for a folder, or they cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    place = folder / _METADATA
    if not place.is_file():
        if path.is_dir():
            raise BrokenBag(f"{path} is not a bag: it has no metadata.yaml (`ros2 bag reindex` makes it anew)")
        return None
    if path.is_file() and not _is_storage(path):
        return None
    try:
        metadata = _read_metadata(place)
    except InputError as error:
        raise BrokenBag(f"{path}: the bag cannot be read: {error}") from error
    return metadata if path.is_dir() or any(file.name == path.name for file in metadata.files) else None


def _read_metadata(place: Path) -> _Metadata:
    try:
        content = load_yaml(
            read_text(place, _MAXIMUM_METADATA), place, most_values=_MOST_VALUES, longest=_MAXIMUM_METADATA
        )
    except ConfigError as error:
        raise InputError(str(error)) from error
    about = content.get("rosbag2_bagfile_information") if isinstance(content, dict) else None
    if not isinstance(about, dict):
        raise InputError(f"{place}: expected rosbag2_bagfile_information with a mapping")
    version, names, topics = (about.get(key) for key in ("version", "relative_file_paths", "topics_with_message_count"))
    if not (_is_count(version) and version <= _NEWEST_VERSION):
        raise InputError(f"{place}: expected a version up to {_NEWEST_VERSION}, got {str(version)[:40]}")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"{place}: relative_file_paths: expected a list of file names")
    # Old recorders put the folder's name before; a recording's files lie beside its metadata in any case.
    files = [place.with_name(PurePosixPath(name).name or "none") for name in dict.fromkeys(names)]
    if not all(_is_storage(file) for file in files):
        raise InputError(f"{place}: relative_file_paths: expected .mcap or .db3 files, got {names[0][:80]!r}")
    counts: Counter[str] = Counter()
    for entry in topics if isinstance(topics, list) else [None]:
        known = entry if isinstance(entry, dict) else {}
        about_topic, count = known.get("topic_metadata"), known.get("message_count")
        name = about_topic.get("name") if isinstance(about_topic, dict) else None
        if not isinstance(name, str) or not _is_count(count):
            raise InputError(f"{place}: topics_with_message_count: expected names with counts")
        counts[name] += count
    return _Metadata(files, counts)


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAXIMUM_COUNT


def is_recording(folder: Path) -> bool:
    """Whether a folder holds one recording; with lost metadata and files of several, each of them is one."""
    if (folder / _METADATA).is_file():
        return True
    files = [file for file in folder.iterdir() if _is_storage(file) and file.is_file()]
    return len({(_number(file)[0], _suffix(file)) for file in files}) == 1


def _split_files(folder: Path) -> list[Path]:
    """The files of the one recording in a folder whose metadata are lost: name_0, name_1 …"""
    files = sorted((file for file in folder.iterdir() if _is_storage(file) and file.is_file()), key=_number)
    if not files:
        ros1 = next((file for file in sorted(folder.iterdir()) if file.suffix == _ROS_1), None)
        remedy = f"; of ROS 1, name the file itself: {ros1}" if ros1 else ""
        raise InputError(f"{folder} is not a bag: no .mcap or .db3 file in it{remedy}")
    names = sorted({(_number(file)[0], _suffix(file)) for file in files})
    if len(names) > 1:
        has = ", ".join(stem + suffix for stem, suffix in names[:5])
        raise InputError(f"{folder} has several recordings and no metadata that list them ({has}); name one file")
    return files


def _number(file: Path) -> tuple[str, int]:
    """Sorts name_10 behind name_9."""
    stem = file.name.removesuffix(".zstd").removesuffix(_suffix(file))
    found = re.fullmatch(r"(.*?)(?:_(\d{1,9}))?", stem, re.DOTALL)
    assert found is not None  # the pattern takes any text
    return found[1], int(found[2] or 0)


def _suffix(file: Path) -> str:
    """Of the storage: .db3 for x.db3.zstd."""
    return file.with_suffix("").suffix if file.suffix == ".zstd" else file.suffix


def _is_storage(file: Path) -> bool:
    return _suffix(file) in STORAGE_SUFFIXES


def _open_file(file: Path, stack: ExitStack) -> StorageFile:
    kinds = {".mcap": McapFile, ".db3": Db3File, _ROS_1: Ros1File}
    kind = kinds.get(_suffix(file))
    if kind is None:
        raise InputError(f"{file} is not a bag; expected a folder, or a .mcap, .db3 or .bag file")
    return _closing(kind(_plain(file, stack)), stack)


def _salvage_file(file: Path, folder: Path, stack: ExitStack) -> StorageFile:
    try:
        return _open_file(file, stack)
    except InputError:
        if _suffix(file) not in STORAGE_SUFFIXES:
            raise
    plain = _plain(file, stack)
    return _closing(SalvagedMcap(plain) if _suffix(file) == ".mcap" else salvage_db3(plain, folder), stack)


def _plain(file: Path, stack: ExitStack) -> Path:
    """The file, unpacked where it is packed."""
    if file.suffix != ".zstd":
        return file
    plain = stack.enter_context(scratch_folder()) / file.stem
    unpack_file(file, plain)
    return plain


def _closing(file: Any, stack: ExitStack) -> StorageFile:
    stack.callback(file.close)
    return file


def _in_one_line(path: Path, reason: str) -> str:
    reason = " ".join(reason.split())
    says_so = "cannot be read" in reason or "is not a bag" in reason
    return reason if says_so else f"{path}: the bag cannot be read: {reason}"
