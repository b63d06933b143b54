"""Messages of both makers against a slow reader that takes one pixel at a time out of the bytes."""

from __future__ import annotations

import array
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.errors import InputError
from ivif_core.imaging.messages import UnsupportedEncoding, decode_image, fill_image, to_depth, to_infrared, to_visible


def rosbags_image(**fields):
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_HUMBLE).types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](0, 0), "camera")
    data = np.frombuffer(fields.pop("data"), np.uint8)
    return types["sensor_msgs/msg/Image"](header=header, data=data, **fields)


def rclpy_image(**fields):
    message = pytest.importorskip("sensor_msgs.msg").Image()
    message.data = array.array("B", fields.pop("data"))
    for name, value in fields.items():
        setattr(message, name, value)
    return message


MAKERS = {"rclpy": rclpy_image, "rosbags": rosbags_image}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())

#              struct code, channels
SENT = {
    "mono8": ("B", 1),
    "8UC1": ("B", 1),
    "8UC3": ("B", 3),
    "8UC4": ("B", 4),
    "rgb8": ("B", 3),
    "bgr8": ("B", 3),
    "rgba8": ("B", 4),
    "bgra8": ("B", 4),
    "mono16": ("H", 1),
    "16UC1": ("H", 1),
    "rgb16": ("H", 3),
    "bgra16": ("H", 4),
    "32FC1": ("f", 1),
    "bayer_rggb8": ("B", 1),
    "bayer_gbrg16": ("H", 1),
}


@st.composite
def sent_images(draw, encodings=tuple(SENT)):
    """Fields of an Image of random size, row padding and byte order, the padding full of noise."""
    encoding = draw(st.sampled_from(encodings))
    code, channels = SENT[encoding]
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    step = width * channels * struct.calcsize(code) + draw(st.integers(0, 5))
    data = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, 256, step * height, np.uint8).tobytes()
    bigendian = draw(st.integers(0, 1))
    return {
        "height": height,
        "width": width,
        "encoding": encoding,
        "step": step,
        "is_bigendian": bigendian,
        "data": data,
    }


def pixel(fields, row, column, channel=0):
    """One number out of the bytes."""
    code, channels = SENT[fields["encoding"]]
    place = row * fields["step"] + (column * channels + channel) * struct.calcsize(code)
    return struct.unpack_from((">" if fields["is_bigendian"] else "<") + code, fields["data"], place)[0]


@makers
@given(fields=sent_images())
def test_every_pixel_is_the_one_that_was_sent(make, fields):
    pixels = decode_image(make(**fields))
    code, channels = SENT[fields["encoding"]]
    expected = np.array(
        [
            [[pixel(fields, row, column, channel) for channel in range(channels)] for column in range(fields["width"])]
            for row in range(fields["height"])
        ],
        code,
    )
    assert pixels.dtype == expected.dtype and pixels.dtype.isnative
    np.testing.assert_array_equal(pixels, expected if channels > 1 else expected[:, :, 0])


@makers
@given(fields=sent_images([name for name in SENT if not name.startswith(("bayer", "32"))]))
def test_visible_is_bgr_or_grey(make, fields):
    visible = to_visible(make(**fields))
    code, channels = SENT[fields["encoding"]]
    order = (2, 1, 0) if fields["encoding"].startswith("rgb") else range(min(channels, 3))
    assert visible.dtype == np.uint8
    assert visible.shape == (fields["height"], fields["width"]) + ((3,) if channels > 1 else ())
    for row in range(fields["height"]):
        for column in range(fields["width"]):
            sent = [pixel(fields, row, column, channel) >> (8 if code == "H" else 0) for channel in order]
            assert visible[row, column].tolist() == (sent if channels > 1 else sent[0])


@makers
@given(fields=sent_images(["mono8", "8UC1", "mono16", "16UC1", "32FC1"]))
def test_infrared_keeps_counts_and_values(make, fields):
    infrared = to_infrared(make(**fields))
    assert infrared.dtype == np.dtype(SENT[fields["encoding"]][0])
    expected = [[pixel(fields, row, column) for column in range(fields["width"])] for row in range(fields["height"])]
    np.testing.assert_array_equal(infrared, expected)


@makers
@given(fields=sent_images(["16UC1", "mono16", "32FC1"]))
def test_depth_is_in_metres(make, fields):
    depth = to_depth(make(**fields))
    assert depth.dtype == np.float32
    unit = 1 if fields["encoding"] == "32FC1" else 0.001
    rows, columns = range(fields["height"]), range(fields["width"])
    expected = [[pixel(fields, row, column) * unit for column in columns] for row in rows]
    np.testing.assert_allclose(depth, expected, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "8UC3"])
