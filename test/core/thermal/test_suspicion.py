from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.imaging.crop import Crop
from ivif_core.imaging.files import write_image
from ivif_core.scene import Street
from ivif_core.thermal.suspicion import suspicions
from test.core.recorded_bag import INFRARED, VISIBLE, frames, record


@pytest.fixture(scope="module")
def street():
    return Street((160, 128), seed=1, period=4).render(0)


def lines(infrared, visible, crop=None):
    return [found.line for found in suspicions(infrared, visible, crop or Crop())]


def test_a_pair_as_it_should_be_raises_no_suspicion(street):
    infrared, visible = street
    assert lines(infrared, visible) == []
    assert lines(np.dstack([infrared] * 3), visible) == []  # three equal channels
    assert lines(infrared.astype(np.uint16) * 20 + 20000, visible) == []
    assert lines(infrared, cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)) == []  # a grey camera


def test_swapped_cameras_and_false_colour_are_named(street):
    infrared, visible = street
    day = cv2.applyColorMap(infrared, cv2.COLORMAP_JET)
    for colour in (visible, day):
        (line,) = lines(colour, infrared)
        assert "are the cameras swapped?" in line
    assert "are the cameras swapped?" in lines(infrared, infrared.astype(np.uint16) * 200)[0]
    assert "false colour" in lines(day, visible)[0]


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_low_aligned_colour_is_noticed(street, bits):
    low = (street[1].astype(np.uint16) * 257) >> (16 - bits)
    (found,) = suspicions(street[0], low)
    assert found.camera == "rgb" and f"use {bits} bits only" in found.line
    assert not lines(street[0], street[1].astype(np.uint16) * 257)


def test_telemetry_and_bytes_in_the_wrong_order_are_named(street):
    counts = street[0].astype(np.uint16) * 20 + 20000
    telemetry = np.vstack([counts, np.zeros((2, counts.shape[1]), np.uint16)])
    assert "thermal_crop: [0, 2, 0, 0]" in lines(telemetry[:, :], street[1], Crop(0, 1))[0]
    assert not lines(telemetry, street[1], Crop(0, 2))
    assert "is_bigendian" in lines(counts.byteswap(), street[1])[0]


def test_fuse_and_bag_name_swapped_cameras_and_fuse_all_the_same(tmp_path, capsys, street):
    for name, image in zip(("ir", "rgb"), street, strict=True):
        write_image(tmp_path / name / "a.png", image) if (tmp_path / name).mkdir() is None else None
    target = str(tmp_path / "out")
    assert main(["fuse", str(tmp_path / "rgb"), str(tmp_path / "ir"), "-o", target]) == 0
    assert capsys.readouterr().err.count("are the cameras swapped?") == 1
    one = [str(tmp_path / "rgb" / "a.png"), str(tmp_path / "ir" / "a.png"), "-o", str(tmp_path / "one.png")]
    assert main(["fuse", *one]) == 0
    assert capsys.readouterr().err.count("are the cameras swapped?") == 1
    record(tmp_path / "bag", [(counts, picture) for counts, picture in frames(3)])
    words = [str(tmp_path / "bag"), str(tmp_path / "fused"), "--infrared", VISIBLE, "--visible", INFRARED]
    assert main(["bag", *words]) == 0
    assert capsys.readouterr().err.count("are the cameras swapped?") == 1


def test_real_pairs_raise_no_suspicion_and_swapped_ones_do(shared):
    from ivif_core.imaging.files import pair_by_stem, read_as_stored

    said = {True: 0, False: 0}
    for name in ("msrs_dev", "llvip_sequence"):
        folder = shared / "data" / name
        pairs, _ = pair_by_stem(folder / "infrared", folder / "visible")
        for infrared, visible in list(pairs.values())[:8]:
            images = read_as_stored(infrared), read_as_stored(visible)
            assert lines(*images) == []
            said[bool(lines(*images[::-1]))] += 1
    assert said[True] >= 12, said
