from __future__ import annotations

import io
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
