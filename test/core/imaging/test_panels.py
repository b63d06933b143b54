from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.imaging.panels import triptych, write_video


def encode(image):
    return cv2.imencode(".jpg", image)[1]


@pytest.mark.parametrize("width,size", [(None, (80, 300)), (64, (50, 192))])
def test_three_panels_in_order_and_of_even_size(width, size):
    infrared = np.full((30, 40), 200, np.uint8)
    visible, fused = np.full((81, 101, 3), (10, 60, 110), np.uint8), np.full((81, 101), 90, np.uint8)
    picture = triptych(infrared, visible, fused, width)
    assert picture.shape == (*size, 3)
    panel = size[1] // 3
    below_titles = picture[-4]
    assert below_titles[panel // 2].tolist() == [200] * 3
    assert below_titles[panel + panel // 2].tolist() == [10, 60, 110]
    assert below_titles[2 * panel + panel // 2].tolist() == [90] * 3
    assert (picture[: size[0] // 2, :panel] != 200).any()  # a title is there


def test_a_video_plays_what_was_written(tmp_path):
    levels = [40, 90, 140, 190]
    write_video(tmp_path / "v.mp4", [encode(np.full((48, 96, 3), level, np.uint8)) for level in levels], 12.5)
    reader = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    for level in levels:
        read, frame = reader.read()
        assert read and frame.shape == (48, 96, 3)
        np.testing.assert_allclose(frame, level, atol=8)
    assert not reader.read()[0]
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


def test_nothing_half_written(tmp_path):
    with pytest.raises(InputError, match="no frames"):
        write_video(tmp_path / "v.mp4", [], 30)
    with pytest.raises(InputError, match=r"nowhere.*No such file"):
        write_video(tmp_path / "nowhere" / "v.mp4", [encode(np.zeros((32, 32, 3), np.uint8))], 30)
    assert not list(tmp_path.iterdir())
