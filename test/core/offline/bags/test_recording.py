from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ivif_core.cli.main import main
from ivif_core.errors import InputError
from ivif_core.offline.bags.images import read_bag_images
from ivif_core.offline.bags.recording import BrokenBag, open_recording
from ivif_core.offline.extract import extract
from test.core.offline.bags.bombs import record as mcap_record
from test.core.recorded_bag import INFRARED, TOPICS, VISIBLE, cut, frames, record

storages = pytest.mark.parametrize("mcap", [True, False], ids=["mcap", "db3"])


def suffix(mcap: bool) -> str:
    return ".mcap" if mcap else ".db3"


def count(path: Path) -> int:
    return sum(image.source == "visible" for image in read_bag_images(path, INFRARED, VISIBLE))


def pairs(path: Path, out: Path) -> int:
    return extract(path, out, **TOPICS).pairs


@pytest.fixture
def two(tmp_path, request):
    """A recording of 3 pairs in whose folder one of 5 was put."""

    def make(mcap: bool) -> tuple[Path, Path]:
        record(tmp_path / "a", frames(3), mcap=mcap)
        record(tmp_path / "other", frames(5), mcap=mcap)
        stranger = tmp_path / "a" / f"b{suffix(mcap)}"
        shutil.copy(tmp_path / "other" / f"other{suffix(mcap)}", stranger)
        return tmp_path / "a", stranger

    return make


@storages
def test_the_named_file_is_read_and_never_its_neighbour(two, mcap):
    folder, stranger = two(mcap)
    assert count(stranger) == 5
    assert count(folder) == count(folder / f"a{suffix(mcap)}") == 3


@storages
def test_recovery_takes_the_named_file_alone(two, tmp_path, mcap):
    folder, stranger = two(mcap)
    stranger.write_bytes(stranger.read_bytes()[:-200])
    assert 0 < pairs(stranger, tmp_path / "one") <= 5
    listed = folder / f"a{suffix(mcap)}"
    listed.write_bytes(b"nothing")
    for path in (folder, listed):
        with pytest.raises(InputError, match="nothing of this bag can be read"):
            pairs(path, tmp_path / "none")
    (folder / "metadata.yaml").unlink()
    with pytest.raises(InputError, match="several recordings"):
        pairs(folder, tmp_path / "none")


@storages
def test_a_file_of_a_split_recording_stands_for_all(tmp_path, mcap):
    record(tmp_path / "a", frames(3), mcap=mcap)
    record(tmp_path / "b", frames(5), mcap=mcap)
    folder, end = tmp_path / "a", suffix(mcap)
    (folder / f"a{end}").rename(folder / f"a_0{end}")
    shutil.copy(tmp_path / "b" / f"b{end}", folder / f"a_1{end}")
    place = folder / "metadata.yaml"
    content = yaml.safe_load(place.read_text())
    content["rosbag2_bagfile_information"]["relative_file_paths"] = [f"a_0{end}", f"a/a_1{end}"]
    place.write_text(yaml.safe_dump(content))
    assert count(folder) == count(folder / f"a_1{end}") == 8
    place.unlink()
    assert count(folder / f"a_1{end}") == 5
    with open_recording(folder, tmp_path) as recording:
        assert len(recording.files) == 2 and "metadata.yaml" in recording.broken


