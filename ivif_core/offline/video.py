"""Fusion of two video files into a third that keeps the visible one's size, frame rate and time stamps."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ivif_core.errors import InputError
from ivif_core.files.outputs import check_file
from ivif_core.files.writing import temporary_file
from ivif_core.fusion import Fuser
from ivif_core.imaging import colour
from ivif_core.imaging.crop import UNCROPPED, Crop, Crops
from ivif_core.imaging.size import MAXIMUM_MEGAPIXELS
from ivif_core.imaging.video_file import H264_OPTIONS, address, count_packets, frame_pixels, import_av, open_video
from ivif_core.offline.prefetch import overlapped
from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import Pair
from ivif_core.types import Source

SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".ts", ".wmv"}
CODECS = {".mp4": "libx264", ".mov": "libx264", ".m4v": "libx264", ".mkv": "ffv1"}
"""Suffix of an output -> codec: H.264 of high quality, or lossless FFV1."""
_WAITING = 10
"""Frames of each video that may wait for the nearest of the other."""


@dataclass(frozen=True)
class VideoResult:
    """What became of two videos.

    Attributes:
        fused: frames written.
        left_out: visible frames without an infrared frame near in time: one of the videos is longer.
    """

    fused: int
    left_out: int


@dataclass(frozen=True)
class _Frame:
    """A decoded frame: uint8 H×W×3 BGR, uint8 or uint16 H×W; pts in the stream's time base."""

    pixels: np.ndarray
    pts: int


def fuse_video(
    fuser: Fuser,
    infrared: Path,
    visible: Path,
    output: Path,
    *,
    grey: bool = False,
    overwrite: bool = False,
    maximum_megapixels: float = MAXIMUM_MEGAPIXELS,
    crops: Crops = UNCROPPED,
    progress: Callable[[int, int], None] = lambda fused, of: None,
) -> VideoResult:
    """Fuse every visible frame with the infrared frame that is nearest in time, each counted from its video's start.

    Sound is left out. The frame rates may differ. Decoding, fusing and encoding overlap.

    Args:
        fuser: its scaling follows the frames of 16-bit infrared.
        output: .mp4, .mov or .m4v (H.264) or .mkv (lossless FFV1); appears only when whole.
        grey: write fused luminance only.
        maximum_megapixels: of a frame.
        crops: of both videos' frames.
        progress: told frames fused, and frames that the visible video says to have (0: it does not say).

    Raises:
        MissingPackage: PyAV is not installed.
        InputError: a file is no video, or breaks off, `output` is there or has another suffix.
    """
    av = import_av()
    if output.suffix.lower() not in CODECS:
        raise InputError(f"-o {output}: expected {', '.join(CODECS)}, since the inputs are videos")
    check_file(output, (infrared, visible), overwrite=overwrite)
    try:
        with temporary_file(output, overwrite=overwrite) as temporary, ExitStack() as stack:
            streams: dict[Source, Any] = {
                "infrared": open_video(infrared, stack, maximum_megapixels),
                "visible": open_video(visible, stack, maximum_megapixels),
            }
            template = streams["visible"]
            pairing = NearestPairing(max(_interval(stream) for stream in streams.values()), _WAITING)
            container = av.open(address(temporary), "w")  # closed, and so whole, before it is renamed
            stack.enter_context(container)
            stream = None
            pairs = overlapped(_pair(streams, pairing, crops))
            fused_frames = overlapped(_fuse(pairs, fuser, grey))
            count = 0
            # A stage that fails leaves those before it going, and what they decode is closed with the stack.
            with closing(pairs), closing(fused_frames):
                for pixels, pts in fused_frames:
                    stream = stream or _add_stream(container, template, CODECS[output.suffix.lower()], pixels)
                    frame = av.VideoFrame.from_ndarray(pixels, format="bgr24" if pixels.ndim == 3 else "gray")
                    frame.pts, frame.time_base = pts, template.time_base
                    container.mux(stream.encode(_in_space(frame, stream, template)))
                    count += 1
                    progress(count, template.frames)
            if stream is None:
                raise InputError(f"no frame of {visible} has one of {infrared} near in time")
            container.mux(stream.encode())
            container.close()
            if (written := count_packets(temporary)) != count:
                raise InputError(f"{output}: {written} of {count} frames went to the disk; is it full?")
    except av.FFmpegError as error:
        raise InputError(
            f"{output}: {error.strerror} ({error.filename or 'a video'} breaks off or is damaged)"
        ) from error
    return VideoResult(count, pairing.dropped["visible_unmatched"])


def _interval(stream: Any) -> float:
    """Seconds between two frames."""
    return 1.0 / float(stream.average_rate or 25)


def _add_stream(container: Any, template: Any, codec: str, first: np.ndarray) -> Any:
    """A stream for frames as the first: rate and times of the template, size of the frame, which is upright."""
    stream = container.add_stream(codec, rate=template.average_rate)
    stream.height, stream.width = first.shape[:2]
    stream.time_base = stream.codec_context.time_base = template.time_base
    if codec == "ffv1":
        stream.pix_fmt = "gray" if first.ndim == 2 else "bgr0"
        return stream
    # Subsampled chrominance, which every player shows, needs even sides.
    is_even = stream.width % 2 == 0 and stream.height % 2 == 0
    stream.pix_fmt = "yuv420p" if is_even else "yuv444p"
    stream.options = H264_OPTIONS
    stream.codec_context.color_range, stream.codec_context.colorspace = 1, _matrix(template)
    return stream


def _matrix(template: Any) -> int:
    """Colour matrix of the output: the input's where it says BT.709 (1), else BT.601 (6)."""
    return 1 if int(template.codec_context.colorspace) == 1 else 6


def _in_space(frame: Any, stream: Any, template: Any) -> Any:
    """The frame as the encoder takes it, in limited range and the matrix that the file says."""
    if not stream.pix_fmt.startswith("yuv"):
        return frame
    matrix = {1: "ITU709", 6: "ITU601"}[_matrix(template)]
    made = frame.reformat(format=stream.pix_fmt, dst_colorspace=matrix, dst_color_range="MPEG")
    made.pts, made.time_base = frame.pts, frame.time_base
    return made


def _decode(stream: Any, source: Source, crop: Crop) -> Iterator[tuple[int, Source, _Frame]]:
    """(ns from the video's start, source, frame), in order of time."""
    start: int | None = None
    for frame in stream.container.decode(stream):
        if frame.pts is None:
            raise InputError(f"{stream.container.name}: a frame without a time stamp")
        start = frame.pts if start is None else start
        pixels = crop.apply(_pixels(frame, source), source)
        yield round((frame.pts - start) * stream.time_base * 10**9), source, _Frame(pixels, frame.pts)


def _pixels(frame: Any, source: Source) -> np.ndarray:
    pixels = frame_pixels(frame)
    if source == "infrared":
        return colour.luminance(pixels) if pixels.ndim == 3 else pixels
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _pair(streams: dict[Source, Any], pairing: NearestPairing, crops: Crops) -> Iterator[Pair]:
    with ExitStack() as stack:
        frames = [
            stack.enter_context(closing(overlapped(_decode(stream, source, crops[source]))))
            for source, stream in streams.items()
        ]
        for time, source, frame in heapq.merge(*frames, key=lambda entry: entry[0]):
            yield from pairing.add(source, time, frame)
        yield from pairing.finish()


def _fuse(pairs: Iterator[Pair], fuser: Fuser, grey: bool) -> Iterator[tuple[np.ndarray, int]]:
    for pair in pairs:
        yield fuser.fuse(pair.infrared.pixels, pair.visible.pixels, grey=grey), pair.visible.pts
