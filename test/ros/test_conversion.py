"""What the core does not convert goes to cv_bridge, where it imports."""

from __future__ import annotations

import array
import sys
from types import ModuleType

import numpy as np
import pytest
from sensor_msgs.msg import Image

from ivif_core.errors import InputError
from ivif_core.imaging.messages import UnsupportedEncoding, fill_image
from ivif_ros.conversion import infrared_pixels, visible_pixels


def signed_bytes(encoding="8SC1"):
    values = np.arange(12, dtype=np.int8).reshape(3, 4)
    message = Image(height=3, width=4, encoding=encoding, step=4)
    message.data = array.array("B", values.tobytes())
    return message, values


@pytest.fixture
def cv_bridge(monkeypatch):
    """Has the interface of cv_bridge, which no package index carries; converts 8SC1 and nothing else."""
    bridge = ModuleType("cv_bridge")

    class CvBridgeError(TypeError):
        pass

    class CvBridge:
        def imgmsg_to_cv2(self, message, desired_encoding):
            if message.encoding != "8SC1":
                raise CvBridgeError(f"no conversion from {message.encoding}")
            values = np.frombuffer(message.data, np.int8).reshape(message.height, message.width)
            return values if desired_encoding == "passthrough" else np.repeat(values[..., None], 3, 2).astype(np.uint8)

    bridge.CvBridge, bridge.CvBridgeError = CvBridge, CvBridgeError
    monkeypatch.setitem(sys.modules, "cv_bridge", bridge)


def test_known_encodings_need_no_cv_bridge(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    message = Image()
    fill_image(message, pixels, "bgr8")
    np.testing.assert_array_equal(visible_pixels(message), pixels)
    assert infrared_pixels(message).shape == (3, 4)


def test_others_are_left_to_cv_bridge(cv_bridge):
    message, values = signed_bytes()
    np.testing.assert_array_equal(infrared_pixels(message), values.astype(np.float32))
    np.testing.assert_array_equal(visible_pixels(message)[:, :, 1], values)


@pytest.mark.parametrize("convert", [infrared_pixels, visible_pixels])
def test_without_cv_bridge_the_error_names_it(monkeypatch, convert):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    with pytest.raises(UnsupportedEncoding, match=r"'8SC1' is not converted here.*cv_bridge, which might"):
        convert(signed_bytes()[0])


@pytest.mark.parametrize("convert", [infrared_pixels, visible_pixels])
def test_what_nobody_converts(cv_bridge, convert):
    with pytest.raises(UnsupportedEncoding, match="nor does cv_bridge: no conversion from nonsense"):
        convert(signed_bytes("nonsense")[0])


def test_a_malformed_message_is_not_offered_to_cv_bridge(cv_bridge):
    message, _ = signed_bytes("mono8")
    message.step = 2
    with pytest.raises(InputError, match="step of at least 4"):
        visible_pixels(message)
