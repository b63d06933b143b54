from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.imaging.files import write_image
from ivif_core.imaging.suspicion import low_aligned_bits, pair_warnings
from ivif_core.scene import Street
from test.core.recorded_bag import INFRARED, VISIBLE, frames, record


@pytest.fixture(scope="module")
def street():
    return Street((160, 128), seed=1, period=4).render(0)


def test_a_pair_as_it_should_be_raises_no_suspicion(street):
    infrared, visible = street
    assert pair_warnings(infrared, visible) == []
    assert pair_warnings(np.dstack([infrared] * 3), visible) == []  # three equal channels
    assert pair_warnings(infrared.astype(np.uint16) * 20 + 20000, visible) == []
    assert pair_warnings(infrared, cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)) == []  # a grey camera


def test_swapped_cameras_and_false_colour_are_named(street):
    infrared, visible = street
    day = cv2.applyColorMap(infrared, cv2.COLORMAP_JET)
    for colour in (visible, day):
        (line,) = pair_warnings(colour, infrared)
        assert "are the cameras swapped?" in line
    assert "are the cameras swapped?" in pair_warnings(infrared, infrared.astype(np.uint16) * 200)[0]
    assert "false colour" in pair_warnings(day, visible)[0]


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_low_aligned_colour_is_noticed(street, bits):
    low = (street[1].astype(np.uint16) * 257) >> (16 - bits)
    assert low_aligned_bits(low) == bits and f"lower {bits} of its 16 bits" in pair_warnings(street[0], low)[0]
    assert low_aligned_bits(low << (16 - bits)) == 0
    assert low_aligned_bits(street[1].astype(np.uint16) * 257) == 0 and low_aligned_bits(street[1]) == 0


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
            assert pair_warnings(*images) == []
            said[bool(pair_warnings(*images[::-1]))] += 1
    assert said[True] >= 12, said
