from __future__ import annotations

import struct

import pytest

from ivif_core.errors import InputError
from ivif_core.offline.bags.mcap_file import McapFile, SalvagedMcap
from ivif_core.offline.extract import extract
from test.core.offline.bags.bombs import mcap_with_chunk, record, zstd_bomb
from test.core.recorded_bag import INFRARED, TOPICS, VISIBLE, frames
from test.core.recorded_bag import record as record_bag

zstd = pytest.importorskip("backports.zstd")
COUNT = 6
_CHUNK = 0x06


@pytest.fixture
def bag(tmp_path):
    """Folder, file and where its only chunk starts."""
    record_bag(tmp_path / "bag", frames(COUNT))
    file = tmp_path / "bag" / "bag.mcap"
    data, place = file.read_bytes(), 8
    while data[place] != _CHUNK:
        place += 9 + int.from_bytes(data[place + 1 : place + 9], "little")
    return tmp_path / "bag", file, place


def images(file) -> int:
    wanted = [c for c in file.connections if c.topic in (INFRARED, VISIBLE)]
    return sum(1 for _ in file.messages(wanted))


def test_whole_and_salvaged_give_the_same_messages(bag):
    _, path, _ = bag
    whole, salvaged = McapFile(path), SalvagedMcap(path)
    one, other = (
        sorted((c.topic, recorded, raw) for c, recorded, raw in file.messages(file.connections))
        for file in (whole, salvaged)
    )
    assert one == other and len(one) == COUNT * 6
    assert [c.msgcount for c in whole.connections] == [c.msgcount for c in salvaged.connections]
    for mine, theirs in zip(salvaged.connections, whole.connections, strict=True):
        assert mine[:5] == theirs[:5] and mine.ext == theirs.ext
    whole.close()


@pytest.mark.parametrize("says", [None, 1000], ids=["says nothing", "lies"])
@pytest.mark.parametrize("declared", [4 << 30, 1000])
def test_a_chunk_that_unpacks_to_gigabytes_is_refused(tmp_path, says, declared):
    mcap_with_chunk(tmp_path / "bomb.mcap", zstd_bomb(4 << 30, says), declared)
    with pytest.raises(InputError, match="unpacks to 4096 MiB; expected at most 256 MiB"):
        McapFile(tmp_path / "bomb.mcap")
    with pytest.raises(InputError, match="not one message"):
        SalvagedMcap(tmp_path / "bomb.mcap")
    with pytest.raises(InputError, match=r"nothing of this bag can be read.*unpacks to 4096 MiB"):
        extract(tmp_path / "bomb.mcap", tmp_path / "out", **TOPICS)
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.mcap"]


def test_a_chunk_is_not_unpacked_a_thousand_times(tmp_path):
    content = bytes(1000)
    mcap_with_chunk(tmp_path / "a.mcap", zstd.compress(content), len(content), times=1000)
    with pytest.raises(InputError, match="names a chunk twice"):
        McapFile(tmp_path / "a.mcap")


def test_chunks_of_one_time_are_bounded_together(tmp_path):
    """Readers merge chunks that overlap in time, and hold all of them for that."""
    packed = zstd_bomb(255 << 20)
    magic, parts, index, place = b"\x89MCAP0\r\n", [], [], 8
    head = record(0x01, struct.pack("<I", 4) + b"ros2" + struct.pack("<I", 0))
    place += len(head)
    kind = struct.pack("<I", 4) + b"zstd"
    for _ in range(6):
        content = struct.pack("<QQQI", 1, 2, 255 << 20, 0) + kind + struct.pack("<Q", len(packed)) + packed
        parts.append(record(_CHUNK, content))
        entry = struct.pack("<QQQQIQ", 1, 2, place, len(parts[-1]), 0, 0) + kind
        index.append(record(0x08, entry + struct.pack("<QQ", len(packed), 255 << 20)))
        place += len(parts[-1])
    data = magic + head + b"".join(parts) + record(0x0F, bytes(4))
    schema = record(0x03, struct.pack("<HI", 1, 1) + b"a" + struct.pack("<II", 0, 0))
    footer = record(0x02, struct.pack("<QQI", len(data), 0, 0))
    path = tmp_path / "many.mcap"
    path.write_bytes(data + schema + b"".join(index) + record(0x0B, bytes(46)) + footer + magic)
    with pytest.raises(InputError, match="chunks of one time unpack to more than 1024 MiB"):
        McapFile(path)


def test_a_damaged_length_of_a_chunks_compression_is_mended(bag, tmp_path):
    folder, path, place = bag
    data = bytearray(path.read_bytes())
    data[place + 9 + 28 : place + 9 + 32] = b"\xff\xff\xff\x7f"
    path.write_bytes(data[:-100])
    found = extract(folder, tmp_path / "out", **TOPICS)
    assert found.pairs == COUNT and "damaged head" in found.broken


@pytest.mark.parametrize("cut", [0, 50])
def test_a_definition_that_is_no_text_costs_no_frame(bag, tmp_path, cut):
    folder, path, _ = bag
    data = path.read_bytes()
    place = data.find(b"uint32 nanosec")
    path.write_bytes(data[:place] + b"\xff" + data[place + 1 : len(data) - cut])
    found = extract(folder, tmp_path / "out", **TOPICS)
    assert found.pairs == COUNT
    assert bool(found.broken) == bool(cut)


def test_what_lies_behind_a_damaged_chunk_is_saved(tmp_path):
    record_bag(tmp_path / "bag", frames(48, (640, 480)))
    path = tmp_path / "bag" / "bag.mcap"
    data, place, chunks = bytearray(path.read_bytes()), 8, []
    while place < len(data) - 8:
        if data[place] == _CHUNK:
            chunks.append(place)
        place += 9 + int.from_bytes(data[place + 1 : place + 9], "little")
    assert len(chunks) >= 3
    data[chunks[1] + 60 : chunks[1] + 3000] = b"\xff" * 2940  # the second chunk's first records
    path.write_bytes(data)
    found = extract(tmp_path / "bag", tmp_path / "out", **TOPICS)
    assert 48 * (len(chunks) - 1) / len(chunks) * 0.6 < found.pairs < 48 and found.broken


def test_noise_never_gets_through(bag, rng):
    _, path, _ = bag
    whole = path.read_bytes()
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=rng.choice([1, 4, 30])):
            damaged[place] = rng.choice([0, 255, rng.integers(256)])
        if rng.random() < 0.3:
            start = rng.integers(len(whole) - 8)
            damaged[start : start + 8] = int(rng.choice([2**63 - 1, 2**40, 2**32, 2**31])).to_bytes(8, "little")
        path.write_bytes(damaged[: rng.integers(len(whole) // 2, len(whole) + 1)])
        for kind in (McapFile, SalvagedMcap):
            try:
                assert images(kind(path)) <= 4 * COUNT
            except InputError as error:
                assert "\n" not in str(error)


def test_the_library_reads_no_qos_of_its_own(tmp_path, monkeypatch):
    """It takes minutes for what nests deeply."""
    from rosbags.rosbag2 import storage_mcap

    monkeypatch.setattr(storage_mcap, "parse_qos", lambda text: pytest.fail("read by the library"))
    record_bag(tmp_path / "bag", frames(1))
    file = McapFile(tmp_path / "bag" / "bag.mcap")
    assert file.connections
    file.close()