def test_a_renamed_file_is_found_by_its_folder_and_said_to_be_missing(tmp_path):
    record(tmp_path / "a", frames(3))
    (tmp_path / "a" / "a.mcap").rename(tmp_path / "a" / "drive.mcap")
    assert count(tmp_path / "a" / "drive.mcap") == 3
    found = extract(tmp_path / "a", tmp_path / "out", **TOPICS)
    assert found.pairs == 3 and "a.mcap missing" in found.broken


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
@storages
def test_packed_files_and_messages(tmp_path, mcap, mode):
    record(tmp_path / "plain", frames(2), mcap=mcap)
    store = get_typestore(Stores.ROS2_HUMBLE)
    writer = Writer(tmp_path / "a", version=9, storage_plugin=StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with open_recording(tmp_path / "plain") as plain, writer:
        (file,) = plain.files
        wanted = [c for c in file.connections if c.topic in (INFRARED, VISIBLE)]
        topics = {c.topic: writer.add_connection(c.topic, c.msgtype, typestore=store) for c in wanted}
        for connection, recorded, raw in file.messages(wanted):
            writer.write(topics[connection.topic], recorded, raw)
    assert count(tmp_path / "a") == 2
    file = next(path for path in (tmp_path / "a").iterdir() if path.name != "metadata.yaml")
    assert count(file) == 2
    (tmp_path / "a" / "metadata.yaml").unlink()
    assert count(file) == 2 and pairs(tmp_path / "a", tmp_path / "out") == 2


HOSTILE = {
    "no mapping": lambda about: "- 1",
    "alias bomb": lambda about: "a: &a [x, x]\nb: &b [*a, *a]\nrosbag2_bagfile_information: *b\n",
    "deep": lambda about: "[" * 500,
    "cut": lambda about: yaml.safe_dump(about)[:60],
    "huge count": lambda about: yaml.safe_dump(about).replace("message_count: 3", "message_count: 1" + "0" * 400),
    "huge number": lambda about: "rosbag2_bagfile_information: {version: 1" + "0" * 5000 + "}",
    "new version": lambda about: yaml.safe_dump(about).replace("version: 9", "version: 10"),
    "files are a number": lambda about: yaml.safe_dump(about).replace("- a.mcap", "17"),
    "file elsewhere": lambda about: yaml.safe_dump(about).replace("a.mcap", "/etc/passwd"),
    "file of no name": lambda about: yaml.safe_dump(about).replace("a.mcap", "'..'"),
    "topics are text": lambda about: (
        "rosbag2_bagfile_information: {version: 9, relative_file_paths: [a.mcap], topics_with_message_count: abc}"
    ),
    "no text": lambda about: "\udcff\udcfe",
    "megabytes": lambda about: "#" * (3 << 20),
    "tag": lambda about: "rosbag2_bagfile_information: !!float abc",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata_are_one_line_and_the_file_is_read(tmp_path, name):
    record(tmp_path / "a", frames(3))
    place = tmp_path / "a" / "metadata.yaml"
    place.write_bytes(HOSTILE[name](yaml.safe_load(place.read_text())).encode("utf-8", "surrogateescape"))
    with pytest.raises(BrokenBag) as caught:
        count(tmp_path / "a")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert pairs(tmp_path / "a", tmp_path / "out") == 3


@storages
@pytest.mark.parametrize("tool", ["bag", "extract"])
def test_exit_statuses_of_damaged_and_of_useless_bags(tmp_path, capsys, mcap, tool):
    record(tmp_path / "a", frames(20, (320, 240)), mcap=mcap)
    words = {"bag": ["bag", "{}", str(tmp_path / "out")], "extract": ["extract", "{}", "-o", str(tmp_path / "out")]}
    topics = ["--infrared", INFRARED, "--visible", VISIBLE]

    def run() -> int:
        return main([word.format(tmp_path / "a") for word in words[tool]] + topics)

    cut(tmp_path / "a", 0.7)
    assert run() == 1
    assert "as far as the bag goes" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "out")
    cut(tmp_path / "a", 0.01)
    assert run() == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "nothing of this bag can be read" in said[0] and not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_bag(place):
    with pytest.raises(InputError, match=f"^{place} is not a bag; expected a folder"), open_recording(Path(place)):
        pass


def test_messages_that_run_backwards_are_said_to(tmp_path):
    """Of an MCAP file without index; nothing else can put them in order."""
    image = b"".join(text(part) for part in ("/camera", "cdr")) + bytes(4)
    content = [
        mcap_record(0x03, struct.pack("<H", 1) + text("sensor_msgs/msg/Image") + text("ros2msg") + text("")),
        mcap_record(0x04, struct.pack("<HH", 1, 1) + image),
        *(mcap_record(0x05, struct.pack("<HIQQ", 1, n, 9 - n, 9 - n)) for n in range(5)),
    ]
    path = tmp_path / "backwards.mcap"
    for messages, backwards in ((content, True), (content[:2] + content[:1:-1], False)):
        path.write_bytes(b"\x89MCAP0\r\n" + b"".join(messages))
        with open_recording(path, tmp_path) as recording:
            assert recording.broken and ("run backwards in time: `mcap sort`" in recording.broken) == backwards


def text(content: str) -> bytes:
    return struct.pack("<I", len(content)) + content.encode()
