from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ivif_core.errors import InputError
from ivif_core.fusion import prepare
from ivif_core.imaging.files import find_images, pair_by_stem, read_infrared, read_visible, write_image
from ivif_core.registration.base import Resize
from ivif_core.thermal.scaling import FixedScaling


@pytest.fixture
def folders(tmp_path):
    for name in ("infrared", "visible"):
        (tmp_path / name).mkdir()
    return tmp_path / "infrared", tmp_path / "visible"


def test_pairs_match_by_stem_and_lonely_files_are_named(folders):
    infrared, visible = folders
    image = np.zeros((4, 4), np.uint8)
    for path in (infrared / "b.png", visible / "b.jpg", infrared / "a.png", visible / "a.png"):
        write_image(path, image)
    write_image(infrared / "c.png", image)
    write_image(visible / "d.png", image)
    (infrared / "notes.txt").write_text("no image")
    (infrared / ".hidden.png").write_text("no image")
    pairs, lonely = pair_by_stem(infrared, visible)
    assert list(pairs) == ["a", "b"]
    assert pairs["b"] == (infrared / "b.png", visible / "b.jpg")
    assert sorted(lonely) == [infrared / "c.png", visible / "d.png"]


def test_no_match_and_double_stems_are_errors(folders):
    infrared, visible = folders
    write_image(infrared / "a.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="no names match"):
        pair_by_stem(infrared, visible)
    write_image(infrared / "a.jpg", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match=r"a\.jpg and a\.png"):
        find_images(infrared)
    with pytest.raises(InputError, match="no folder"):
        find_images(infrared / "missing")


def test_sixteen_bits_and_colour_survive(tmp_path):
    counts = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    write_image(tmp_path / "counts.png", counts)
    assert np.array_equal(read_infrared(tmp_path / "counts.png"), counts)
    colour = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_image(tmp_path / "colour.png", colour)
    assert np.array_equal(read_visible(tmp_path / "colour.png"), colour)
    grey = np.repeat(colour[:, :, :1], 3, axis=2)
    write_image(tmp_path / "grey.png", grey)
    assert np.array_equal(read_infrared(tmp_path / "grey.png"), grey[:, :, 0])


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_tiff_of_measured_values_is_read_as_stored_and_goes_through_scaling(tmp_path, kind):
    """Celsius below zero, of a TIFF file, as a 32FC1 message of the same numbers is scaled."""
    celsius = np.linspace(-40, 90, 64).reshape(8, 8).astype(kind)
    Image.fromarray(celsius).save(tmp_path / "c.tif") if kind is np.float32 else write_image(
        tmp_path / "c.tif", celsius
    )
    read = read_infrared(tmp_path / "c.tif")
    assert read.dtype == kind and np.array_equal(read, celsius)
    visible = np.zeros((8, 8, 3), np.uint8)
    expected = prepare(celsius.astype(np.float32), visible, FixedScaling(-40, 90), Resize()).intensity
    intensity = prepare(read, visible, FixedScaling(-40, 90), Resize()).intensity
    assert np.array_equal(intensity, expected) and intensity[0, 0] == 0 and intensity[-1, -1] == 255


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_file_cut_short_is_an_error_and_not_half_a_picture(tmp_path, suffix):
    image = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    path = tmp_path / f"whole{suffix}"
    write_image(path, image)
    (tmp_path / f"cut{suffix}").write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="cut short"):
        read_infrared(tmp_path / f"cut{suffix}")
    (tmp_path / f"noise{suffix}").write_bytes(b"not an image")
    with pytest.raises(InputError, match="not an image"):
        read_visible(tmp_path / f"noise{suffix}")


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        write_image(tmp_path / "picture.nonsense", np.zeros((4, 4), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.jp2", "a.hdr", "a.exr", "a", "a.txt"])
def test_only_formats_that_are_encoded_in_memory_are_written(tmp_path, name):
    """OpenCV encodes the others through a temporary file of its own, which stays where the disk is full."""
    with pytest.raises(InputError, match="expected an image suffix, one of"):
        write_image(tmp_path / name, np.zeros((32, 32), np.uint8))
    assert not list(tmp_path.iterdir())
