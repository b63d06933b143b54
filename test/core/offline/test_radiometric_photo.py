from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.calibration.picture_in_picture import picture_in_picture
from ivif_core.errors import InputError
from ivif_core.imaging.files import write_image
from ivif_core.imaging.orientation import upright
from ivif_core.offline.radiometric_photo import find_photos, read_photo
from test.core import flir_photo as flir

pytest.importorskip("flyr", reason="flyr is not installed (extra radiometric)")


@pytest.fixture
def read(tmp_path):
    def read_bytes(data: bytes, **options):
        path = tmp_path / "photo.jpg"
        path.write_bytes(data)
        return read_photo(path, **options)

    return read_bytes


@pytest.mark.parametrize("png", [False, True])
@pytest.mark.parametrize("order", [">", "<"])
def test_temperature_photo_and_place_are_read(read, rng, png, order):
    records = flir.make_records(rng, png=png)
    photo = read(flir.in_jpeg(flir.fff(records, order), most=3000))
    celsius, _ = flir.scene(np.random.default_rng(20))
    np.testing.assert_allclose(photo.celsius, celsius, atol=0.02)
    assert photo.celsius.dtype == np.float32
    stored = cv2.imdecode(np.frombuffer(records[flir.EMBEDDED][32:], np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(photo.visible, stored)
    np.testing.assert_allclose(photo.registration.matrix, picture_in_picture(1.25, 4, -2, (80, 60), (320, 240)))


def test_emissivity_is_read(read, rng):
    """What is seen is ε S + (1 − ε) S(reflected): the counts are made by that, and the temperature must come back."""
    celsius, _ = flir.scene(rng)
    seen = 0.8 * flir.counts_of(celsius).astype(float) + 0.2 * float(flir.counts_of(np.array(60.0)))
    records = flir.make_records(rng) | {
        flir.RAW: flir.raw_record(np.rint(seen).astype(np.uint16)),
        flir.CAMERA: flir.camera_record(0.8, reflected=333.15),
    }
    photo = read(flir.in_jpeg(flir.fff(records)))
    np.testing.assert_allclose(photo.celsius, celsius, atol=0.05)
    assert photo.notes["emissivity"] == pytest.approx(0.8) and photo.notes["reflected_celsius"] == pytest.approx(60)


def test_the_public_library_reads_the_same(read, rng, tmp_path):
    """flyr by itself, on a photo that it does understand: its directory starts two entries early."""
    import flyr

    records = flir.make_records(rng, png=True) | {flir.CAMERA: flir.camera_record(0.93, 4.0, 285.0)}
    photo = read(flir.in_jpeg(flir.fff(records)))
    np.testing.assert_allclose(photo.celsius, flyr.unpack(str(tmp_path / "photo.jpg")).celsius, atol=1e-4)


def test_without_numbers_of_the_place_thermal_is_resized(read, rng):
    for other in ({}, {flir.IN_PICTURE: flir.in_picture_record(0.0, 0, 0)}, {flir.IN_PICTURE: b"\0\0"}):
        records = {k: v for k, v in flir.make_records(rng).items() if k != flir.IN_PICTURE} | other
        photo = read(flir.in_jpeg(flir.fff(records)))
        assert photo.registration is None
        assert photo.placed().apply(np.zeros((60, 80), np.uint8), (240, 320))[1] is None


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_photo_comes_upright_with_its_place(read, rng, orientation):
    plain = flir.in_jpeg(flir.fff(flir.make_records(rng)))
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 274, 3, 1, orientation, 0) + bytes(4)
    straight, turned = (
        read(data) for data in (plain, plain[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + plain[2:])
    )
    np.testing.assert_array_equal(turned.visible, upright(straight.visible, orientation))
    placed = []
    for photo in (straight, turned):
        grey = cv2.convertScaleAbs(photo.celsius, alpha=4)
        placed.append(photo.placed().apply(grey, photo.visible.shape[:2])[0])
    difference = cv2.absdiff(placed[1], upright(placed[0], orientation))
    assert (difference > 2).mean() < 0.01  # but for a border of half a pixel


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that stands for 16-bit pixels of this size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">2I5B", width, height, 16, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def damaged(rng: np.random.Generator) -> dict[str, tuple[bytes, str]]:
    """Name -> a file, and what must be said of it."""
    good = flir.make_records(rng)
    whole = flir.fff(good)

    def with_record(kind: int, body: bytes) -> bytes:
        return flir.in_jpeg(flir.fff({**good, kind: body}))

    def patched(place: int, form: str, value: int) -> bytes:
        content = bytearray(whole)
        struct.pack_into(form, content, place, value)
        return flir.in_jpeg(bytes(content))

    head = struct.pack("<3H", 2, 80, 60).ljust(32, b"\0")
    huge = struct.pack("<3H", 2, 60000, 60000).ljust(32, b"\0")
    plain = cv2.imencode(".jpg", np.zeros((20, 20, 3), np.uint8))[1].tobytes()
    three = [whole[:9000], whole[9000:18000], whole[18000:]]
    grey8 = cv2.imencode(".png", np.zeros((60, 80), np.uint8))[1].tobytes()
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 640 480\n"
    return {
        "plain": (plain, "no thermal data of a FLIR camera"),
        "png": (cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes(), "is not a JPEG"),
        "empty": (b"", "is not a JPEG"),
        "cut": (flir.in_jpeg(whole)[:-300], "cut short"),
        "cut in the data": (flir.in_jpeg(whole)[:5000], "cut short"),
        "no visible": (flir.make_photo(rng, flir.EMBEDDED), "no visible picture"),
        "no thermal": (flir.make_photo(rng, flir.RAW), "damaged"),
        "no constants": (flir.make_photo(rng, flir.CAMERA), "constants"),
        "not FFF": (flir.in_jpeg(b"XYZ" + whole[3:]), "damaged"),
        "a part is missing": (flir.in_jpeg(b"", parts=[(0, 2, three[0]), (2, 2, three[2])]), "damaged"),
        "a part twice": (flir.in_jpeg(b"", parts=[(0, 1, three[0]), (0, 1, three[1])]), "damaged"),
        "parts disagree": (flir.in_jpeg(b"", parts=[(0, 1, three[0]), (1, 2, three[1])]), "damaged"),
        "four thousand million entries": (patched(0x1C, ">I", 2**32 - 1), "damaged"),
        "directory behind the end": (patched(0x18, ">I", 2**31), "damaged"),
        "record behind the end": (patched(64 + 32 + 16, ">I", 2**31), "damaged"),
        "record of no length": (with_record(flir.RAW, b""), "damaged"),
        "thermal bomb": (with_record(flir.RAW, huge + bomb(60000, 60000)), "more than 4 megapixels"),
        "thermal claims little": (with_record(flir.RAW, head + bomb(60000, 60000)), "more than 4 megapixels"),
        "thermal of another size": (with_record(flir.RAW, head + bomb(81, 60)), "thermal picture"),
        "thermal of 8 bits": (with_record(flir.RAW, head + grey8), "expected 80×60 counts of 16 bits"),
        "thermal cut short": (with_record(flir.RAW, head + bytes(80 * 60)), "cut short"),
        "thermal of no size": (with_record(flir.RAW, struct.pack("<3H", 2, 0, 60).ljust(99)), "at least 1"),
        "other byte order": (with_record(flir.RAW, b"\0\2" + head[2:] + bytes(9600)), "byte order"),
        "constants of other byte order": (with_record(flir.CAMERA, b"\0\2" + good[flir.CAMERA][2:]), "constants"),
        "constants cut short": (with_record(flir.CAMERA, good[flir.CAMERA][:100]), "constants"),
        "emissivity 0": (with_record(flir.CAMERA, flir.camera_record(0.0)), "constants"),
        "constants not a number": (with_record(flir.CAMERA, flir.camera_record(R1=float("nan"))), "no pixel has"),
        "no temperature anywhere": (with_record(flir.CAMERA, flir.camera_record(O=-100000)), "no pixel has"),
        "visible bomb": (with_record(flir.EMBEDDED, flir.embedded_record(bomb(60000, 60000))), "64 megapixels"),
        "visible cut short": (with_record(flir.EMBEDDED, good[flir.EMBEDDED][:-100]), "cut short"),
        "visible is PostScript": (with_record(flir.EMBEDDED, flir.embedded_record(eps)), "neither JPEG nor PNG"),
    }


CASES = damaged(np.random.default_rng(20))


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_used_is_said_on_one_line(read, name):
    data, said = CASES[name]
    with pytest.raises(InputError) as error:
        read(data)
    assert said in str(error.value) and "photo.jpg" in str(error.value) and "\n" not in str(error.value)


def test_the_limit_of_pixels_counts(read, rng):
    with pytest.raises(InputError, match=r"0\.05 megapixels"):
        read(flir.make_photo(rng), maximum_megapixels=0.05)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8), st.booleans())
