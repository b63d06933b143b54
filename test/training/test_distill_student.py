"""The student's loop on small real runs: it learns, resumes bit by bit, and its export is the network."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ivif_core.models import read_metadata
from ivif_core.training.data.degradation import Degradation, worsen
from ivif_core.training.data.pairs import FolderPairs
from ivif_core.training.distill_student import StudentRecipe, distill_student
from ivif_core.training.losses.distillation import VividWeights
from ivif_core.training.networks.student import Student
from ivif_core.training.run import CHECKPOINT, load_checkpoint

UNCHANGED = Degradation(darken=0, flatten=0, glare=0, blur=0, noise=0, stripes=0, dead=0, shift=0)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Twelve rendered pairs, with a teacher that is brighter and has stronger detail."""
    folder = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(0)
    for index in range(12):
        images = {}
        for name in ("infrared", "visible"):
            image = cv2.resize(random.uniform(20, 200, (8, 8)), (80, 72), interpolation=cv2.INTER_CUBIC)
            x, y = random.integers(5, 50, 2)
            image[y : y + 18, x : x + 14] += random.uniform(-60, 60)
            images[name] = np.clip(image, 0, 255)
        mean = np.maximum(images["infrared"], images["visible"])
        images["teacher"] = np.clip(1.2 * mean + 0.8 * (mean - cv2.GaussianBlur(mean, (0, 0), 5)), 0, 255)
        for name, image in images.items():
            (folder / name).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / name / f"{index:02}.png"), image.astype(np.uint8))
    return folder


def recipe(pairs, output, **changes):
    settings = {"steps": 6, "batch": 4, "crop": 64, "channels": 8, "dilations": (1,), "accelerator": "cpu"}
    values = {"data": str(pairs), "teacher": "teacher", "output": str(output), "image_every": 1000, **settings}
    return StudentRecipe(**{**values, **changes})


def losses(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.value for event in events.Scalars("train/loss")]


def test_a_resumed_run_ends_bit_equal(pairs, tmp_path, monkeypatch):
    distill_student(recipe(pairs, tmp_path / "whole"))
    calls = []

    def interrupting(*arguments):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return worsen(*arguments)

    monkeypatch.setattr("ivif_core.training.distill_student.worsen", interrupting)
    with pytest.raises(KeyboardInterrupt):
        distill_student(recipe(pairs, tmp_path / "parts"))
    assert load_checkpoint(tmp_path / "parts" / CHECKPOINT, "student")["step"] == 3
    distill_student(recipe(pairs, tmp_path / "parts"))
    assert len(calls) == 6
    whole, parts = (load_checkpoint(tmp_path / name / CHECKPOINT, "student") for name in ("whole", "parts"))
    for name, tensor in whole["model"].items():
        assert torch.equal(tensor, parts["model"][name]), name


def test_the_loss_falls_and_the_export_is_the_network(pairs, tmp_path):
    # An untrained student fuses well already; what there is to learn is this teacher.
    others = dict.fromkeys(
        ("edges", "information", "differences", "clarity", "tone", "deviation", "entropy", "noise"), 0.0
    )
    changes = {"degradation": UNCHANGED, "vivid": VividWeights(teacher_pixels=60.0, **others)}
    paths = distill_student(recipe(pairs, tmp_path / "run", steps=40, rate=5e-3, **changes))
    series = losses(tmp_path / "run")
    assert np.mean(series[-8:]) < 0.95 * np.mean(series[:8])
    assert [path.name for path in paths] == ["student.onnx", "student_uint8.onnx", "student_maps.onnx"]
    metadata = read_metadata(paths[0])
    assert metadata["ivif.stride"] == "32" and int(metadata["ivif.receptive_field"]) < 640
    infrared, visible = (cv2.imread(str(pairs / name / "03.png"), 0)[None, None] for name in ("infrared", "visible"))
    vividness = np.array([0.7], np.float32)
    results = []
    for path, scale in zip(paths, (255, 1), strict=False):
        session = onnxruntime.InferenceSession(str(path))
        feeds = {"infrared": infrared, "visible": visible}
        if scale == 255:
            feeds = {name: (image / 255).astype(np.float32) for name, image in feeds.items()}
        results.append(np.rint(scale * session.run(None, {**feeds, "vividness": vividness})[0].astype(np.float64)))
    assert np.abs(results[0] - results[1]).max() <= 1


def test_from_worse_inputs_it_gives_what_the_teacher_makes_of_clean_ones(pairs, tmp_path):
    """Self-learning: noise that was in the training inputs is in the output less than it was before training."""
    faults = replace(UNCHANGED, noise=1.0, noise_deviation=0.1)
    changes = {"steps": 60, "rate": 5e-3, "degradation": faults, "vivid": VividWeights(teacher_pixels=60.0, clarity=0)}
    distill_student(recipe(pairs, tmp_path / "run", **changes))
    taught, untaught = (Student(8, (1,)).eval() for _ in range(2))
    taught.load_state_dict(load_checkpoint(tmp_path / "run" / CHECKPOINT, "student")["model"])
    distances = {taught: [], untaught: []}
    for pair in FolderPairs(pairs, teacher="teacher"):
        infrared, visible, teacher = (
            torch.from_numpy(image)[None, None] / 255 for image in (pair.infrared, pair.visible, pair.teacher)
        )
        torch.manual_seed(0)
        worse = worsen(infrared, visible, faults)
        for student, series in distances.items():
            with torch.no_grad():
                series.append(float((student(*worse, torch.ones(1)) - teacher).abs().mean()))
    assert np.mean(distances[taught]) < 0.8 * np.mean(distances[untaught])
