"""Frames of a video file as image files."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from ivif_core.files.writing import make_folder
from ivif_core.imaging.files import write_image
from ivif_core.imaging.video_file import read_frames
from ivif_core.offline.prefetch import overlapped


def split_video(video: str | Path, folder: str | Path) -> int:
    """Write the frames of a video as `000000.png`, `000001.png` … into a folder; returns how many.

    Raises:
        MissingPackage: PyAV is not installed.
        InputError: the file cannot be read as a video to its end, or the folder cannot be made.
    """
    video, folder = Path(video), Path(folder)
    make_folder(folder)
    count = 0
    with closing(overlapped(read_frames(video))) as frames:
        for frame in frames:
            write_image(folder / f"{count:06}.png", frame, sweep_folder=False)
            count += 1
    return count
