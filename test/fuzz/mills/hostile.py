"""Hostile messages as a camera's driver or a broken network may send them, each as bytes on the wire (CDR)."""

from __future__ import annotations

import array
import random
import time
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from test.fuzz.damage import damage

ENCODINGS = (
    *("mono8", "mono16", "8UC1", "16UC1", "32FC1", "bgr8", "rgb8", "bgra8", "rgba8", "8UC3", "8UC4", "rgb16", "bgr16"),
    *(
        "rgba16",
        "bgra16",
        "yuv422",
        "uyvy",
        "yuv422_yuy2",
        "yuyv",
        "nv12",
        "nv21",
        "nv24",
        "bayer_rggb8",
        "bayer_bggr16",
    ),
    *("bayer_gbrg8", "bayer_grbg16", "32FC3", "64FC1", "16SC1", "8SC1", "32SC1", "h264", "jpeg"),
)
PIXEL = {"mono8": 1, "mono16": 2, "8UC1": 1, "16UC1": 2, "32FC1": 4, "bgr8": 3, "rgb8": 3, "bgra8": 4, "rgba8": 4}
"""Bytes of a pixel."""
NO_ENCODINGS = (
    "",
    "MONO8",
    "bgr8 ",
    "\u202e8rgb",
    "x" * 5000,
    "%s%n",
    "../../x",
    "{0.__class__}",
    "\n\n[FATAL] x",
    "\x07",
)
FORMATS = (
    *("jpeg", "png", "", "mono16; png compressed ", "bgr8; jpeg compressed bgr8", "16UC1; compressedDepth"),
    *("bayer_rggb8; png compressed", "bayer_rggb16; jpeg compressed", ";;;;", "x" * 4000, "\x07", "h264"),
)
SUFFIXES = (".png", ".jpg", ".tiff", ".bmp", ".webp", ".pgm", ".jp2")
FRAMES = ("camera", "", "a" * 3000, "日本", "<script>", "\x1b[2J", "\n\n")
NUMBERS = (0, 1, 2, 3, 31, 32, 33, 64, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
SIZES = ((48, 64), (96, 128), (1, 1), (2, 2), (31, 31), (32, 32), (1, 500), (500, 1), (33, 37))
FLOATS = (0.0, 1.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 1e-308, 320.0, 500.0)
MODELS = ("plumb_bob", "rational_polynomial", "equidistant", "fisheye", "", "thin_prism", "PLUMB_BOB", "x" * 2000)


def hostile(random: random.Random, compressed: bool) -> tuple[str, bytes]:
    """
    Returns:
        Where it goes (infrared, visible, infrared_info, visible_info or depth), and the message.
    """
    share = random.random()
    if share < 0.15:
        to, message = random.choice(("infrared_info", "visible_info")), _info(random)
    elif share < 0.2:
        to, message = "depth", _image(random)
    else:
        to, message = random.choice(("infrared", "visible")), (_compressed if compressed else _image)(random)
    _stamp(message, random)
    wire = bytes(serialize_message(message))
    if random.random() < 0.4:
        # The first four bytes tell the byte order, and are DDS's own.
        wire = wire[:4] + damage(wire[4:], random, head=200)[1]
    return to, wire


def _stamp(message: Any, random: random.Random) -> None:
    now, stamp = time.time_ns(), message.header.stamp
    if random.random() < 0.7:  # near enough to be paired
        stamp.sec, stamp.nanosec = divmod(now + random.randint(-(10**7), 10**7), 10**9)
    else:
        seconds = now // 10**9
        stamp.sec = random.choice((0, 1, -1, -(2**31), 2**31 - 1, seconds, seconds + 3600, seconds - 3600))
        stamp.nanosec = random.choice((0, 1, 999_999_999, 10**9, 2**31, 2**32 - 1))
    message.header.frame_id = random.choice(FRAMES)


def _image(random: random.Random) -> Image:
    message = Image(is_bigendian=random.choice((0, 1, 255)))
    message.encoding = random.choice(ENCODINGS if random.random() < 0.8 else NO_ENCODINGS)
    message.height, message.width = random.choice(SIZES)
    pixel, share = random.choice((1, 2, 3, 4, 6, 8)), random.random()
    if random.random() < 0.7:
        pixel = PIXEL.get(message.encoding, pixel)
    message.step = message.width * pixel
    data = random.randbytes(message.height * message.step)
    if share < 0.15:
        message.height, message.width = random.choice(NUMBERS), random.choice(NUMBERS)
    elif share < 0.3:
        message.step = random.choice(NUMBERS)
    elif share < 0.45:
        data = data[: random.choice((0, len(data) - 1, random.randrange(len(data))))]
    elif share < 0.6:
        values = [random.choice((float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-45, 0.0, 300.0))]
        values += [random.gauss(300, 5)] * random.choice((0, 3))
        pixels = np.resize(np.array(values, np.float32), message.height * message.width)
        message.encoding, message.step, data = "32FC1", message.width * 4, pixels.tobytes()
    message.data = array.array("B", data)
    return message


def _compressed(random: random.Random) -> CompressedImage:
    message, suffix = CompressedImage(format=random.choice(FORMATS)), random.choice(SUFFIXES)
    height, width = random.choice(SIZES)
    deep = suffix in (".png", ".tiff", ".pgm") and random.random() < 0.5
    shape = (height, width) if suffix == ".pgm" or random.random() < 0.5 else (height, width, 3)
    kind = np.uint16 if deep else np.uint8
    pixels = np.frombuffer(random.randbytes(int(np.prod(shape)) * kind().itemsize), kind).reshape(shape)
    if suffix == ".jp2" and min(height, width) < 32:  # too small for its encoder
        suffix = ".png"
    data = cv2.imencode(suffix, pixels)[1].tobytes()
    if random.random() < 0.7:
        data = damage(data, random)[1]
    message.data = array.array("B", data)
    return message


def _info(random: random.Random) -> CameraInfo:
    message = CameraInfo(distortion_model=random.choice(MODELS))
    message.height, message.width = random.choice(
        ((48, 64), (96, 128), (random.choice(NUMBERS), random.choice(NUMBERS)))
    )
    count = random.choice((0, 1, 4, 5, 8, 12, 14, 1000))
    message.d = [random.choice(FLOATS) if random.random() < 0.5 else random.uniform(-1, 1) for _ in range(count)]
    k = [100.0, 0.0, 32.0, 0.0, 100.0, 24.0, 0.0, 0.0, 1.0]
    for _ in range(random.choice((0, 0, 1, 2, 9))):
        k[random.randrange(9)] = random.choice(FLOATS)
    message.k, message.p = k, [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], random.choice(FLOATS)]
    message.binning_x = random.choice(NUMBERS) if random.random() < 0.3 else 0
    if random.random() < 0.3:
        message.roi.x_offset, message.roi.width = random.choice(NUMBERS), random.choice(NUMBERS)
    return message
