from __future__ import annotations

import io
import tracemalloc

import lz4.frame
import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.offline.bags.unpacking import MAXIMUM_UNPACKED, most_unpacked, unpack, unpack_file
from test.core.offline.bags.bombs import zstd_bomb

zstd = pytest.importorskip("backports.zstd")
PACKERS = {"zstd": zstd.compress, "lz4": lz4.frame.compress}
CONTENTS = {
    "empty": b"",
    "zeros": bytes(3_000_000),
    "noise": np.random.default_rng(0).bytes(700_000),
    "repeated": np.random.default_rng(1).bytes(999) * 2000,
}


@pytest.mark.parametrize("compression", PACKERS)
@pytest.mark.parametrize("name", CONTENTS)
def test_what_was_packed_comes_out_and_the_bound_holds(compression, name):
    content = CONTENTS[name]
    packed = PACKERS[compression](content)
    assert unpack(packed, compression) == content
    assert unpack(packed + packed, compression) == content * 2
    file = io.BytesIO(packed + b"what follows")
    assert len(content) <= most_unpacked(file, len(packed), compression) <= len(content) + (40 << 20)
    assert file.tell() == len(packed)
    assert unpack(content, "") == content


def test_a_frame_without_its_size_is_bounded_by_its_blocks():
    packer = zstd.ZstdCompressor()
    packed = packer.compress(bytes(1 << 20)) + packer.flush()
    assert 1 << 20 <= most_unpacked(io.BytesIO(packed), len(packed), "zstd") <= 2 << 20


@pytest.mark.parametrize("says", [None, 1000], ids=["says nothing", "lies"])
def test_four_gigabytes_out_of_131_kilobytes_are_refused_without_being_made(says):
    bomb = zstd_bomb(4 << 30, says)
    assert len(bomb) < 132_000
    assert most_unpacked(io.BytesIO(bomb), len(bomb), "zstd") == 4 << 30
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"unpacks to more than 8 MiB|damaged"):
            unpack(bomb, "zstd", limit=8 << 20)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compression", PACKERS)
def test_damage_is_named_and_of_a_cut_what_is_there_comes_out(compression):
    content = CONTENTS["noise"]
    packed = PACKERS[compression](content)
    with pytest.raises(InputError, match="cut short"):
        unpack(packed[:-1000], compression)
    start = unpack(packed[:-1000], compression, is_cut=True)
    assert content.startswith(start) and len(start) > 100_000
    with pytest.raises(InputError, match="damaged"):
        unpack(b"no such frame" * 10, compression)
    with pytest.raises(InputError, match="unknown compression 'bz3'"):
        unpack(b"", "bz3") or unpack(b"x", "bz3")


def test_a_packed_file_has_a_bound_too(tmp_path):
    packed = tmp_path / "a.db3.zstd"
    packed.write_bytes(zstd.compress(CONTENTS["repeated"]))
    unpack_file(packed, tmp_path / "a.db3")
    assert (tmp_path / "a.db3").read_bytes() == CONTENTS["repeated"]
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut short"):
        unpack_file(packed, tmp_path / "a.db3")
    packed.write_bytes(zstd_bomb(MAXIMUM_UNPACKED + (1 << 20)))
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack_file(packed, tmp_path / "a.db3")
