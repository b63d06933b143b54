from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.errors import InputError
from ivif_core.fusion import Fuser
from ivif_core.imaging.files import pair_by_stem, read_infrared, read_visible
from ivif_core.imaging.messages import to_visible
from ivif_core.offline.bag import FUSED_TOPIC, fuse_bag
from ivif_core.offline.bags.images import read_bag_images
from ivif_core.settings import Settings
from test.core.recorded_bag import (
    IMU,
    INFRARED,
    PERIOD,
    START,
    TF,
    TOPICS,
    VISIBLE,
    counts_of,
    cut,
    frames,
    read_all,
    record,
)

COUNT = 12
LAG = 4_000_000
storages = pytest.mark.parametrize("mcap", [True, False], ids=["mcap", "db3"])


@pytest.fixture(scope="module")
def parameters() -> Settings:
    return Settings.from_values()


def fuse(source: Path, target: Path, parameters: Settings, **options):
    with parameters.fuser() as fuser:
        return fuse_bag(source, target, TOPICS, fuser, parameters.pairing(), **options)


def fused_images(bag: Path) -> list:
    """Stamp and pixels of the fused topic, read by the project's other reader of bags."""
    found = read_bag_images(bag, FUSED_TOPIC, FUSED_TOPIC)
    return [(image.stamp, to_visible(image.message), image.message.header.frame_id) for image in found]


@storages
def test_fused_count_stamps_and_pixels_equal_the_fusers(tmp_path, parameters, mcap):
    pairs = frames(COUNT)
    visible = record(tmp_path / "in", pairs, mcap=mcap, lag=LAG)
    result = fuse(tmp_path / "in", tmp_path / "out", parameters)
    assert (result.fused, result.broken, result.images["infrared"]) == (COUNT, "", COUNT)
    images = fused_images(tmp_path / "out")
    assert [stamp for stamp, *_ in images] == [START + index * PERIOD + LAG for index in range(COUNT)]
    assert {frame for *_, frame in images} == {"front"}
    with parameters.fuser() as fuser:  # the scaling follows the frames, so a fresh one walks along
        for (_, pixels, _), (counts, _), picture in zip(images, pairs, visible, strict=True):
            np.testing.assert_array_equal(pixels, fuser.fuse(counts, picture))
    assert set(read_all(tmp_path / "out")) == {FUSED_TOPIC}
    assert [path.name for path in (tmp_path / "out").iterdir() if path.suffix in (".mcap", ".db3")] == [
        f"out.{'mcap' if mcap else 'db3'}"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@storages
def test_all_other_topics_are_kept_bit_equal(tmp_path, parameters, mcap):
    record(tmp_path / "in", frames(COUNT), mcap=mcap)
    fuse(tmp_path / "in", tmp_path / "out", parameters, keep_all=True)
    before, after = read_all(tmp_path / "in"), read_all(tmp_path / "out")
    assert len(after.pop(FUSED_TOPIC)) == COUNT
    assert after == before and set(before) == {INFRARED, VISIBLE, IMU, TF}
    again = tmp_path / "again"  # and the result is a bag that can be read as a whole, and fused
    with pytest.raises(InputError, match="--topic"):
        fuse(tmp_path / "out", again, parameters, keep_all=True)
    assert fuse(tmp_path / "out", again, parameters, keep_all=True, fused_topic="/other").fused == COUNT


@storages
def test_a_bag_cut_at_seventy_percent_is_fused_as_far_as_it_goes(tmp_path, parameters, mcap):
    pairs = frames(60, (320, 240))
    record(tmp_path / "in", pairs, mcap=mcap)
    whole = fuse(tmp_path / "in", tmp_path / "whole", parameters)
    cut(tmp_path / "in")
    result = fuse(tmp_path / "in", tmp_path / "out", parameters, keep_all=True)
    assert whole.fused == 60 and result.broken
    assert 30 <= result.fused <= 45
    before, after = read_all(tmp_path / "whole"), read_all(tmp_path / "out")
    assert after[FUSED_TOPIC] == before[FUSED_TOPIC][: result.fused]
    assert len(after[IMU]) >= 3 * result.fused - 3


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "zstd"])
def whole(request, tmp_path_factory, parameters):
    """A bag of thirty pairs, whether it is compressed, and what is fused of it."""
    folder = tmp_path_factory.mktemp("whole")
    record(folder / "in", frames(30, (320, 240)), zstd=request.param)
    fuse(folder / "in", folder / "out", parameters)
    return folder / "in", request.param, read_all(folder / "out")[FUSED_TOPIC]


@pytest.mark.parametrize("share", [0.3, 0.55, 0.7, 0.9, 0.99])
def test_wherever_a_bag_is_cut_what_came_before_is_fused(tmp_path, parameters, share, whole):
    source, zstd, before = whole
    shutil.copytree(source, tmp_path / "in")
    cut(tmp_path / "in", share)
    result = fuse(tmp_path / "in", tmp_path / "out", parameters)
    after = read_all(tmp_path / "out")[FUSED_TOPIC]
    assert after == before[: result.fused] and result.fused >= int(30 * share) - (10 if zstd else 3)


def test_a_recorder_that_was_killed_leaves_no_metadata(tmp_path, parameters):
    record(tmp_path / "in", frames(COUNT))
    (tmp_path / "in" / "metadata.yaml").unlink()
    result = fuse(tmp_path / "in", tmp_path / "out", parameters)
    assert result.fused == COUNT and "metadata.yaml" in result.broken


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"hello" * 1000])
def test_a_file_with_nothing_in_it_is_an_error_and_leaves_nothing(tmp_path, parameters, content):
    record(tmp_path / "in", frames(1))
    (tmp_path / "in" / "in.mcap").write_bytes(content)
    with pytest.raises(InputError, match="nothing of this bag"):
        fuse(tmp_path / "in", tmp_path / "out", parameters)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@storages
