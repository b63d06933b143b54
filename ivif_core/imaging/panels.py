"""Thermal | RGB | fused side by side, as a picture and as a video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ivif_core.errors import InputError
from ivif_core.files.writing import printable, temporary_file

TITLES = ("thermal", "RGB", "fused")


def triptych(infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray, width: int | None = None) -> np.ndarray:
    """Thermal | RGB | fused with their titles.

    Args:
        infrared: uint8 h×w of any size.
        visible, fused: uint8 H×W×3 BGR or H×W.
        width: of one panel; None: the visible's.

    Returns:
        uint8 H'×3W'×3 BGR, H' and W' even (video codecs ask for that).
    """
    width = (visible.shape[1] if width is None else width) // 2 * 2
    height = max(2, round(visible.shape[0] * width / visible.shape[1]) // 2 * 2)
    panels = []
    for image, title in zip((infrared, visible, fused), TITLES, strict=True):
        how = cv2.INTER_AREA if image.shape[1] > width else cv2.INTER_LINEAR
        panel = cv2.resize(image, (width, height), interpolation=how)
        panel = cv2.cvtColor(panel, cv2.COLOR_GRAY2BGR) if panel.ndim == 2 else panel
        scale = width / 900
        place, font = (round(24 * scale), round(48 * scale)), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(panel, title, place, font, scale, (0, 0, 0), max(1, round(6 * scale)), cv2.LINE_AA)
        cv2.putText(panel, title, place, font, scale, (255, 255, 255), max(1, round(2 * scale)), cv2.LINE_AA)
        panels.append(panel)
    return cv2.hconcat(panels)


def write_video(path: str | Path, jpegs: Sequence[np.ndarray], rate: float) -> None:
    """Write encoded frames of one size as MPEG-4; the file appears only when it is whole and plays.

    Args:
        jpegs: as `cv2.imencode` gives them.
        rate: frames per second.

    Raises:
        InputError: nothing to write, the folder cannot be written, or what was written does not decode again.
    """
    path = Path(path)
    if not jpegs:
        raise InputError(f"{path}: no frames to write")
    if printable(path) != str(path):  # OpenCV crashes on such
        raise InputError(f"cannot write {printable(path)}: its path is no UTF-8")
    height, width = cv2.imdecode(jpegs[0], cv2.IMREAD_COLOR).shape[:2]
    with temporary_file(path) as temporary:
        # Not H.264: OpenCV's wheels carry no encoder for it. VP9 takes half a second a frame.
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter_fourcc(*"mp4v"), rate, (width, height))
        if not writer.isOpened():
            raise InputError(f"cannot write {path}: is its folder there, and has OpenCV FFmpeg?")
        for jpeg in jpegs:
            writer.write(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
        writer.release()
        if (count := _count_frames(temporary)) != len(jpegs):
            raise InputError(f"{path}: wrote {len(jpegs)} frames, {count} of them can be played; is the disk full?")


def _count_frames(path: Path) -> int:
    reader = cv2.VideoCapture(str(path))
    count = 0
    while reader.grab():
        count += 1
    reader.release()
    return count
