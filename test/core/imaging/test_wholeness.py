from __future__ import annotations

import io
import re
from itertools import pairwise
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ivif_core.errors import InputError
from ivif_core.imaging.files import read_infrared, read_visible
from ivif_core.imaging.messages import to_infrared, to_visible
from ivif_core.imaging.wholeness import check_whole

IMAGE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8), (0, 0), 2)


def encoded(kind, **options):
    file = io.BytesIO()
    Image.fromarray(IMAGE).save(file, kind, **options)
    return file.getvalue()


def with_preview():
    """A JPEG whose header holds a whole JPEG, which has an end of its own."""
    preview = encoded("JPEG", quality=50)
    body = b"Exif\0\0" + preview
    return b"\xff\xd8\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + encoded("JPEG")[2:]


WHOLE = {
    "jpeg": encoded("JPEG", quality=95),
    "progressive jpeg": encoded("JPEG", progressive=True),
    "jpeg with restarts": cv2.imencode(".jpg", IMAGE, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes(),
    "jpeg with a preview": with_preview(),
    "png": encoded("PNG"),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("behind", [b"", b"\0" * 5000, b"more\xff\xd8\xff"])
def test_whole_images_pass_whatever_lies_behind_them(kind, behind):
    check_whole(WHOLE[kind] + behind, "image")


@given(kind=st.sampled_from(sorted(WHOLE)), share=st.floats(0, 1, exclude_max=True))
def test_no_part_of_an_image_passes(kind, share):
    data = WHOLE[kind][: max(4, int(share * (len(WHOLE[kind]) - 1)))]
    with pytest.raises(InputError, match=f"cut short after {len(data)} bytes"):
        check_whole(data, "image")


@pytest.mark.parametrize("share", [0.4, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["jpeg", "jpeg with a preview", "png"])
def test_every_reader_refuses_them(tmp_path, kind, share):
    data = WHOLE[kind][: int(len(WHOLE[kind]) * share)]
    path = tmp_path / ("cut.png" if kind == "png" else "cut.jpg")
    path.write_bytes(data)
    message = SimpleNamespace(format="", data=data)
    for read, source in ((read_infrared, path), (read_visible, path), (to_infrared, message), (to_visible, message)):
        with pytest.raises(InputError, match="cut short"):
            read(source)


KINDS = {**WHOLE, "grey jpeg": cv2.imencode(".jpg", IMAGE[..., 1])[1].tobytes()}
ALL_READERS = (read_infrared, read_visible), (to_infrared, to_visible)


def is_refused(data, folder):
    """By every reader of files and messages, in the same words."""
    path = folder / "image.jpg"
    path.write_bytes(data)
    refused = []
    for readers, source in zip(ALL_READERS, (path, SimpleNamespace(format="", data=data)), strict=True):
        for read in readers:
            try:
                read(source)
                refused.append(False)
            except InputError as error:
                # OpenCV itself gives some progressive ones up.
                refused.append(
                    bool(re.search("lacks the last of its blocks|cut short|broken|could not be", str(error)))
                )
    assert len(set(refused)) == 1
    return refused[0]


@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"png"}))
def test_an_end_behind_a_cut_jpeg_does_not_make_it_whole(tmp_path, kind, share):
    scans = [*(found.end() for found in re.finditer(b"\xff\xda", KINDS[kind])), len(KINDS[kind])]
    length, start = max((end - start - 12, start + 12) for start, end in pairwise(scans))  # the scan with most data
    cut = start + int(length * share)
    assert is_refused(KINDS[kind][:cut].rstrip(b"\xff") + b"\xff\xd9", tmp_path)


@pytest.mark.parametrize("kind", ["jpeg", "grey jpeg"])
def test_nor_do_the_last_bytes_of_one_with_a_gap(tmp_path, kind):
    """Packets that are lost on the way."""
    data = KINDS[kind]
    assert is_refused(data[: len(data) // 2] + data[len(data) * 3 // 4 :], tmp_path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("size", [(60, 80), (57, 73), (8, 8), (1, 1)])
def test_an_image_that_ends_in_grey_is_whole(tmp_path, options, size):
    image = IMAGE[: size[0], : size[1]].copy()
    image[-40:, -40:] = 128
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95, **options)
    assert not is_refused(file.getvalue(), tmp_path)
    assert (read_visible(tmp_path / "image.jpg")[-1, -1] == 128).all()
