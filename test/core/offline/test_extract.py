from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.errors import InputError
from ivif_core.files.outputs import MARK
from ivif_core.fusion import Fuser
from ivif_core.imaging.files import read_visible, write_image
from ivif_core.offline.extract import extract
from ivif_core.settings import Settings
from ivif_core.thermal.scaling import FixedScaling, make_scaling
from ivif_core.training.data.pairs import FolderPairs
from test.core.recorded_bag import START, TOPICS, cut, frames, record

PERIOD = 33_333_333
FIXED = Settings.from_values(
    {"thermal_scaling.mode": "fixed", "thermal_scaling.low": 20000, "thermal_scaling.high": 24000}
)


@pytest.mark.parametrize("mcap", [True, False])
def test_bag_and_folder_give_the_same_pairs(tmp_path, mcap):
    recorded = frames(5)
    decoded = record(tmp_path / "bag", recorded, mcap=mcap)
    found = extract(tmp_path / "bag", tmp_path / "pairs", settings=FIXED, **TOPICS)
    assert (found.pairs, found.skipped) == (5, [])
    for name in ("infrared", "visible"):
        (tmp_path / "folder" / name).mkdir(parents=True)
    for index, ((infrared, _), visible) in enumerate(zip(recorded, decoded, strict=True)):
        write_image(tmp_path / "folder/infrared" / f"{index}.png", infrared)
        write_image(tmp_path / "folder/visible" / f"{index}.png", visible)
    expected = FolderPairs(tmp_path / "folder", scaling=FixedScaling(20000, 24000))
    for index, (pair, other) in enumerate(zip(FolderPairs(tmp_path / "pairs"), expected, strict=True)):
        assert pair.name == f"{START + index * PERIOD + 4_000_000:019d}"
        assert np.array_equal(pair.infrared, other.infrared) and np.array_equal(pair.visible, other.visible)


def test_extracted_pairs_are_what_the_fuser_sees(tmp_path):
    """Counts scaled with memory of earlier frames, as on the node."""
    recorded = frames(4)
    decoded = record(tmp_path / "bag", recorded)
    extract(tmp_path / "bag", tmp_path / "pairs", **TOPICS)
    with Fuser(scaling=make_scaling()) as fuser:
        for (counts, _), visible, pair in zip(recorded, decoded, FolderPairs(tmp_path / "pairs"), strict=True):
            assert np.array_equal(fuser.prepare(counts, visible).registered, pair.infrared)


def test_slop_offset_and_every(tmp_path):
    record(tmp_path / "bag", frames(6), lag=12_000_000)
    with pytest.raises(InputError, match=r"no pair within 0\.005 s; dropped: infrared_unmatched"):
        extract(
            tmp_path / "bag",
            tmp_path / "none",
            settings=Settings.from_values({"slop": 0.005, "queue_size": 2}),
            **TOPICS,
        )
    assert not (tmp_path / "none").exists() and not list(tmp_path.glob(".*"))
    shifted = Settings.from_values({"slop": 0.005, "thermal_time_offset": 0.012})
    assert extract(tmp_path / "bag", tmp_path / "a", settings=shifted, **TOPICS).pairs == 6
    found = extract(tmp_path / "bag", tmp_path / "b", every=3, **TOPICS)
    assert found.pairs == 2 and len(list((tmp_path / "b/visible").iterdir())) == 2
    with pytest.raises(InputError, match="already exists"):
        extract(tmp_path / "bag", tmp_path / "b", **TOPICS)


def test_a_bag_cut_short_is_read_as_far_as_it_goes_or_fails(tmp_path):
    record(tmp_path / "bag", frames(30, (320, 240)))
    cut(tmp_path / "bag", 0.6)
    found = extract(tmp_path / "bag", tmp_path / "pairs", **TOPICS)
    assert 15 <= found.pairs <= 18 and "cut short" in found.broken and not found.is_whole
    assert sorted(path.name for path in (tmp_path / "pairs").iterdir()) == [MARK, "infrared", "visible"]
    with pytest.raises(InputError):
        extract(tmp_path / "bag", tmp_path / "strict", on_error="fail", **TOPICS)
    assert not (tmp_path / "strict").exists()


def test_a_stamp_that_comes_twice_is_one_pair_and_counted(tmp_path):
    """A recording whose clock starts anew: the second pair of a stamp has no name of its own."""
    pairs = frames(4)
    record(tmp_path / "bag", pairs)
    once = extract(tmp_path / "bag", tmp_path / "once", **TOPICS)
    shutil.rmtree(tmp_path / "bag")
    record(tmp_path / "bag", pairs, mcap=False)
    store = next((tmp_path / "bag").glob("*.db3"))
    with closing(sqlite3.connect(store)) as database, database:
        rows = "SELECT id + 1000, topic_id, timestamp + 500000000, data FROM messages"
        database.execute(f"INSERT INTO messages {rows}")
    twice = extract(store, tmp_path / "twice", **TOPICS)
    files = sorted((tmp_path / "twice/visible").iterdir())
    assert twice.pairs == once.pairs == len(files) and twice.dropped["visible_duplicate"] >= 3
    for file in files:
        assert np.array_equal(read_visible(file), read_visible(tmp_path / "once/visible" / file.name))


def test_the_command(tmp_path, capsys):
    recorded = frames(3)
    decoded = record(tmp_path / "bag", recorded)
    words = ["extract", str(tmp_path / "bag"), "-o", str(tmp_path / "pairs"), "--scaling", "fixed"]
    topics = ["--infrared", TOPICS["infrared"], "--visible", TOPICS["visible"]]
    assert main([*words, "--range", "20000", "24000", *topics]) == 0
    assert "3 pairs" in capsys.readouterr().out
    first = sorted((tmp_path / "pairs/visible").iterdir())[0]
    assert np.array_equal(read_visible(first), decoded[0])
    assert main([*words, "--infrared", "/nothing", "--visible", TOPICS["visible"], "-o", str(tmp_path / "x")]) == 2
    assert "/boson/image_raw" in capsys.readouterr().err
