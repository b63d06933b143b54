"""The command that measures starts, on a real graph; how long they take is not asserted."""

from __future__ import annotations

import json

import cv2
import numpy as np

from ivif_ros.tools import startup_benchmark


def test_each_start_is_timed_from_the_process_to_a_fused_frame(tmp_path, monkeypatch, capsys):
    for name, shape in (("infrared", (48, 64)), ("visible", (48, 64, 3))):
        (tmp_path / name).mkdir()
        for index in range(4):
            pixels = np.random.default_rng(index).integers(0, 256, shape, np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{index}.png"), pixels)
    monkeypatch.setattr(startup_benchmark.random, "uniform", lambda low, high: low)  # no pause between starts
    assert startup_benchmark.main([str(tmp_path), "--count", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["starts"] == len(result["seconds"]) == 2
    assert result["longest"] == max(result["seconds"]) and min(result["seconds"]) > 0.1
    assert result["over 2 s"] == sum(value > 2 for value in result["seconds"])


def test_a_replay_that_ends_is_an_error(tmp_path, capsys):
    assert startup_benchmark.main([str(tmp_path / "nowhere")]) == 1
    assert "replay ended with status 2" in capsys.readouterr().err
