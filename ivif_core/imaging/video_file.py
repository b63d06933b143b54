"""Video files, read and written by PyAV alone; others get it by `import_av`."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from ivif_core.errors import InputError, MissingPackage
from ivif_core.files.installation import install_command
from ivif_core.files.writing import printable, temporary_file
from ivif_core.imaging.orientation import matrix_orientation, upright
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS, check_size
from ivif_core.imaging.wholeness import check_whole_video

H264_OPTIONS = {"crf": "16", "preset": "veryfast"}
_FORMATS = "mov,matroska,avi,mpeg,mpegvideo,mpegts,asf,flv,ogg,mxf,ivf,h264,hevc,m4v"
"""FFmpeg's readers of files that hold their own frames: a playlist would name other files, or a network."""


def import_av() -> ModuleType:
    """PyAV.

    Raises:
        MissingPackage: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPackage(f"video needs PyAV; to have it: {install_command('video')}") from error
    return av


def open_video(path: Path, stack: ExitStack, maximum_megapixels: float = MAXIMUM_MEGAPIXELS) -> Any:
    """The first video stream of a file, open until the stack is closed.

    Raises:
        MissingPackage: PyAV is not installed.
        InputError: no video, cut short, or too large.
    """
    av = import_av()
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise InputError(f"{path} cannot be read as a video: expected a regular file, not a folder, pipe or device")
    try:
        check_whole_video(path)
        container = stack.enter_context(av.open(address(path), options={"format_whitelist": _FORMATS}))
    except (OSError, av.FFmpegError) as error:
        is_other = error.errno == errno.EINVAL  # of none of the formats
        reason = "expected MP4, Matroska, AVI, MPEG or the like" if is_other else error.strerror
        raise InputError(f"{path} cannot be read as a video: {reason}") from error
    if not container.streams.video:
        raise InputError(f"{path} has no video in it")
    stream = container.streams.video[0]
    check_size(stream.codec_context.width, stream.codec_context.height, str(path), maximum_megapixels)
    stream.thread_type = "AUTO"
    # Frames within may be larger than the head says; the decoder refuses those before it takes memory for them.
    stream.codec_context.options = {"max_pixels": str(int(maximum_megapixels * 1e6))}
    return stream


def frame_pixels(frame: Any) -> np.ndarray:
    """A decoded frame, upright: uint16 H×W where it is grey of 16 bits, uint8 H×W where grey, else uint8 H×W×3 BGR."""
    name = frame.format.name
    kind = "gray16le" if name.startswith("gray16") else "gray" if name.startswith("gray") else "bgr24"
    return upright(frame.to_ndarray(format=kind), _orientation(frame))


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """The frames of a video in order, as `frame_pixels`.

    Raises:
        MissingPackage: PyAV is not installed.
        InputError: no video, or it breaks off.
    """
    av = import_av()
    with ExitStack() as stack:
        stream = open_video(path, stack)
        try:
            for frame in stream.container.decode(stream):
                yield frame_pixels(frame)
        except av.FFmpegError as error:
            raise InputError(f"{path} breaks off or is damaged: {error.strerror}") from error


def count_packets(path: Path) -> int:
    """Frames that a video file holds, without decoding them."""
    with import_av().open(address(path)) as container:
        return sum(packet.size > 0 for packet in container.demux(video=0))


def write_video(path: str | Path, jpegs: Sequence[np.ndarray], rate: float) -> None:
    """Write encoded frames of one size as H.264; the file appears only when it is whole.

    Args:
        jpegs: as `cv2.imencode` gives them; even sides.
        rate: frames per second.

    Raises:
        MissingPackage: PyAV is not installed.
        InputError: nothing to write, or the file cannot be written.
    """
    path = Path(path)
    if not jpegs:
        raise InputError(f"{path}: no frames to write")
    av = import_av()
    try:
        with temporary_file(path) as temporary:
            with av.open(address(temporary), "w") as container:
                stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
                stream.height, stream.width = _decoded(jpegs[0]).shape[:2]
                stream.pix_fmt, stream.options = "yuv420p", H264_OPTIONS
                for jpeg in jpegs:
                    frame = av.VideoFrame.from_ndarray(_decoded(jpeg), format="bgr24")
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
            if (count := count_packets(temporary)) != len(jpegs):
                raise InputError(f"{path}: {count} of {len(jpegs)} frames went to the disk; is it full?")
    except av.FFmpegError as error:
        raise InputError(f"cannot write {printable(path)}: {error.strerror}") from error


def address(path: Path) -> str:
    """For FFmpeg, to which `a:b.mp4` is a protocol."""
    return f"file:{path}"


def _decoded(jpeg: np.ndarray) -> np.ndarray:
    pixels = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    if pixels is None:
        raise InputError("a frame to be written to a video could not be decoded")
    return pixels


def _orientation(frame: Any) -> int:
    """Of the display matrix that the file gives its frames, as EXIF's value."""
    for entry in frame.side_data:
        if entry.type.name == "DISPLAYMATRIX":
            return matrix_orientation(struct.unpack("=9i", bytes(entry)[:36]))
    return 1
