"""Orientation against Pillow, which follows it by its own code."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ivif_core.imaging.files import read_infrared, read_visible
from ivif_core.imaging.orientation import exif_orientation, matrix_orientation, upright, upright_matrix

FORMATS = {".jpg": {"quality": 100, "subsampling": 0}, ".png": {}, ".tif": {}, ".webp": {"lossless": True}}


def picture(size=(24, 40)):
    """Three quarters of different grey, the fourth black: no turn looks like another."""
    grey = np.zeros(size, np.uint8)
    grey[: size[0] // 2, : size[1] // 2], grey[: size[0] // 2, size[1] // 2 :] = 240, 160
    grey[size[0] // 2 :, : size[1] // 2] = 80
    return grey


def noted(path, pixels, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **FORMATS[path.suffix])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", FORMATS)
def test_both_cameras_files_are_read_as_they_are_to_be_seen(tmp_path, suffix, orientation):
    path = tmp_path / f"a{suffix}"
    noted(path, picture(), orientation)
    image = Image.fromarray(picture())
    image.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    infrared, visible = read_infrared(path), read_visible(path)
    assert infrared.shape == visible.shape[:2] == expected.shape
    np.testing.assert_allclose(infrared, expected, atol=2)
    np.testing.assert_allclose(visible if visible.ndim == 2 else visible[:, :, 1], expected, atol=2)


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_turned_too(tmp_path, suffix, orientation):
    counts = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(counts).save(tmp_path / f"a{suffix}", exif=exif)
    np.testing.assert_array_equal(read_infrared(tmp_path / f"a{suffix}"), np.rot90(counts, {3: 2, 6: -1}[orientation]))


@pytest.mark.parametrize(
    "turn,matrix",
    [
        (lambda image: image, (1, 0, 0, 1)),
        (lambda image: np.rot90(image, -1), (0, 1, -1, 0)),
        (lambda image: np.rot90(image, 2), (-1, 0, 0, -1)),
        (lambda image: np.rot90(image), (0, -1, 1, 0)),
        (np.fliplr, (-1, 0, 0, 1)),
        (np.flipud, (1, 0, 0, -1)),
        (np.transpose, (0, 1, 1, 0)),
    ],
)
def test_display_matrices(turn, matrix):
    one = 1 << 16
    a, b, c, d = (value * one for value in matrix)
    orientation = matrix_orientation((a, b, 0, c, d, 0, 0, 0, 1 << 30))
    np.testing.assert_array_equal(upright(picture(), orientation), turn(picture()))


def test_a_matrix_of_no_quarter_turn_is_not_followed():
    assert matrix_orientation((46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)) == 1


def whole(kind):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture()).save(file, kind, exif=exif)
    return file.getvalue()


FILES = [whole(kind) for kind in ("JPEG", "PNG", "WEBP")]


@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=6), st.data())
def test_damaged_notes_are_no_notes(data, changes, draw):
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    assert exif_orientation(bytes(damaged[: draw.draw(st.integers(0, len(damaged)))])) in range(1, 9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_matrix_says_where_pixels_go(orientation):
    for x, y in ((0, 0), (3, 1), (4, 2)):
        image = np.zeros((3, 5), np.uint8)
        image[y, x] = 1
        row, column = np.argwhere(upright(image, orientation))[0]
        np.testing.assert_array_equal(upright_matrix((5, 3), orientation) @ [x, y, 1], [column, row, 1])
