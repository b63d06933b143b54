"""`sensor_msgs` Image and CompressedImage <-> arrays.

Duck-typed: it reads the fields, so it serves rclpy's messages and those that `rosbags` reads, and imports neither.
Encodings are those of `sensor_msgs/image_encodings.hpp` (Jazzy, Kilted); YUV is BT.601 video range, as OpenCV's.
"""

from __future__ import annotations

import array
import sys
from functools import partial
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np

from ivif_core.errors import InputError
from ivif_core.imaging import colour
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS, check_encoded, check_size
from ivif_core.imaging.wholeness import check_filled, check_whole


class UnsupportedEncoding(InputError):
    """The encoding is not one that is converted here; another converter (cv_bridge) may know it."""


class _Layout(NamedTuple):
    dtype: type[np.generic]
    channels: int


_GREY8, _GREY16, _FLOAT = _Layout(np.uint8, 1), _Layout(np.uint16, 1), _Layout(np.float32, 1)
# OpenCV names a Bayer pattern by its second row's second and third pixel, ROS by its first two rows.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2BGR,
    "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR,
    "grbg": cv2.COLOR_BayerGB2BGR,
}
_TO_BGR = {
    "rgb8": cv2.COLOR_RGB2BGR,
    "rgba8": cv2.COLOR_RGBA2BGR,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "8UC4": cv2.COLOR_BGRA2BGR,
    "rgb16": cv2.COLOR_RGB2BGR,
    "rgba16": cv2.COLOR_RGBA2BGR,
    "bgra16": cv2.COLOR_BGRA2BGR,
    "yuv422": cv2.COLOR_YUV2BGR_UYVY,
    "uyvy": cv2.COLOR_YUV2BGR_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUY2,
    "yuyv": cv2.COLOR_YUV2BGR_YUY2,
    "nv12": cv2.COLOR_YUV2BGR_NV12,
    "nv21": cv2.COLOR_YUV2BGR_NV21,
    **{f"bayer_{pattern}{bits}": code for pattern, code in _BAYER.items() for bits in (8, 16)},
}
_PACKED_YUV = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv")
_PLANAR_YUV = ("nv12", "nv21")
_LAYOUTS = {
    "mono8": _GREY8,
    "8UC1": _GREY8,
    "mono16": _GREY16,
    "16UC1": _GREY16,
    "32FC1": _FLOAT,
    "16SC1": _Layout(np.int16, 1),
    "32SC1": _Layout(np.int32, 1),
    "64FC1": _Layout(np.float64, 1),
    "8UC3": _Layout(np.uint8, 3),
    "8UC4": _Layout(np.uint8, 4),
    **{f"{order}8": _Layout(np.uint8, len(order)) for order in ("rgb", "bgr", "rgba", "bgra")},
    **{f"{order}16": _Layout(np.uint16, len(order)) for order in ("rgb", "bgr", "rgba", "bgra")},
    **{f"bayer_{pattern}8": _GREY8 for pattern in _BAYER},
    **{f"bayer_{pattern}16": _GREY16 for pattern in _BAYER},
    **dict.fromkeys(_PACKED_YUV, _Layout(np.uint8, 2)),
    **dict.fromkeys(_PLANAR_YUV, _GREY8),  # luminance rows, then half as many rows of interleaved chrominance
}
_GREY = ("mono8", "8UC1", "mono16", "16UC1")
_MEASURED = ("16SC1", "32SC1", "32FC1", "64FC1")
"""Thermal values that are no counts of 16 bits; taken as float32."""
_FILLED = ("bgr8", "rgb8", "mono8", "mono16", "32FC1")
_CODEC_ENCODING = {
    (np.dtype(np.uint8), 1): "mono8",
    (np.dtype(np.uint8), 3): "bgr8",
    (np.dtype(np.uint8), 4): "bgra8",
    (np.dtype(np.uint16), 1): "mono16",
    (np.dtype(np.uint16), 3): "bgr16",
    (np.dtype(np.uint16), 4): "bgra16",
    (np.dtype(np.int16), 1): "16SC1",
    (np.dtype(np.int32), 1): "32SC1",
    (np.dtype(np.float32), 1): "32FC1",
    (np.dtype(np.float64), 1): "64FC1",
}


