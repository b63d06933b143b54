"""What a recording whose stamps do not fit together is said to be, by `ivif bag` and `ivif extract` alike."""

from __future__ import annotations

import pytest

from ivif_core.cli.main import main
from ivif_core.offline.bags.pairs import BagCounts, BagPairs
from ivif_core.offline.bags.recording import open_recording
from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import ApproximatePairing, Pair
from test.core.recorded_bag import INFRARED, START, TOPICS, VISIBLE, frames, record

S = 1_000_000_000
COUNT = 20
OPTIONS = ["--infrared", INFRARED, "--visible", VISIBLE]


def read(tmp_path, thermal_stamp, pairing=None, **options):
    record(tmp_path / "bag", frames(COUNT), thermal_stamp=thermal_stamp, **options)
    counts = BagCounts()
    with open_recording(tmp_path / "bag") as recording:
        reader = BagPairs(tmp_path / "bag", recording, TOPICS, pairing or ApproximatePairing(0.05, 10), counts)
        pairs = [item for item in reader.read() if isinstance(item, Pair)]
        reader.finish()
    for source in ("infrared", "visible"):
        gone = sum(counts.dropped[f"{source}_{cause}"] for cause in ("unmatched", "late", "duplicate"))
        assert counts.images[source] == len(pairs) + gone  # not one frame is unaccounted for
    return pairs, counts


@pytest.mark.parametrize("pairing", [ApproximatePairing, NearestPairing])
def test_thermal_stamped_by_the_time_since_boot_pairs_as_it_does_live(tmp_path, pairing):
    pairs, counts = read(tmp_path, lambda stamp: stamp - START + 500 * S, pairing(0.05, 10))
    assert len(pairs) == COUNT
    (line,) = counts.warnings
    assert line.startswith("infrared stamps are") and line.endswith("the time of recording is used")


@pytest.mark.parametrize("stamp", [0, -5 * S])
def test_stamps_that_are_none_take_the_time_of_recording(tmp_path, stamp):
    pairs, counts = read(tmp_path, lambda _: stamp)
    assert len(pairs) == COUNT and len(counts.warnings) == 1 and "infrared stamps are" in counts.warnings[0]


def test_a_constant_offset_is_named_with_its_remedy(tmp_path):
    pairs, counts = read(tmp_path, lambda stamp: stamp + 2 * S)
    assert not pairs
    (line,) = counts.warnings
    assert line.startswith(f"no pair of {COUNT} infrared and {COUNT} visible images: most frames find no partner")
    assert "infrared stamps are 2.00 s ahead of visible ones (slop 0.05 s, queue_size 10)" in line
    assert "`thermal_time_offset: -2.0`" in line


def test_with_the_offset_set_nothing_is_said(tmp_path):
    pairs, counts = read(tmp_path, lambda stamp: stamp + 2 * S, ApproximatePairing(0.05, 10, -2.0))
    assert len(pairs) == COUNT and counts.warnings == []


def test_a_stamp_that_is_stuck_is_named(tmp_path):
    pairs, counts = read(tmp_path, lambda stamp: START)
    assert len(pairs) <= 2
    assert any(f"infrared frames all bear the stamp {START} ns" in line for line in counts.warnings)


def test_a_sound_recording_has_no_warnings(tmp_path):
    pairs, counts = read(tmp_path, lambda stamp: stamp)
    assert len(pairs) == COUNT and counts.warnings == [] and not +counts.dropped


def test_a_frame_with_a_wrong_stamp_at_the_end_is_counted(tmp_path):
    """It waited for its partner when the recording ended."""
    last = START + (COUNT - 1) * 33_333_333
    pairs, counts = read(tmp_path, lambda stamp: stamp + S * (stamp == last))
    assert len(pairs) == COUNT - 1
    assert counts.dropped["infrared_unmatched"] == counts.dropped["visible_unmatched"] == 1


@pytest.mark.parametrize("command", ["bag", "extract"])
def test_both_commands_say_it(tmp_path, capsys, command):
    record(tmp_path / "bag", frames(COUNT), thermal_stamp=lambda stamp: stamp + 2 * S)
    record(tmp_path / "boot", frames(6), thermal_stamp=lambda stamp: stamp - START + 500 * S)
    for name, status in (("bag", 2), ("boot", 0)):
        target = tmp_path / f"{name}_out"
        words = [str(tmp_path / name), *(["-o"] if command == "extract" else []), str(target)]
        assert main([command, *words, *OPTIONS]) == status
        error = capsys.readouterr().err
        expected = "thermal_time_offset: -2.0" if name == "bag" else "the time of recording is used"
        assert error.count(expected) == 1 and target.is_dir() == (status == 0)
