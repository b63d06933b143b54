from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.errors import InputError
from ivif_core.fusion import Fuser
from ivif_core.offline.video import VideoResult, fuse_video
from ivif_core.thermal.scaling import make_scaling

av = pytest.importorskip("av", reason="video files need PyAV")

SIZE = (96, 64)
DEEP = "gray16le"


def pictures(count: int, kind: str = "bgr24", size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    made = []
    for index in range(count):
        random = np.random.default_rng(index)
        coarse = random.integers(0, 256, (6, 8) if kind != "bgr24" else (6, 8, 3), np.uint8)
        picture = cv2.resize(coarse, size)
        made.append(picture.astype(np.uint16) * 16 + 20000 if kind == DEEP else picture)
    return made


def write(path: Path, frames: list[np.ndarray], kind: str = "bgr24", *, rate: int = 30, pts=None, codec: str = "ffv1"):
    """FFV1 in Matroska loses nothing, so oracles can be exact."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = {"bgr24": "bgr0", "gray": "gray", DEEP: DEEP}[kind] if codec == "ffv1" else "yuv420p"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            frame.pts, frame.time_base = (pts[index] if pts else index), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path: Path, kind: str = "bgr24") -> list[tuple[Fraction, np.ndarray]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(frame.pts * stream.time_base, frame.to_ndarray(format=kind)) for frame in container.decode(stream)]


@pytest.fixture(scope="module")
def fuser():
    with Fuser() as fuser:
        yield fuser


def test_every_frame_is_the_fusers_and_keeps_its_time(fuser, tmp_path):
    infrared, visible = pictures(10, "gray"), pictures(10)
    times = [0, 1, 2, 3, 7, 8, 9, 10, 11, 12]  # frames that were dropped leave a gap
    write(tmp_path / "ir.mkv", pictures(13, "gray"), "gray")
    write(tmp_path / "rgb.mkv", visible, pts=times)
    result = fuse_video(fuser, tmp_path / "ir.mkv", tmp_path / "rgb.mkv", tmp_path / "out.mkv")
    assert result == VideoResult(fused=10, left_out=0)
    made, given = read(tmp_path / "out.mkv"), read(tmp_path / "rgb.mkv")
    assert [time for time, _ in made] == [time for time, _ in given]
    infrared = pictures(13, "gray")
    for (_, pixels), index, picture in zip(made, times, visible, strict=True):
        np.testing.assert_array_equal(pixels, fuser.fuse(infrared[index], picture))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ir.mkv", "out.mkv", "rgb.mkv"]


@pytest.mark.parametrize("size", [SIZE, (95, 63)])
def test_h264_keeps_size_rate_and_times_and_is_near_in_colour(fuser, tmp_path, size):
    infrared, visible = pictures(8, "gray"), pictures(8, size=size)
    write(tmp_path / "ir.mkv", infrared, "gray", rate=25)
    write(tmp_path / "rgb.mkv", visible, rate=25)
    fuse_video(fuser, tmp_path / "ir.mkv", tmp_path / "rgb.mkv", tmp_path / "out.mp4")
    made = read(tmp_path / "out.mp4")
    assert [time for time, _ in made] == [Fraction(index, 25) for index in range(8)]
    for (_, pixels), thermal, picture in zip(made, infrared, visible, strict=True):
        expected = fuser.fuse(thermal, picture)
        assert pixels.shape == expected.shape
        difference = pixels.astype(int) - expected
        assert np.abs(difference).mean() < 8 and np.abs(difference.mean(axis=(0, 1))).max() < 4


def test_a_slow_thermal_camera_serves_by_nearest_time(fuser, tmp_path):
    infrared, visible = pictures(4, "gray"), pictures(12)
    write(tmp_path / "ir.mkv", infrared, "gray", rate=10)
    write(tmp_path / "rgb.mkv", visible, rate=30)
    assert fuse_video(fuser, tmp_path / "ir.mkv", tmp_path / "rgb.mkv", tmp_path / "out.mkv").fused == 12
    for index, (_, pixels) in enumerate(read(tmp_path / "out.mkv")):
        nearest = min(range(4), key=lambda slow: abs(slow / 10 - index / 30))  # never a tie at 10 and 30 Hz
        np.testing.assert_array_equal(pixels, fuser.fuse(infrared[nearest], visible[index]))


def test_frames_beyond_the_end_of_the_thermal_video_are_left_out_and_counted(fuser, tmp_path):
    write(tmp_path / "ir.mkv", pictures(5, "gray"), "gray")
    write(tmp_path / "rgb.mkv", pictures(9))
    result = fuse_video(fuser, tmp_path / "ir.mkv", tmp_path / "rgb.mkv", tmp_path / "out.mkv")
    assert result.fused + result.left_out == 9 and 5 <= result.fused <= 6
    assert len(read(tmp_path / "out.mkv")) == result.fused


def test_sixteen_bits_keep_their_counts_and_one_range_follows_them(tmp_path):
    counts, visible = pictures(6, DEEP), pictures(6)
    write(tmp_path / "ir.mkv", counts, DEEP)
    write(tmp_path / "rgb.mkv", visible)
    assert (
        main(["fuse", *(str(tmp_path / f"{name}.mkv") for name in ("ir", "rgb")), "-o", str(tmp_path / "o.mkv")]) == 0
    )
    with Fuser(scaling=make_scaling()) as fuser:
        for (_, pixels), thermal, picture in zip(read(tmp_path / "o.mkv"), counts, visible, strict=True):
            np.testing.assert_array_equal(pixels, fuser.fuse(thermal, picture))


def test_a_sequence_of_images_is_fused_with_one_range_too(tmp_path):
    counts, visible = pictures(5, DEEP), pictures(5)
    for name, images in (("ir", counts), ("rgb", visible)):
        (tmp_path / name).mkdir()
        for index, image in enumerate(images):
            cv2.imwrite(str(tmp_path / name / f"{index}.png"), image)
    folders = [str(tmp_path / "ir"), str(tmp_path / "rgb"), "-o"]
    assert main(["fuse", *folders, str(tmp_path / "out"), "--sequence"]) == 0
    with Fuser(scaling=make_scaling()) as fuser:
        for index in range(5):
            expected = fuser.fuse(counts[index], visible[index])
            np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out" / f"{index}.png")), expected)


def test_grey_output(fuser, tmp_path):
    write(tmp_path / "ir.mkv", pictures(3, "gray"), "gray")
    write(tmp_path / "rgb.mkv", pictures(3))
    fuse_video(fuser, tmp_path / "ir.mkv", tmp_path / "rgb.mkv", tmp_path / "out.mkv", grey=True)
    (_, first), *_ = read(tmp_path / "out.mkv", "gray")
    np.testing.assert_array_equal(first, fuser.fuse(pictures(1, "gray")[0], pictures(1)[0], grey=True))


def test_errors_leave_nothing_behind(fuser, tmp_path, capsys):
    infrared = write(tmp_path / "ir.mkv", pictures(3, "gray"), "gray")
    visible = write(tmp_path / "rgb.mkv", pictures(3))
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    out = tmp_path / "out.mkv"
    for arguments, says in (
        ((text, visible, out), "cannot be read as a video"),
        ((infrared, tmp_path / "missing.mp4", out), "missing.mp4"),
        ((infrared, visible, tmp_path / "out.gif"), "expected .mp4"),
        ((infrared, visible, visible), "is an input"),
        ((infrared, visible, tmp_path / "nowhere" / "out.mkv"), "cannot write"),
    ):
        with pytest.raises(InputError, match=says):
            fuse_video(fuser, *arguments)
    fuse_video(fuser, infrared, visible, out)
    with pytest.raises(InputError, match="--overwrite"):
        fuse_video(fuser, infrared, visible, out)
    assert main(["fuse", str(text), str(visible), "-o", str(tmp_path / "x.mp4")]) == 2
    assert "cannot be read as a video" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ir.mkv", "out.mkv", "rgb.mkv", "text.mp4"]


def test_an_interruption_leaves_no_file_and_no_thread(fuser, tmp_path):
    infrared = write(tmp_path / "ir.mkv", pictures(30, "gray"), "gray")
    visible = write(tmp_path / "rgb.mkv", pictures(30))

    def interrupt(fused: int, total: int) -> None:
        if fused == 3:
            raise KeyboardInterrupt

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        fuse_video(fuser, infrared, visible, tmp_path / "out.mkv", progress=interrupt)
    assert threading.active_count() == threads
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ir.mkv", "rgb.mkv"]


def test_frames_too_small_to_fuse_leave_no_file_and_no_thread(fuser, tmp_path):
    infrared = write(tmp_path / "ir.mkv", pictures(30, "gray"), "gray")
    visible = write(tmp_path / "rgb.mkv", [picture[:8, :8].copy() for picture in pictures(30)])
    threads = threading.active_count()
    # What decodes must have ended when its file is closed: else FFmpeg reads memory that is freed.
    with pytest.raises(InputError, match="too small"):
        fuse_video(fuser, infrared, visible, tmp_path / "out.mkv")
    assert threading.active_count() == threads
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ir.mkv", "rgb.mkv"]
