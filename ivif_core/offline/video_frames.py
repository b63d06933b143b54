"""Frames of a video file as image files."""

from __future__ import annotations

from pathlib import Path

import cv2

from ivif_core.errors import InputError
from ivif_core.files.writing import make_folder
from ivif_core.imaging.files import write_image
from ivif_core.imaging.size import check_size


def split_video(video: str | Path, folder: str | Path) -> int:
    """Write the frames of a video as `000000.png`, `000001.png` … into a folder; returns how many.

    Raises:
        InputError: the file is no video that OpenCV reads, or the folder cannot be made.
    """
    video, folder = Path(video), Path(folder)
    make_folder(folder)
    reader = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)  # others take image files, of any size
    count = 0
    try:
        width, height = (int(reader.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if reader.isOpened():
            check_size(width, height, str(video))
        while True:
            got, frame = reader.read()
            if not got:
                break
            write_image(folder / f"{count:06}.png", frame, sweep_folder=False)
            count += 1
    finally:
        reader.release()
    if not count:
        raise InputError(f"{video} is no video, or is broken: not one frame can be read")
    return count
