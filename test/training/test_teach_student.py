"""The student's loop on small real runs: it follows its teacher, resumes bit by bit, and keeps held-out views out."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ivif_core.errors import ModelError
from ivif_core.training import teach_student
from ivif_core.training.checkpoint import load_checkpoint
from ivif_core.training.data.degradation import worsen
from ivif_core.training.data.pairs import FolderPairs, is_held_out
from ivif_core.training.run import CHECKPOINT, start
from ivif_core.training.teach_student import (
    StudentRecipe,
    distill_student,
    load_student,
    open_frames,
    rate_factor,
    window,
)

pytestmark = pytest.mark.usefixtures("unexported")
SMALL = {"channels": 8, "dilations": (1,), "wide_channels": 8, "wide_dilations": (1,)}
TEACHERS = {"flat_visible": lambda i, v: 64 + 0.5 * v, "inverted_thermal": lambda i, v: 255.0 - i}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pairs of smooth images with an object, and two teachers that could hardly differ more."""
    folder = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(0)
    for index in range(12):
        images = {}
        for name in ("infrared", "visible"):
            image = cv2.resize(random.uniform(20, 200, (8, 8)), (120, 104), interpolation=cv2.INTER_CUBIC)
            x, y = random.integers(5, 60, 2)
            image[y : y + 18, x : x + 14] += random.uniform(-60, 60)
            images[name] = np.clip(image, 0, 255)
        for name, teacher in TEACHERS.items():
            images[name] = np.clip(teacher(images["infrared"], images["visible"]), 0, 255)
        for name, image in images.items():
            (folder / name).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / name / f"{index:02}.png"), image.astype(np.uint8))
    return folder


def recipe(pairs: Path, output: Path, **changes: object) -> StudentRecipe:
    settings = {"steps": 6, "batch": 2, "crop": 64, "width": 80, "window": (48, 64), "accelerator": "cpu"}
    values = {"data": str(pairs), "teacher": "flat_visible", "output": str(output), "image_every": 1000, **settings}
    return StudentRecipe(**{**values, **changes})


def test_a_resumed_run_ends_bit_equal(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distill_student(recipe(pairs, tmp_path / "whole", **SMALL))
    calls = []

    def interrupting(*arguments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return worsen(*arguments)

    monkeypatch.setattr(teach_student, "worsen", interrupting)
    with pytest.raises(KeyboardInterrupt):
        distill_student(recipe(pairs, tmp_path / "parts", **SMALL))
    assert load_checkpoint(tmp_path / "parts" / CHECKPOINT, "student")["step"] == 3
    distill_student(recipe(pairs, tmp_path / "parts", **SMALL))
    whole, parts = (load_checkpoint(tmp_path / name / CHECKPOINT, "student") for name in ("whole", "parts"))
    for name, tensor in whole["model"].items():
        assert torch.equal(tensor, parts["model"][name]), name


def test_students_of_different_teachers_differ_as_their_teachers_do(pairs: Path, tmp_path: Path) -> None:
    """With the weights of the recipe that ships: guards must not outweigh what a teacher says."""
    fused = {}
    for name in TEACHERS:
        distill_student(recipe(pairs, tmp_path / name, teacher=name, **STEERING, **SMALL))
        fused[name] = at_1(load_student(tmp_path / name / CHECKPOINT), pairs)
    taught = {name: [pair.teacher for pair in FolderPairs(pairs, teacher=name)] for name in TEACHERS}
    first, second = TEACHERS
    assert distance(fused[first], fused[second]) >= 0.5 * distance(taught[first], taught[second])
    for own, other in ((first, second), (second, first)):
        assert distance(fused[own], taught[own]) < distance(fused[own], taught[other])


STEERING = {"steps": 50, "batch": 2, "crop": 48, "width": 64, "window": (48, 64), "rate": 1.5e-2, "shares_every": 1000}
"""Few small steps at a high rate: what is asked is the direction, not where it ends."""


def at_1(student: torch.nn.Module, pairs: Path) -> list[np.ndarray]:
    found = []
    for pair in FolderPairs(pairs):
        sources = (torch.from_numpy(image)[None, None] / 255 for image in (pair.infrared, pair.visible))
        with torch.no_grad():
            found.append(255 * student(*sources, torch.ones(1))[0, 0].numpy())
    return found


def distance(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in zip(first, second, strict=True)]))


def test_the_teachers_share_of_the_gradient_is_logged(pairs: Path, tmp_path: Path) -> None:
    distill_student(recipe(pairs, tmp_path, steps=3, shares_every=1, **SMALL))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    shares = [event.value for event in events.Scalars("train/teacher's share of the vivid gradient")]
    assert len(shares) == 3
    assert all(0 < share < 1 for share in shares)


def test_views_of_held_out_pairs_are_not_learned_from(pairs: Path, tmp_path: Path) -> None:
    for part in ("infrared", "visible", "language_teacher"):
        (tmp_path / "recorded" / part).mkdir(parents=True)
        for name in range(12):
            image = np.full((90, 110), 20 * name, np.uint8)
            cv2.imwrite(str(tmp_path / "recorded" / part / f"{name:02}~0.png"), image)
    given = recipe(pairs, tmp_path, recorded=str(tmp_path / "recorded"), views_share=1.0, validation_share=0.4)
    kept = {20 * name for name in range(12) if not is_held_out(f"{name:02}", 0.4)}
    assert 0 < len(kept) < 12
    frames = open_frames(given, start(given))
    assert {int(images.mean()) for images in frames.views} == kept


def test_the_window_is_on_the_grid_of_cells_and_within_the_frame() -> None:
    torch.manual_seed(0)
    image = torch.arange(64 * 80).view(1, 1, 64, 80)
    cells = torch.nn.functional.pad(image[..., ::4, ::4].float(), (1,) * 4, mode="replicate")
    places = set()
    for _ in range(50):
        pixels, around = window((48, 64), (64, 80))
        assert image[pixels].shape == (1, 1, 48, 64)
        assert torch.equal(cells[around][..., 1:-1, 1:-1], image[pixels][..., ::4, ::4].float())
        places.add((pixels[1].start, pixels[2].start))
    assert len(places) > 10
    assert image[window((999, 999), (64, 80))[0]].shape == (1, 1, 64, 80)


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_rate_rises_and_falls_to_zero(steps: int) -> None:
    rates = [rate_factor(steps, step) for step in range(steps)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert rate_factor(steps, steps) == pytest.approx(0, abs=1e-9)
    assert max(rates) == pytest.approx(1, abs=0.05)


def test_a_checkpoint_of_something_else_is_no_student(tmp_path: Path) -> None:
    torch.save({"kind": "teacher"}, tmp_path / CHECKPOINT)
    with pytest.raises(ModelError, match="student"):
        load_student(tmp_path / CHECKPOINT)


def test_a_checkpoint_of_another_network_is_said_to_be_one(pairs: Path, tmp_path: Path) -> None:
    distill_student(recipe(pairs, tmp_path, steps=1, **SMALL))
    content = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    content["model"]["maps.head.weight"] = content["model"]["maps.head.weight"][:-4]
    torch.save(content, tmp_path / CHECKPOINT)
    with pytest.raises(ModelError, match="another network"):
        load_student(tmp_path / CHECKPOINT)
