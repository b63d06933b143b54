from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.imaging.messages import to_infrared, to_visible


def compressed(extension, pixels, written, cut=None):
    return SimpleNamespace(format=written, data=cv2.imencode(extension, pixels)[1].tobytes()[:cut])


@pytest.mark.parametrize("written", ["png", "", "bgr8; png compressed bgr8"])
def test_colour(written):
    pixels = np.random.default_rng(3).integers(0, 256, (9, 11, 3), np.uint8)
    np.testing.assert_array_equal(to_visible(compressed(".png", pixels, written)), pixels)


def test_with_red_and_blue_exchanged():
    pixels = np.random.default_rng(3).integers(0, 256, (9, 11, 3), np.uint8)
    message = compressed(".png", pixels, "rgb8; png compressed rgb8")
    np.testing.assert_array_equal(to_visible(message), pixels[:, :, ::-1])


def test_counts_keep_sixteen_bits():
    counts = np.random.default_rng(4).integers(0, 65536, (9, 11), np.uint16)
    message = compressed(".png", counts, "mono16; png compressed ")
    np.testing.assert_array_equal(to_infrared(message), counts)
    np.testing.assert_array_equal(to_visible(message), counts // 256)


def test_jpeg_is_near_what_was_sent():
    ramp = np.repeat(np.linspace(20, 230, 64)[None], 48, 0).astype(np.uint8)
    grey, colour = compressed(".jpg", ramp, "jpeg"), compressed(".jpg", cv2.merge([ramp] * 3), "jpeg")
    assert to_visible(grey).shape == (48, 64) and to_visible(colour).shape == (48, 64, 3)
    for message in (grey, colour):
        np.testing.assert_allclose(to_infrared(message), ramp, atol=3)


def test_mosaic_is_demosaiced():
    mosaic = np.tile(np.array([[200, 100], [100, 50]], np.uint8), (6, 6))
    visible = to_visible(compressed(".png", mosaic, "bayer_rggb8; png compressed "))
    np.testing.assert_array_equal(visible[4, 4], [50, 100, 200])


def test_on_the_wire():
    """rclpy's own type, whose data is an array."""
    message = pytest.importorskip("sensor_msgs.msg").CompressedImage()
    message.format = "jpeg"
    message.data = array.array("B", cv2.imencode(".jpg", np.full((32, 32), 90, np.uint8))[1].tobytes())
    np.testing.assert_allclose(to_infrared(message), np.full((32, 32), 90), atol=1)


@pytest.mark.parametrize(
    "message,said",
    [
        (SimpleNamespace(format="16UC1; compressedDepth png", data=bytes(40)), "depth stream with a header of its own"),
        (SimpleNamespace(format="jpeg", data=b""), "'jpeg', 0 bytes could not be decoded"),
        (SimpleNamespace(format="h264", data=bytes(range(200))), "'h264', 200 bytes could not be decoded"),
        (compressed(".png", np.zeros((8, 8), np.uint8), "png", cut=20), "'png', 20 bytes"),
    ],
)
def test_nonsense(message, said):
    for convert in (to_visible, to_infrared):
        with pytest.raises(InputError, match=said):
            convert(message)
