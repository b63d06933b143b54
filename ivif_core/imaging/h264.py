"""H.264 as packets for a live stream: one for each image at once, and a keyframe every now and then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from ivif_core.errors import InputError, MissingPackage
from ivif_core.files.installation import install_command
from ivif_core.imaging.video_file import import_av

KEYFRAMES = 10
"""Images from one keyframe to the next, as ffmpeg_image_transport has it: so long a receiver waits at most."""
OPTIONS = {"preset": "superfast", "tune": "zerolatency", "crf": "23", "g": str(KEYFRAMES), "bf": "0"}
"""Of x264. zerolatency: no image waits for later ones."""


@dataclass(frozen=True)
class Packet:
    """One image.

    Attributes:
        data: in Annex B, as FFmpeg decodes it without a container; a keyframe has all that a decoder needs to begin.
        pixel_format: that was encoded, in FFmpeg's words.
        number: of the image, one more for each; goes on over `restart`.
    """

    data: bytes
    pixel_format: str
    number: int
    is_keyframe: bool


class H264Encoder:
    """Encodes images one by one. They may change their size, with which the stream starts anew."""

    def __init__(self) -> None:
        """
        Raises:
            MissingPackage: PyAV, or in it x264, is not there.
        """
        self._av = import_av()
        try:
            self._av.codec.Codec("libx264", "w")
        except ValueError as error:  # UnknownCodecError is one
            raise MissingPackage(f"this PyAV has no x264; for one that has: {install_command('video')}") from error
        self._context: Any = None
        self._number = 0

    def restart(self) -> None:
        """The next image becomes a keyframe."""
        self._context = None

    def __call__(self, image: np.ndarray) -> Iterator[Packet]:
        """The packets that an image makes: one.

        Args:
            image: uint8 H×W×3 BGR, or H×W.

        Raises:
            InputError: it cannot be encoded.
        """
        height, width = image.shape[:2]
        try:
            frame = self._frame(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image)
            context = self._context
            if context is None or (context.width, context.height) != (width, height):
                context = self._context = self._av.CodecContext.create("libx264", "w")
                context.width, context.height, context.pix_fmt = width, height, frame.format.name
                context.time_base, context.framerate, context.options = Fraction(1, 30), Fraction(30), dict(OPTIONS)
            frame.pts, self._number = self._number, self._number + 1
            for packet in context.encode(frame):
                yield Packet(bytes(packet), frame.format.name, packet.pts, bool(packet.is_keyframe))
        except (OSError, self._av.FFmpegError) as error:
            self.restart()
            raise InputError(f"an image of {width}×{height} cannot be encoded as H.264: {error.strerror}") from error

    def _frame(self, bgr: np.ndarray) -> Any:
        if bgr.shape[0] % 2 or bgr.shape[1] % 2:  # four pixels cannot share their colour; slower
            return self._av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(format="yuv444p")
        return self._av.VideoFrame.from_ndarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), format="yuv420p")
