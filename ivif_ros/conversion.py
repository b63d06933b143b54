"""ROS images -> arrays: the core's conversion, and `cv_bridge`, where it imports, for encodings that the core lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ivif_core.errors import InputError
from ivif_core.imaging import messages as image_message
from ivif_core.imaging.messages import UnsupportedEncoding
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage, Image


def visible_pixels(message: Image | CompressedImage, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """uint8 H×W×3 BGR or H×W grey.

    Raises:
        UnsupportedEncoding: neither the core nor cv_bridge converts the encoding.
        InputError: the message is malformed, or its image too large.
    """
    try:
        return image_message.to_visible(message, maximum_megapixels)
    except UnsupportedEncoding as error:
        return _by_cv_bridge(message, "bgr8", error)


def infrared_pixels(message: Image | CompressedImage, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> np.ndarray:
    """H×W uint8 intensity, uint16 counts or float32 values (whatever cv_bridge converts becomes float32).

    Raises:
        UnsupportedEncoding: neither the core nor cv_bridge converts the encoding.
        InputError: the message is malformed, or its image too large.
    """
    try:
        return image_message.to_infrared(message, maximum_megapixels)
    except UnsupportedEncoding as error:
        values = _by_cv_bridge(message, "passthrough", error)
    if values.ndim != 2:
        raise InputError(f"thermal image: encoding {message.encoding!r} has {values.shape[2]} channels; expected one")
    return values.astype(np.float32)


def _by_cv_bridge(message: Image | CompressedImage, encoding: str, refusal: UnsupportedEncoding) -> np.ndarray:
    """Convert to `encoding`, or raise the core's refusal with what cv_bridge had to say."""
    try:
        # Built against NumPy 1, its extension fails under NumPy 2 with an AttributeError.
        from cv_bridge import CvBridge, CvBridgeError
    except (ImportError, AttributeError) as error:
        raise UnsupportedEncoding(f"{refusal}; cv_bridge, which might, does not import: {error}") from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, encoding))
    except CvBridgeError as error:
        raise UnsupportedEncoding(f"{refusal}; nor does cv_bridge: {error}") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"image message of encoding {message.encoding!r}: cv_bridge fails: {error}") from error
