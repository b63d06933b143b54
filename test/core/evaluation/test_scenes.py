from __future__ import annotations

import math
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from ivif_core.errors import ConfigError, InputError
from ivif_core.evaluation import metrics
from ivif_core.evaluation.scenes import evaluate, find_scenes, read_scene
from ivif_core.registration.base import Homography
from ivif_core.registration.file import save_homography


@pytest.fixture
def folders(tmp_path, rng):
    """Four scenes of both sources and two sets of fused images."""
    names = ("infrared", "visible", "mean", "max")
    found = {name: tmp_path / name for name in names}
    for folder in found.values():
        folder.mkdir()
    for stem in ("a", "b", "c", "d"):
        infrared = cv2.blur(rng.integers(0, 256, (48, 60)).astype(np.uint8), (3, 3))
        visible = cv2.blur(rng.integers(0, 256, (48, 60, 3)).astype(np.uint8), (3, 3))
        grey = cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)
        images = (infrared, visible, ((infrared.astype(int) + grey) // 2).astype(np.uint8), np.maximum(infrared, grey))
        for name, image in zip(names, images, strict=True):
            cv2.imwrite(str(found[name] / f"{stem}.png"), image)
    return found


def scenes_of(folders, *names):
    return find_scenes({name: folders[name] for name in names}, folders["infrared"], folders["visible"])


def grey(path):
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def test_figures_are_those_of_the_files(folders):
    evaluation = evaluate(scenes_of(folders, "mean", "max"), workers=1)
    for name in ("mean", "max"):
        assert list(evaluation.figures[name]) == ["a", "b", "c", "d"]
        for stem, figures in evaluation.figures[name].items():
            visible = cv2.cvtColor(cv2.imread(str(folders["visible"] / f"{stem}.png")), cv2.COLOR_BGR2GRAY)
            images = grey(folders[name] / f"{stem}.png"), grey(folders["infrared"] / f"{stem}.png"), visible
            np.testing.assert_equal(figures, metrics.measure(*images))
    mean, deviation = evaluation.mean_and_deviation("mean")
    entropies = [figures["EN"] for figures in evaluation.figures["mean"].values()]
    assert mean["EN"] == pytest.approx(np.mean(entropies)) and deviation["EN"] == pytest.approx(np.std(entropies))
    assert math.isnan(mean["glare_detail"])  # no saturated window in any of them


def test_processes_give_the_same_and_report_each_image(folders):
    steps = []
    one = evaluate(scenes_of(folders, "mean"), workers=1)
    two = evaluate(scenes_of(folders, "mean"), workers=2, progress=lambda items: (steps.append(1) for _ in items))
    np.testing.assert_equal(two.figures, one.figures)
    assert len(steps) == 4


def test_only_scenes_that_all_have_are_measured_and_others_are_named(folders):
    (folders["max"] / "b.png").unlink()
    (folders["visible"] / "c.png").unlink()
    evaluation = scenes_of(folders, "mean", "max")
    assert list(evaluation.scenes) == ["a", "d"]
    left = {f"{path.parent.name}/{path.name}" for path in evaluation.left_out}
    assert left == {"infrared/b.png", "visible/b.png", "mean/b.png", "infrared/c.png", "mean/c.png", "max/c.png"}


def test_a_broken_or_wrong_image_costs_its_scene_only(folders):
    whole = (folders["mean"] / "b.png").read_bytes()
    (folders["mean"] / "b.png").write_bytes(whole[:100])
    cv2.imwrite(str(folders["mean"] / "c.png"), np.zeros((20, 20), np.uint8))
    evaluation = evaluate(scenes_of(folders, "mean"), workers=1)
    assert list(evaluation.figures["mean"]) == ["a", "d"]
    assert "b.png is cut short" in evaluation.failed["b"]
    assert "c.png is 20×20, but" in evaluation.failed["c"] and "is 60×48" in evaluation.failed["c"]


def test_nothing_to_measure_is_an_error(folders):
    for stem in "abcd":
        (folders["mean"] / f"{stem}.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="no image could be measured; the first"):
        evaluate(scenes_of(folders, "mean"), workers=1)
    for stem in "abcd":
        (folders["mean"] / f"{stem}.png").rename(folders["mean"] / f"{stem}{stem}.png")
    with pytest.raises(InputError, match="no name is in all of"):
        scenes_of(folders, "mean")


def test_sources_are_seen_as_fusion_sees_them(folders, rng):
    """Sixteen bits are scaled by percentiles, another size is resized."""
    counts = rng.integers(7000, 9000, (24, 30)).astype(np.uint16)
    cv2.imwrite(str(folders["infrared"] / "a.png"), counts)
    low, high = np.percentile(counts, [1, 99])
    scaled = np.clip((counts - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
    registered = cv2.resize(scaled, (60, 48), interpolation=cv2.INTER_LINEAR)
    got = evaluate(scenes_of(folders, "mean"), workers=1).figures["mean"]["a"]["SCD"]
    visible = cv2.cvtColor(cv2.imread(str(folders["visible"] / "a.png")), cv2.COLOR_BGR2GRAY)
    assert got == pytest.approx(metrics.scd(grey(folders["mean"] / "a.png"), registered, visible), rel=1e-2)


def test_sources_are_registered_as_they_were_for_fusion(folders, tmp_path):
    save_homography(tmp_path / "r.yaml", Homography(np.array([[1, 0, 5], [0, 1, 0], [0, 0, 1.0]])), {})
    fused = {"mean": folders["mean"]}
    scenes = find_scenes(fused, folders["infrared"], folders["visible"], tmp_path / "r.yaml")
    infrared, visible, _ = read_scene(scenes.scenes["a"])
    np.testing.assert_array_equal(infrared[:, 7:], grey(folders["infrared"] / "a.png")[:, 2:-5])
    np.testing.assert_array_equal(infrared[:, :5], cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)[:, :5])
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        find_scenes(fused, folders["infrared"], folders["visible"], tmp_path / "none.yaml")


def test_frames_of_a_sequence_have_their_stability(folders):
    still = np.full((48, 60), 90, np.uint8)
    for k, stem in enumerate("abcd"):
        for name in ("infrared", "visible"):
            cv2.imwrite(str(folders[name] / f"{stem}.png"), still)
        cv2.imwrite(str(folders["mean"] / f"{stem}.png"), still + 3 * k * k)
    (folders["mean"] / "d.png").write_bytes(b"no image")
    evaluation = evaluate(scenes_of(folders, "mean"), workers=1, sequence=True)
    flicker = [figures["temporal_stability"] for figures in evaluation.figures["mean"].values()]
    assert math.isnan(flicker[0]) and flicker[1:] == [3, 9]
    assert evaluation.columns[-1] == "temporal_stability"


KILLED = """
import os, signal, sys
from pathlib import Path
from ivif_core.evaluation.scenes import evaluate, find_scenes

def kill_at_the_first(items):
    for item in items:
        os.kill(os.getpid(), signal.SIGKILL)
        yield item

infrared, visible, mean = map(Path, sys.argv[1:])
evaluate(find_scenes({"mean": mean}, infrared, visible), workers=2, progress=kill_at_the_first)
"""


def test_workers_end_with_their_parent(folders):
    """A parent that gets SIGKILL cannot end them: the pipe that all share closes when the last is gone."""
    ended = subprocess.run(
        [sys.executable, "-B", "-c", KILLED, *(str(folders[name]) for name in ("infrared", "visible", "mean"))],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
