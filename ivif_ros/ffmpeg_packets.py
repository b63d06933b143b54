"""The fused image as packets of ffmpeg_image_transport, where its messages (not on PyPI) and PyAV are installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from std_msgs.msg import Header

from ivif_core.errors import MissingPackage
from ivif_core.imaging.h264 import KEYFRAMES, H264Encoder

try:
    from ffmpeg_image_transport_msgs.msg import FFMPEGPacket
except ImportError:  # ros-<distribution>-ffmpeg-image-transport-msgs
    FFMPEGPacket = None

MESSAGES_MISSING = (
    "ffmpeg_image_transport_msgs is not installed (ros-<distribution>-ffmpeg-image-transport-msgs), or its workspace "
    "was not sourced"
)
QUEUE = 2 * KEYFRAMES
"""Depth of the topic, as the transport's own publisher has it: an image that is lost spoils those up to a keyframe."""
KEY = 1
"""Flag of a keyframe, AV_PKT_FLAG_KEY: the transport's subscriber begins with one."""


class FfmpegPackets:
    """Makes messages of fused images.

    Attributes:
        KIND: type of the message; None: not installed.
    """

    KIND: Any = FFMPEGPacket

    def __init__(self) -> None:
        """
        Raises:
            MissingPackage: the messages, or PyAV with x264.
        """
        if self.KIND is None:
            raise MissingPackage(MESSAGES_MISSING)
        self._encode = H264Encoder()
        self._listeners = 0

    def restart(self) -> None:
        """Nobody listened for a while: the next packet is a keyframe."""
        self._listeners = 0

    def of(self, fused: np.ndarray, header: Header, listeners: int) -> Iterator[Any]:
        """The packets of an image; a keyframe where a listener has come since the last one.

        Args:
            fused: uint8 H×W×3 BGR, or H×W.

        Raises:
            InputError: it cannot be encoded.
        """
        if listeners > self._listeners:
            self._encode.restart()
        self._listeners = listeners
        for packet in self._encode(fused) if listeners else ():
            yield self.KIND(
                header=header,
                width=fused.shape[1],
                height=fused.shape[0],
                # Codec; what x264 was given; what that was made of; what the subscriber makes of it. A grey image goes
                # as a colour one: a subscriber refuses a stream whose encoding changes, as `output.colour` may.
                encoding=f"h264;{packet.pixel_format};bgr8;bgr8",
                pts=packet.number,
                flags=KEY if packet.is_keyframe else 0,
                is_bigendian=False,  # the pixels are of single bytes
                data=packet.data,
            )
