from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.offline import view_frames
from ivif_core.offline.view_frames import bag_frames, pair_frames, photo_frames
from ivif_core.registration.base import Homography
from ivif_core.settings import Settings
from test.core import flir_photo as flir
from test.core.recorded_bag import TOPICS, cut, frames, record

DEFAULTS = Settings.from_values({})


def read_bag(path, settings=DEFAULTS):
    return bag_frames(path, TOPICS, settings, lambda: None)


def test_a_bag_gives_its_pairs_as_they_were_recorded(tmp_path):
    recorded = frames(5)
    decoded = record(tmp_path / "bag", recorded)
    found = read_bag(tmp_path / "bag")
    assert found.names == ["0.00 s", "0.03 s", "0.07 s", "0.10 s", "0.13 s"] and found.warnings == []
    for index, ((counts, _), visible) in enumerate(zip(recorded, decoded, strict=True)):
        infrared, shown, own = found.read(index)
        np.testing.assert_array_equal(infrared, counts)
        np.testing.assert_array_equal(shown, visible)
        assert own is None


@pytest.mark.parametrize("count", [8, 9, 23, 40])
def test_of_a_long_bag_pairs_are_spread_evenly(tmp_path, monkeypatch, count):
    monkeypatch.setattr(view_frames, "MOST_OF_BAG", 8)
    record(tmp_path / "bag", frames(count))
    times = [float(name.split()[0]) for name in read_bag(tmp_path / "bag").names]
    steps = np.diff(times)
    assert 4 <= len(times) <= 8 and times[0] == 0 and steps.max() - steps.min() < 0.02
    assert times[-1] + steps.max() > (count - 1.5) / 30  # up to the end


def test_large_messages_leave_room_for_few(tmp_path, monkeypatch):
    monkeypatch.setattr(view_frames, "MOST_BYTES", 50_000)
    record(tmp_path / "bag", frames(20))
    assert 2 <= len(read_bag(tmp_path / "bag").names) <= 4


def test_a_cut_bag_goes_as_far_as_it_can_and_says_so(tmp_path):
    record(tmp_path / "bag", frames(12))
    cut(tmp_path / "bag", 0.6)
    found = read_bag(tmp_path / "bag")
    assert 1 <= len(found.names) < 12 and found.warnings
    with pytest.raises(InputError, match="no pair within"):
        record(tmp_path / "far", frames(3), thermal_stamp=lambda stamp: stamp + 10**9)
        read_bag(tmp_path / "far", Settings.from_values({"slop": 0.0}))


def test_crops_and_limits_count(tmp_path):
    record(tmp_path / "bag", frames(1))
    for name in ("infrared", "visible"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.zeros((128, 160), np.uint8))
    pairs = {"a": (tmp_path / "infrared" / "a.png", tmp_path / "visible" / "a.png")}
    settings = Settings.from_values({"thermal_crop": [2.0, 0.0, 0.0, 4.0]})
    assert read_bag(tmp_path / "bag", settings).read(0)[0].shape == (62, 76)
    assert pair_frames(pairs, settings).read(0)[0].shape == (126, 156)
    with pytest.raises(InputError, match="megapixels"):
        pair_frames(pairs, Settings.from_values({"maximum_megapixels": 0.01})).check()


def test_photos_are_placed_as_their_camera_notes_unless_parameters_place_them(tmp_path, rng):
    pytest.importorskip("flyr", reason="flyr is not installed (extra radiometric)")
    (tmp_path / "broken.jpg").write_bytes(b"")
    (tmp_path / "photo.jpg").write_bytes(flir.make_photo(rng))
    photos = {name: tmp_path / f"{name}.jpg" for name in ("broken", "photo")}
    found = photo_frames(photos, DEFAULTS)
    assert found.celsius and found.names == ["broken", "photo"]
    assert isinstance(found.read(1)[2], Homography)
    found.check()  # one of them can be read
    placed = Settings.from_values({"registration.mode": "homography"})
    assert photo_frames(photos, placed).read(1)[2] is None
    with pytest.raises(InputError, match=r"broken\.jpg"):
        photo_frames({"broken": photos["broken"]}, DEFAULTS).check()