def test_damage_in_the_middle_never_writes_a_broken_bag(tmp_path, parameters, mcap, rng):
    record(tmp_path / "in", frames(40, (320, 240)), mcap=mcap)
    file = next(path for path in (tmp_path / "in").iterdir() if path.suffix in (".mcap", ".db3"))
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20000] = rng.integers(0, 256, 20000, np.uint8).tobytes()
    file.write_bytes(data)
    try:
        result = fuse(tmp_path / "in", tmp_path / "out", parameters)
    except InputError:
        assert not (tmp_path / "out").exists()
    else:
        assert result.broken or result.dropped["malformed"]
        assert len(fused_images(tmp_path / "out")) == result.fused


def test_pairing_parameters_are_the_nodes(tmp_path):
    record(tmp_path / "in", frames(COUNT), lag=LAG)
    with pytest.raises(InputError, match=r"no pair of.*slop 0\.001 s.*`slop: 0\.005`"):
        fuse(tmp_path / "in", tmp_path / "out", Settings.from_values({"slop": 0.001}))
    shifted = Settings.from_values({"slop": 0.001, "thermal_time_offset": LAG / 1e9})
    assert fuse(tmp_path / "in", tmp_path / "out", shifted).fused == COUNT
    nearest = Settings.from_values({"pairing": "nearest"})
    assert fuse(tmp_path / "in", tmp_path / "nearest", nearest).fused == COUNT


def test_a_malformed_image_is_counted_and_the_rest_is_fused(tmp_path, parameters):
    pairs = frames(COUNT)
    record(tmp_path / "in", pairs)
    data = (tmp_path / "in" / "in.mcap").read_bytes()
    jpeg = cv2.imencode(".jpg", pairs[3][1])[1].tobytes()
    assert data.count(jpeg) == 1
    (tmp_path / "in" / "in.mcap").write_bytes(data.replace(jpeg, bytes(len(jpeg))))
    result = fuse(tmp_path / "in", tmp_path / "out", parameters)
    assert (result.fused, result.dropped["malformed"]) == (COUNT - 1, 1)


def test_outputs_are_not_overwritten_unless_asked_and_survive_a_failure(tmp_path, parameters):
    record(tmp_path / "in", frames(2))
    fuse(tmp_path / "in", tmp_path / "out", parameters)
    before = read_all(tmp_path / "out")
    with pytest.raises(InputError, match="--overwrite"):
        fuse(tmp_path / "in", tmp_path / "out", parameters)
    with pytest.raises(InputError, match="no pair of 2 infrared and 2 visible images"):
        fuse(tmp_path / "in", tmp_path / "out", Settings.from_values({"slop": 0.0}), overwrite=True)
    assert read_all(tmp_path / "out") == before
    assert fuse(tmp_path / "in", tmp_path / "out", parameters, overwrite=True).fused == 2
    with pytest.raises(InputError, match="is the input"):
        fuse(tmp_path / "in", tmp_path / "in", parameters, overwrite=True)


def test_an_interruption_leaves_neither_output_nor_threads(tmp_path, parameters):
    record(tmp_path / "in", frames(COUNT))

    def interrupt(fused: int, total: int) -> None:
        assert total == COUNT
        if fused == 3:
            raise KeyboardInterrupt

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        fuse(tmp_path / "in", tmp_path / "out", parameters, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == threads


def test_the_command_and_its_exit_statuses(tmp_path, capsys):
    record(tmp_path / "in", frames(COUNT))
    topics = ["--infrared", INFRARED, "--visible", VISIBLE]
    shipped = str(Path(__file__).parents[3] / "config" / "fusion.yaml")
    options = ["--params", shipped, "--vividness", "1"]
    assert main(["bag", str(tmp_path / "in"), str(tmp_path / "out"), *topics, *options]) == 0
    assert f"{COUNT} pairs fused" in capsys.readouterr().out
    assert main(["bag", str(tmp_path / "in"), str(tmp_path / "no"), "--infrared", IMU, "--visible", VISIBLE]) == 2
    assert f"image topics of this bag: {INFRARED}, {VISIBLE}" in capsys.readouterr().err
    assert main(["bag", str(tmp_path / "nothing"), str(tmp_path / "no"), *topics]) == 2
    assert main(["bag", str(tmp_path / "in"), str(tmp_path / "no"), *topics, "--vividness", "2"]) == 2
    (tmp_path / "in" / "metadata.yaml").unlink()
    assert main(["bag", str(tmp_path / "in" / "in.mcap"), str(tmp_path / "file"), *topics]) == 0
    assert main(["bag", str(tmp_path / "in"), str(tmp_path / "part"), *topics]) == 1
    assert "as far as the bag goes" in capsys.readouterr().out


def test_a_real_sequence_at_thirty_hertz(tmp_path, shared):
    folder = shared / "data" / "llvip_sequence"
    files, _ = pair_by_stem(folder / "infrared", folder / "visible")
    pairs = []
    for infrared, visible in list(files.values())[:8]:
        pairs.append((counts_of(read_infrared(infrared)), read_visible(visible)))
    visible = record(tmp_path / "in", pairs)
    result = fuse(tmp_path / "in", tmp_path / "out", Settings.from_values(), keep_all=True)
    assert result.fused == len(pairs)
    with Fuser(scaling=Settings.from_values().scaling()) as fuser:
        for (_, pixels, _), (counts, _), picture in zip(fused_images(tmp_path / "out"), pairs, visible, strict=True):
            np.testing.assert_array_equal(pixels, fuser.fuse(counts, picture))