def decode_image(message: Any, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """The pixels as they were sent.

    Args:
        message: an Image (`height, width, encoding, is_bigendian, step, data`) or a CompressedImage (`format, data`).
        maximum_megapixels: most pixels, in millions; checked before a compressed image is decoded.

    Returns:
        H×W (mono, 8UC1, 16UC1, 16SC1, 32SC1, 32FC1, 64FC1, bayer), H×W×C (rgb, bgr, rgba, bgra, 8UC3, 8UC4; packed
        YUV: C = 2) or 3H/2×W (nv12, nv21); of the encoding's type, in native byte order. A view of the message's data,
        row padding left out, unless bytes have to be swapped or aligned; so change the message no more, or copy.

    Raises:
        UnsupportedEncoding: the encoding is unknown here.
        InputError: fields and data contradict each other, compressed data cannot be decoded, or it is too large.
    """
    return _decode(message, maximum_megapixels)[0]


def to_visible(message: Any, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """A visible image: uint8 H×W×3 BGR, or H×W where the camera is grey; 16 bits are cut to the upper 8.

    Raises:
        UnsupportedEncoding, InputError: as `decode_image`, and where the encoding is no visible image.
    """
    pixels, encoding = _decode(message, maximum_megapixels)
    if encoding not in _TO_BGR and encoding not in ("bgr8", "8UC3", "bgr16", *_GREY):
        raise InputError(
            f"visible image: encoding {encoding!r} is not supported; expected colour, mono, bayer or YUV (is it the "
            "thermal camera's?)"
        )
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return cv2.cvtColor(pixels, _TO_BGR[encoding]) if encoding in _TO_BGR else pixels


def to_infrared(message: Any, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """A thermal image: H×W uint8 intensity, uint16 counts or float32 values (signed and 64-bit ones become these).

    Colour (host AGC) becomes luminance.

    Raises:
        UnsupportedEncoding, InputError: as `decode_image`, and where the encoding is no thermal image (bayer).
    """
    pixels, encoding = _decode(message, maximum_megapixels)
    if encoding in _GREY:
        return pixels
    if encoding in _MEASURED:
        return pixels.astype(np.float32, copy=False)
    if encoding.startswith("bayer"):
        raise InputError(
            f"thermal image: encoding {encoding!r} is not supported; expected mono, 16UC1, 32FC1 or colour (is it the "
            "RGB camera's?)"
        )
    return colour.luminance(to_visible(message, maximum_megapixels))


def as_sent(message: Any, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """What both cameras may send, for a first look at it: BGR of 8 bits where it is bayer or YUV, else as sent.

    Raises:
        UnsupportedEncoding, InputError: as `decode_image`.
    """
    pixels, encoding = _decode(message, maximum_megapixels)
    is_mosaic = encoding.startswith(("bayer", "yuv", "uyvy", "nv"))
    return to_visible(message, maximum_megapixels) if is_mosaic else pixels


def to_depth(message: Any, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """A depth image (REP 118): float32 H×W in metres; where it is not measured 0, NaN or infinite, as it came.

    Raises:
        InputError: as `decode_image`, and where the encoding is neither 16UC1 (mm) nor 32FC1 (m).
    """
    pixels, encoding = _decode(message, maximum_megapixels)
    if encoding == "32FC1":
        return pixels
    if encoding in ("16UC1", "mono16"):
        return pixels * np.float32(1e-3)
    raise InputError(f"depth image: encoding {encoding!r} is not supported; expected 16UC1 (mm) or 32FC1 (m)")


def fill_image(message: Any, pixels: np.ndarray, encoding: str) -> None:
    """Put an array into an rclpy Image; the header is left to the caller.

    Args:
        message: an `rclpy` Image.
        pixels: uint8 H×W×3 for bgr8 and rgb8 (in that order already), uint8 H×W for mono8, uint16 H×W for mono16,
            float32 H×W for 32FC1.
        encoding: one of those.

    Raises:
        InputError: another encoding, or an array that does not fit it.
    """
    if encoding not in _FILLED:
        raise InputError(f"image message: cannot write encoding {encoding!r}; expected one of {', '.join(_FILLED)}")
    layout = _LAYOUTS[encoding]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    fits = pixels.ndim == (3 if layout.channels > 1 else 2) and channels == layout.channels and pixels.size > 0
    if not fits or pixels.dtype != layout.dtype:
        raise InputError(
            f"image message: {encoding} takes {np.dtype(layout.dtype).name} with {layout.channels} channel(s), "
            f"got {pixels.dtype} {pixels.shape}"
        )
    pixels = np.ascontiguousarray(pixels)
    # Copied by frombytes: assigning bytes is checked item by item in some distributions, a thousand times slower.
    data = array.array("B")
    data.frombytes(pixels.data.cast("B"))
    message.height, message.width = pixels.shape[:2]
    message.encoding = encoding
    message.is_bigendian = int(sys.byteorder == "big")
    message.step = pixels.strides[0]
    message.data = data


def _decode(message: Any, maximum_megapixels: float) -> tuple[np.ndarray, str]:
    """Pixels as sent and their encoding."""
    if hasattr(message, "format"):
        return _decode_compressed(message, maximum_megapixels)
    encoding = str(message.encoding)
    layout = _LAYOUTS.get(encoding)
    if layout is None:
        raise UnsupportedEncoding(
            f"image message: encoding {encoding!r} is not converted here; expected one of {', '.join(_LAYOUTS)}"
        )
    return _view(message, encoding, layout, maximum_megapixels), encoding


def _view(message: Any, encoding: str, layout: _Layout, maximum_megapixels: float) -> np.ndarray:
    """Check the fields against each other and lay an array over the data."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    what = f"image message: {width}×{height} {encoding}"
    if height < 1 or width < 1:
        raise InputError(f"{what}: expected a width and height of at least 1")
    if encoding in (*_PACKED_YUV, *_PLANAR_YUV) and width % 2:
        raise InputError(f"{what}: two pixels share their chrominance, expected an even width")
    if encoding in _PLANAR_YUV:
        if height % 2:
            raise InputError(f"{what}: two rows share their chrominance, expected an even height")
        height = height * 3 // 2
    item = np.dtype(layout.dtype).itemsize
    if step < width * layout.channels * item:
        raise InputError(f"{what}: expected a step of at least {width * layout.channels * item} bytes, got {step}")
    size = memoryview(message.data).nbytes
    if size < step * height:
        raise InputError(f"{what}: expected {height} rows of {step} bytes = {step * height} bytes, got {size}")
    check_size(width, int(message.height), what, maximum_megapixels)
    order: Literal[">", "<"] = ">" if message.is_bigendian else "<"
    shape: tuple[int, ...] = (height, width)
    strides: tuple[int, ...] = (step, layout.channels * item)
    if layout.channels > 1:
        shape, strides = (*shape, layout.channels), (*strides, item)
    dtype = np.dtype(layout.dtype).newbyteorder(order)
    pixels = np.ndarray(shape, dtype, buffer=message.data, strides=strides)
    return np.require(pixels, layout.dtype, "A")  # copies only where bytes have to be swapped or aligned


def _decode_compressed(message: Any, maximum_megapixels: float) -> tuple[np.ndarray, str]:
    """Format is `ORIGINAL; CODEC compressed ORDER`, `CODEC`, or empty (compressed_image_transport)."""
    written = str(message.format)
    if "compressedDepth" in written:
        raise InputError(
            f"compressed image: format {written!r} is a depth stream with a header of its own; "
            "subscribe to its raw topic, or publish it by the 'compressed' transport"
        )
    data = np.frombuffer(message.data, np.uint8) if len(message.data) else np.zeros(0, np.uint8)
    what = f"compressed image: format {written[:80]!r}, {data.size} bytes"
    check_encoded(data.data, what, maximum_megapixels)
    check_whole(data.data, what)
    decoder = partial(cv2.imdecode, flags=cv2.IMREAD_UNCHANGED)
    try:
        pixels = decoder(data)
    except cv2.error as error:
        raise InputError(f"{what} could not be decoded: {error.err}") from error
    if pixels is None:
        raise InputError(f"{what} could not be decoded; expected JPEG or PNG")
    check_filled(data.data, pixels, decoder, what)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    encoding = _CODEC_ENCODING.get((pixels.dtype, channels))
    if encoding is None:
        raise UnsupportedEncoding(f"compressed image: {pixels.dtype} with {channels} channels; expected 1, 3 or 4")
    original, _, codec = written.partition(";")
    if channels == 1 and original in _LAYOUTS and original.startswith("bayer"):
        return pixels, original
    # The transport writes BGR in the codec's own order; it says so where red and blue were left exchanged.
    swapped = "compressed rgb" in codec and channels >= 3
    return pixels, encoding.replace("bgr", "rgb") if swapped else encoding
