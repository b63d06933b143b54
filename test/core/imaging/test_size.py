from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.imaging import size as image_size
from ivif_core.imaging.files import read_infrared, read_visible
from ivif_core.imaging.messages import to_infrared, to_visible
from ivif_core.imaging.size import check_encoded
from test.core.offline.bags.bombs import png_header

SUFFIXES = (".png", ".jpg", ".tiff", ".bmp", ".webp", ".pgm", ".ppm", ".pbm")


def encoded(suffix: str, pixels: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def picture(height: int, width: int, suffix: str) -> np.ndarray:
    shape = (height, width) if suffix in (".pgm", ".pbm") else (height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_size_in_the_header_is_that_of_the_decoded_image(suffix):
    for height, width in ((37, 51), (300, 17), (64, 640)):
        data = encoded(suffix, picture(height, width, suffix))
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert image_size._size(memoryview(data)) == decoded.shape[1::-1] == (width, height)


@pytest.mark.parametrize("options", [(cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_other_kinds_of_jpeg(options):
    assert image_size._size(memoryview(encoded(".jpg", picture(37, 51, ""), *options))) == (51, 37)


def bmp(width, height):
    return b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + struct.pack("<IiiHHIIIIII", 40, width, height, 1, 24, *[0] * 6)


def tiff(width, height, *tags, order="<"):
    entries = [(256, width), (257, height), (258, 8), (262, 1), *tags]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    body = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in sorted(entries))
    return head + struct.pack(order + "H", len(entries)) + body + bytes(4)


def big_tiff(width, height):
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, 16)
    body = b"".join(struct.pack("<HHQQ", tag, 4, 1, value) for tag, value in ((256, width), (257, height)))
    return head + struct.pack("<Q", 2) + body + bytes(8)


def jpeg(*sizes):
    frames = b"".join(b"\xff\xc0" + struct.pack(">HBHHB", 8, 8, height, width, 0) for width, height in sizes)
    return b"\xff\xd8\xff\xe0" + struct.pack(">H", 4) + b"ab" + frames + b"\xff\xda" + bytes(20) + b"\xff\xd9"


SIDE = 30000
BOMBS = {
    "png": png_header(SIDE, SIDE),
    "bmp": bmp(SIDE, SIDE),
    "bmp upside down": bmp(SIDE, -SIDE),
    "tiff": tiff(SIDE, SIDE),
    "tiff, big endian": tiff(SIDE, SIDE, order=">"),
    "tiff of one large tile": tiff(64, 64, (322, SIDE), (323, SIDE)),
    "tiff that says its width twice": tiff(64, 2**20, (256, 2**20)),
    "bigtiff": big_tiff(SIDE, SIDE),
    "jpeg": jpeg((SIDE, SIDE)),
    "jpeg with a small frame first": jpeg((8, 8), (SIDE, SIDE)),
    "pgm": b"P5 30000 30000 255\n",
    "pgm with comments": b"P5\n# 10 10\n30000 # 5\n30000\n255\n",
    "pbm": b"P1\n30000 30000\n0",
    "webp": b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + (16382).to_bytes(3, "little") * 2,
    "webp, lossless": b"RIFF" + bytes(4) + b"WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 16382 | 16382 << 14),
    "jpeg 2000": b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 47, 0, SIDE, SIDE, 0, 0),
    "jpeg 2000 behind a decoy": b"\0\0\0\x0cjP  \r\n\x87\n"
    + b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 47, 0, 8, 8, 0, 0)
    + b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 47, 0, SIDE, SIDE, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_from_their_header(tmp_path, name, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    message = SimpleNamespace(format="png", data=BOMBS[name])
    for convert in (to_visible, to_infrared):
        with pytest.raises(InputError, match="more than 64 megapixels"):
            convert(message)
    (tmp_path / "bomb.png").write_bytes(BOMBS[name])
    for read in (read_infrared, read_visible):
        with pytest.raises(InputError, match="more than 64 megapixels"):
            read(tmp_path / "bomb.png")


def test_the_limit_can_be_set():
    pixels = picture(100, 101, ".png")
    message = SimpleNamespace(format="png", data=encoded(".png", pixels))
    np.testing.assert_array_equal(to_visible(message, 0.0101), pixels)
    with pytest.raises(InputError, match=r"101×100 pixels are more than 0\.01 megapixels"):
        to_visible(message, 0.01)
    raw = SimpleNamespace(
        height=100, width=101, encoding="bgr8", is_bigendian=0, step=303, data=pixels.reshape(-1).tobytes()
    )
    np.testing.assert_array_equal(to_visible(raw, 0.0101), pixels)
    with pytest.raises(InputError, match="megapixels"):
        to_visible(raw, 0.01)


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n",
        png_header(8, 8, b"IDAT"),
        b"\xff\xd8\xff\xe0",
        b"\xff\xd8\xff" + b"\xff" * 1000,
        b"II*\0" + b"\xff" * 4,
        tiff(8, 8)[:20],
        b"BM",
        b"RIFF\0\0\0\0WEBPnone" + bytes(20),
        b"P5 x 5 255",
        b"P5 " + b"#\n" * 5000,
        b"P5 " + b"9" * 50,
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"GIF89a" + bytes(50),
        b"v/1\x01" + bytes(50),
        b"",
        b"hello",
    ],
)
def test_headers_that_are_cut_or_unknown_are_one_line(data):
    with pytest.raises(InputError, match="could not be decoded") as caught:
        check_encoded(data, "x")
    assert "\n" not in str(caught.value)


def test_no_header_raises_anything_else(rng):
    for suffix in SUFFIXES:
        whole = encoded(suffix, picture(40, 30, suffix))
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(min(len(data), 200), size=rng.choice([1, 4])):
                data[place] = rng.integers(256)
            try:
                check_encoded(bytes(data[: rng.integers(1, len(data) + 1)]), "x")
            except InputError:
                continue
