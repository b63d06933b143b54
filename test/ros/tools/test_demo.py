"""The demo's parts that need no model: what a recording says, and how failures end."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ivif_core.errors import OutputError
from ivif_core.imaging.files import write_image
from ivif_ros.tools.recorder import Measured, check_folder, summary

MS = 1_000_000


def recording():
    stamps = [frame * 40 * MS for frame in range(2, 52) if frame not in (10, 11, 30)]
    return Measured(
        stamps=stamps,
        latencies=[0.010] * 40 + [0.050] * 7,
        visible_stamps=[frame * 40 * MS for frame in range(60)],
        node_drops={"visible_unmatched": 2, "malformed pair": 0},
    )


def test_figures_of_a_recording():
    measured = recording()
    assert measured.seconds == pytest.approx(49 * 0.04)
    assert measured.rate == pytest.approx(46 / (49 * 0.04))
    assert measured.missing == 3  # frames before the first fused one and after the last do not count
    text = summary(measured)
    assert "47 frames in 2.0 s, 23.5 Hz" in text
    assert "10.0 ms median, 50.0 ms 95th" in text
    assert "3 of 50 RGB frames" in text and "visible_unmatched 2" in text and "malformed" not in text
    assert "latency 10.0 ms median" in measured.line()


def test_nothing_received_is_no_error_of_arithmetic():
    assert (Measured().rate, Measured().seconds) == (0.0, 0.0)


def test_a_part_that_dies_ends_the_demo_with_its_message(tmp_path):
    where = [str(tmp_path / "nowhere"), "--output", str(tmp_path / "out")]
    command = [sys.executable, "-m", "ivif_ros.tools.demo", *where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "replay ended with status 2" in done.stderr and "no bag at" in done.stderr


@pytest.mark.parametrize("name", ["demo.mp4", "demo.png"])
def test_a_video_of_somebody_else_is_kept(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=name):
        check_folder(tmp_path)
    write_image(tmp_path / "demo.png", np.zeros((4, 4), np.uint8))
    check_folder(tmp_path)  # the picture of an earlier recording, so the video is one too
    with pytest.raises(OutputError, match="is the input"):
        check_folder(tmp_path, tmp_path)
