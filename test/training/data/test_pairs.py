from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.imaging import colour
from ivif_core.imaging.files import write_image
from ivif_core.training.data.pairs import FolderPairs, Pair, at_least, is_held_out, split


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for part in ("infrared", "visible", "language_teacher"):
        (tmp_path / part).mkdir()
    for name in ("a", "b", "c"):
        write_image(tmp_path / "infrared" / f"{name}.png", generator.integers(0, 256, (30, 40), np.uint8))
        write_image(tmp_path / "visible" / f"{name}.png", generator.integers(0, 256, (60, 80, 3), np.uint8))
        write_image(tmp_path / "language_teacher" / f"{name}.png", generator.integers(0, 256, (60, 80), np.uint8))
    return tmp_path


def test_pairs_are_on_the_visible_grid(folder):
    pairs = FolderPairs(folder, teacher="language_teacher")
    assert [pair.name for pair in pairs] == ["a", "b", "c"] and not pairs.skipped
    visible = cv2.imread(str(folder / "visible/b.png"))
    assert np.array_equal(pairs[1].visible, colour.luminance(visible))
    infrared = cv2.imread(str(folder / "infrared/b.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(pairs[1].infrared, cv2.resize(infrared, (80, 60)))
    assert np.array_equal(pairs[1].teacher, cv2.imread(str(folder / "language_teacher/b.png"), cv2.IMREAD_GRAYSCALE))


def test_broken_files_are_named_and_skipped_or_fail(folder):
    (folder / "infrared/a.png").write_bytes(b"nonsense")
    (folder / "language_teacher/b.png").unlink()
    pairs = FolderPairs(folder, teacher=folder / "language_teacher")
    assert [pair.name for pair in pairs] == ["c"]
    assert len(pairs.skipped) == 2 and "b: no teacher" in pairs.skipped[0] and "a.png" in pairs.skipped[1]
    with pytest.raises(InputError, match=r"a\.png"):
        FolderPairs(folder, on_error="fail")
    with pytest.raises(InputError, match="'skip' or 'fail'"):
        FolderPairs(folder, on_error="ignore")
    for name in ("b", "c"):
        (folder / f"visible/{name}.png").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="no usable pair"):
        FolderPairs(folder)


def test_counts_are_scaled_as_live(folder):
    counts = np.linspace(3000, 9000, 1200, dtype=np.uint16).reshape(30, 40)
    write_image(folder / "infrared/a.png", counts)
    infrared = FolderPairs(folder)[0].infrared
    assert infrared.dtype == np.uint8 and infrared.min() == 0 and infrared.max() == 255


def test_the_split_is_by_name_and_of_the_share_asked_for():
    names = [f"frame_{index:05d}" for index in range(4000)]
    held_out = [name for name in names if is_held_out(name, 0.1)]
    assert 330 < len(held_out) < 470
    assert set(held_out) <= {name for name in names if is_held_out(name, 0.2)}
    assert is_held_out("FLIR_00006", 0.5) == is_held_out("FLIR_00006", 0.5)
    image = np.zeros((2, 2), np.uint8)
    training, validation = split([Pair(name, image, image) for name in names], 0.1)
    assert [pair.name for pair in validation] == held_out and len(training) + len(validation) == 4000
    with pytest.raises(InputError, match="lower validation_share"):
        split([Pair("a", image, image)], 1.0)


def test_small_pairs_are_enlarged():
    image = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    larger = at_least(Pair("a", image, image), 32)
    assert larger.infrared.shape == (32, 48) and larger.teacher is None
    assert at_least(larger, 32) is larger