@makers
def test_infrared_of_a_colour_stream_is_its_luminance(make, encoding):
    levels = np.random.default_rng(0).integers(0, 256, (6, 8, 1), np.uint8)
    data = np.repeat(levels, SENT[encoding][1], axis=2).tobytes()
    step = 8 * SENT[encoding][1]
    infrared = to_infrared(make(height=6, width=8, encoding=encoding, step=step, is_bigendian=0, data=data))
    np.testing.assert_array_equal(infrared, levels[:, :, 0])


@pytest.mark.parametrize("encoding,dtype", [("mono8", "u1"), ("bgr8", "u1"), ("mono16", "u2"), ("32FC1", "f4")])
@makers
def test_padded_rows_of_native_order_are_not_copied(make, encoding, dtype):
    row = 4 * SENT[encoding][1] * np.dtype(dtype).itemsize
    message = make(
        height=3,
        width=4,
        encoding=encoding,
        step=row + 8,
        is_bigendian=int(sys.byteorder == "big"),
        data=bytes((row + 8) * 3),
    )
    assert np.shares_memory(decode_image(message), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@makers
def test_bayer_patterns_follow_the_names_of_ros(make, pattern, bits):
    """A mosaic of one colour is that colour again, whatever the demosaicing."""
    colour = {"r": 220, "g": 130, "b": 40}
    tile = np.array([colour[letter] for letter in pattern], np.uint16).reshape(2, 2)
    mosaic = np.tile(tile, (8, 8)) << (bits - 8)
    data = mosaic.astype("<u2" if bits == 16 else "u1").tobytes()
    message = make(
        height=16, width=16, encoding=f"bayer_{pattern}{bits}", step=16 * bits // 8, is_bigendian=0, data=data
    )
    np.testing.assert_array_equal(to_visible(message)[2:-2, 2:-2], np.full((12, 12, 3), [40, 130, 220]))


def yuv_to_bgr(y, u, v):
    """BT.601, video range: 16 … 235 and 16 … 240 (ITU-R BT.601-7)."""
    y, u, v = 255 / 219 * (y - 16), 255 / 112 * (u - 128), 255 / 112 * (v - 128)
    red, blue = y + 0.701 * v, y + 0.886 * u
    green = y - 0.299 / 0.587 * 0.701 * v - 0.114 / 0.587 * 0.886 * u
    return [min(max(value, 0), 255) for value in (blue, green, red)]


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21"])
@pytest.mark.parametrize("padding", [0, 6])
@makers
def test_yuv_against_the_standard(make, encoding, padding):
    height, width = 6, 8
    random = np.random.default_rng(1)
    luma = random.integers(16, 236, (height, width), np.uint8)
    if encoding.startswith("nv"):
        u, v = random.integers(16, 241, (2, height // 2, width // 2), np.uint8)
        chroma = np.stack([u, v] if encoding == "nv12" else [v, u], axis=2).reshape(height // 2, width)
        rows = np.concatenate([luma, chroma])
        u, v = u.repeat(2, 0).repeat(2, 1), v.repeat(2, 0).repeat(2, 1)
    else:
        u, v = random.integers(16, 241, (2, height, width // 2), np.uint8)
        even, odd = luma[:, ::2], luma[:, 1::2]
        order = [u, even, v, odd] if encoding in ("yuv422", "uyvy") else [even, u, odd, v]
        rows = np.stack(order, axis=2).reshape(height, 2 * width)
        u, v = u.repeat(2, 1), v.repeat(2, 1)
    data = np.pad(rows, ((0, 0), (0, padding))).tobytes()
    step = rows.shape[1] + padding
    visible = to_visible(make(height=height, width=width, encoding=encoding, step=step, is_bigendian=0, data=data))
    for row in range(height):
        for column in range(width):
            expected = yuv_to_bgr(*(int(plane[row, column]) for plane in (luma, u, v)))
            np.testing.assert_allclose(visible[row, column], expected, atol=1.6)


GOOD = {"height": 4, "width": 6, "encoding": "mono16", "step": 12, "is_bigendian": 0, "data": bytes(48)}


@pytest.mark.parametrize(
    "change,said",
    [
        ({"data": bytes(47)}, "4 rows of 12 bytes = 48 bytes, got 47"),
        ({"data": b""}, "got 0"),
        ({"step": 11}, "at least 12 bytes, got 11"),
        ({"step": 0}, "at least 12 bytes, got 0"),
        ({"height": 0}, "width and height of at least 1"),
        ({"width": 0}, "width and height of at least 1"),
        ({"height": 2**32 - 1, "width": 2**32 - 1, "step": 2**32 - 1}, "expected a step of at least"),
        ({"height": 2**32 - 1}, "got 48"),
        ({"encoding": "nv12", "height": 3}, "even height"),
        ({"encoding": "nv12", "step": 6, "data": bytes(24)}, "6 rows of 6 bytes"),
        ({"encoding": "uyvy", "width": 5}, "even width"),
    ],
)
@makers
def test_a_malformed_message_says_what_came_and_what_was_expected(make, change, said):
    for convert in (decode_image, to_visible, to_infrared):
        with pytest.raises(InputError, match=said) as caught:
            convert(make(**{**GOOD, **change}))
        assert not isinstance(caught.value, UnsupportedEncoding)


@pytest.mark.parametrize("encoding", ["", "MONO8", "64FC2", "16UC2", "bayer_rgbw8", "no\x00thing", "é" * 300])
def test_an_unknown_encoding_can_be_told_from_a_malformed_message(encoding):
    for convert in (decode_image, to_visible, to_infrared):
        with pytest.raises(UnsupportedEncoding, match="expected one of mono8"):
            convert(rosbags_image(**{**GOOD, "encoding": encoding}))


def test_what_is_no_visible_or_no_thermal_image():
    values = rosbags_image(height=2, width=2, encoding="32FC1", step=8, is_bigendian=0, data=bytes(16))
    with pytest.raises(InputError, match="visible image: encoding '32FC1'"):
        to_visible(values)
    mosaic = rosbags_image(height=2, width=2, encoding="bayer_rggb8", step=2, is_bigendian=0, data=bytes(4))
    with pytest.raises(InputError, match="thermal image: encoding 'bayer_rggb8'"):
        to_infrared(mosaic)
    with pytest.raises(InputError, match=r"depth image: encoding 'bayer_rggb8' .* 16UC1 \(mm\)"):
        to_depth(mosaic)


@given(
    fields=st.fixed_dictionaries(
        {
            "height": st.integers(0, 2**32 - 1) | st.integers(0, 20),
            "width": st.integers(0, 2**32 - 1) | st.integers(0, 20),
            "step": st.integers(0, 2**32 - 1) | st.integers(0, 80),
            "encoding": st.sampled_from([*SENT, "nv12", "uyvy", "64FC1", "nonsense"]),
            "is_bigendian": st.integers(0, 255),
            "data": st.binary(max_size=400),
        }
    )
)
def test_whatever_comes_is_an_image_or_an_input_error(fields):
    try:
        visible = to_visible(rosbags_image(**fields))
    except InputError:
        return
    assert visible.dtype == np.uint8 and visible.shape[:2] == (fields["height"], fields["width"])


FILLED = {"bgr8": ("u1", 3), "rgb8": ("u1", 3), "mono8": ("u1", 0), "mono16": ("u2", 0), "32FC1": ("f4", 0)}


@pytest.mark.parametrize("layout", ["contiguous", "strided"])
@pytest.mark.parametrize("encoding", FILLED)
def test_a_filled_message_reads_back_the_same(encoding, layout):
    image_type = pytest.importorskip("sensor_msgs.msg").Image
    dtype, channels = FILLED[encoding]
    shape = (5, 14) + ((channels,) if channels else ())
    pixels = np.random.default_rng(2).integers(0, 256, shape).astype(dtype)
    if layout == "strided":
        pixels = pixels[:, ::2]
    message = image_type()
    message.data = array.array("B", b"what an older frame left")
    fill_image(message, pixels, encoding)
    assert (message.height, message.width, message.encoding) == (*pixels.shape[:2], encoding)
    assert message.step * message.height == len(message.data) == pixels.nbytes
    np.testing.assert_array_equal(decode_image(message), pixels)


@pytest.mark.parametrize(
    "shape,dtype,encoding,said",
    [
        ((4, 4), "u1", "bgr8", "bgr8 takes uint8 with 3 channel"),
        ((4, 4, 3), "f4", "bgr8", "got float32"),
        ((4, 4, 3), "u1", "mono8", "1 channel"),
        ((0, 4), "u1", "mono8", "got uint8 \\(0, 4\\)"),
        ((4, 4), "u1", "nv12", "cannot write encoding 'nv12'"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(shape, dtype, encoding, said):
    message = SimpleNamespace()
    with pytest.raises(InputError, match=said):
        fill_image(message, np.zeros(shape, dtype), encoding)
    assert not vars(message)
