from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.errors import InputError
from ivif_core.imaging.video_file import read_frames, write_video

pytest.importorskip("av", reason="video files need PyAV")

IDENTITY = (1, 0, 0, 1)
TURNS = {
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),
    (-1, 0, 0, -1): lambda image: np.rot90(image, 2),
    (0, -1, 1, 0): lambda image: np.rot90(image),
    (-1, 0, 0, 1): np.fliplr,
}


def encode(image):
    return cv2.imencode(".jpg", image)[1]


def matrix(a, b, c, d):
    values = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return b"".join(value.to_bytes(4, "big", signed=True) for value in values)


def turned_video(path, picture, turn):
    """A video whose track header (the second matrix of the file, ISO/IEC 14496-12) asks for a turn."""
    write_video(path, [encode(picture)] * 3, 10)
    data = path.read_bytes()
    place = data.index(matrix(*IDENTITY), data.index(matrix(*IDENTITY)) + 1)
    path.write_bytes(data[:place] + matrix(*turn) + data[place + 36 :])


def quarters(height=48, width=64):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = 220, 150
    picture[height // 2 :, : width // 2] = 80
    return picture


def test_a_video_plays_what_was_written(tmp_path):
    levels = [40, 90, 140, 190]
    write_video(tmp_path / "v.mp4", [encode(np.full((48, 96, 3), level, np.uint8)) for level in levels], 12.5)
    reader = cv2.VideoCapture(str(tmp_path / "v.mp4"))  # another reader than the project's
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


@pytest.mark.parametrize("turn", TURNS)
def test_frames_are_upright(tmp_path, turn):
    turned_video(tmp_path / "v.mp4", quarters(), turn)
    frames = list(read_frames(tmp_path / "v.mp4"))
    assert len(frames) == 3
    for frame in frames:
        np.testing.assert_allclose(frame, TURNS[turn](quarters()), atol=40)  # H.264 rings at the quarters' borders
        assert np.abs(frame.astype(int) - TURNS[turn](quarters())).mean() < 4


def test_turned_videos_of_both_cameras_fuse_upright(tmp_path):
    turn = (0, 1, -1, 0)
    for name in ("ir", "rgb"):
        turned_video(tmp_path / f"{name}.mp4", quarters(), turn)
    words = ["fuse", str(tmp_path / "ir.mp4"), str(tmp_path / "rgb.mp4"), "-o", str(tmp_path / "out.mkv")]
    assert main([*words, "--vividness", "0"]) == 0
    (first, *_) = read_frames(tmp_path / "out.mkv")
    assert first.shape == (64, 48, 3)
    corners = [first[y, x, 1] for y, x in ((8, 40), (56, 40), (8, 8), (56, 8))]
    assert corners == sorted(corners, reverse=True)  # 220, 150, 80, 0 went round by a quarter


def test_without_pyav_one_line_says_what_brings_it(tmp_path):
    code = (
        "import sys; sys.modules['av'] = None\n"
        "from ivif_core.cli.main import main\n"
        "from ivif_core.files.installation import install_command\n"
        "print(install_command('video'))\n"  # of the copy that runs there, which may be another one
        "sys.exit(main(['fuse', 'a.mp4', 'b.mp4', '-o', 'c.mp4']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    hint = done.stdout.strip()
    assert done.stderr == f"ivif fuse: video needs PyAV; to have it: {hint}\n"


@pytest.mark.parametrize(("suffix", "codec", "form"), [("mp4", "libx264", "yuv420p"), ("mkv", "ffv1", "gray")])
def test_a_video_that_is_shorter_than_it_says_is_refused(tmp_path, suffix, codec, form):
    import av

    path = tmp_path / f"a:b.{suffix}"  # a colon makes no protocol of it
    with av.open(f"file:{path}", "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, form
        for level in (0, 90, 180):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), level, np.uint8), format="gray")
            container.mux(stream.encode(frame.reformat(format=form)))
        container.mux(stream.encode())
    whole = path.read_bytes()
    assert len(list(read_frames(path))) == 3
    for length in (len(whole) - 1, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=rf"cut short: {length} of {len(whole)} bytes"):
            list(read_frames(path))


def test_what_is_no_file_or_names_other_files_is_refused(tmp_path):
    write_video(tmp_path / "v.mp4", [encode(quarters())] * 3, 10)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile 'v.mp4'\n")
    for name, says in (("pipe.mp4", "expected a regular file"), ("list.mp4", "expected MP4")):
        with pytest.raises(InputError, match=says):
            list(read_frames(tmp_path / name))
