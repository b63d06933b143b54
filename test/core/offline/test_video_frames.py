from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.offline.video_frames import split_video


def test_frames_come_out_in_order(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for level in range(0, 240, 20):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    assert split_video(tmp_path / "v.avi", tmp_path / "frames") == 12
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == [f"{k:06}.png" for k in range(12)]
    np.testing.assert_allclose([cv2.imread(str(file)).mean() for file in files], range(0, 240, 20), atol=2)


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "v.mp4").write_bytes(bytes(1000))
    with pytest.raises(InputError, match=r"v\.mp4 cannot be read as a video"):
        split_video(tmp_path / "v.mp4", tmp_path / "frames")
    with pytest.raises(InputError, match="cannot make"):
        split_video(tmp_path / "v.mp4", tmp_path / "v.mp4")