def test_changed_bytes_give_a_photo_or_one_line(tmp_path_factory, changes, in_records):
    """Of the file anywhere, or of the first 700 bytes of its records, where sizes and places are."""
    content = flir.fff(flir.make_records(np.random.default_rng(20), png=True))
    data = bytearray(content if in_records else flir.in_jpeg(content))
    for place, value in changes:
        data[place % (700 if in_records else len(data))] = value
    path = tmp_path_factory.getbasetemp() / "changed.jpg"
    path.write_bytes(flir.in_jpeg(bytes(data)) if in_records else bytes(data))
    try:
        photo = read_photo(path)
    except InputError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert photo.celsius.ndim == 2 and not np.isinf(photo.celsius).any()


def test_photos_are_found_by_name_and_in_folders(tmp_path, rng):
    for name in ("a.jpg", "b.JPG"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "deep").mkdir()
    write_image(tmp_path / "deep" / "a.jpg", np.zeros((9, 9), np.uint8))
    assert find_photos([tmp_path]) == {"a": tmp_path / "a.jpg", "b": tmp_path / "b.JPG"}
    with pytest.raises(InputError, match="keep one"):
        find_photos([tmp_path, tmp_path / "deep" / "a.jpg"])
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no JPEG files"):
        find_photos([tmp_path / "none"])
