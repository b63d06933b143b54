from __future__ import annotations

import numpy as np
import pytest
import torch

from ivif_core.cli.main import main as ivif
from ivif_core.scene.canvas import Label
from ivif_core.training.content_questions import held_out
from ivif_core.training.content_steering import contrast, main, steering, tone_curve
from ivif_core.training.teach_student import make_student

SHAPE = {"channels": 8, "dilations": [1], "wide_channels": 8, "wide_dilations": [1]}


@pytest.fixture
def frames(rng):
    """Random levels; an object that is in no way different from the rest."""
    images = [rng.integers(40, 180, (60, 80)).astype(np.uint8) for _ in range(3)]
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:40] = True
    return images, [mask] * 3


@pytest.mark.parametrize("curve", [lambda x: x // 2 + 60, lambda x: 255 - x, lambda x: x.astype(int) ** 2 // 255])
def test_a_tone_curve_steers_no_content(frames, curve):
    images, masks = frames
    images = [np.where(mask, 150, image).astype(np.uint8) for image, mask in zip(images, masks, strict=True)]
    found = steering([curve(image).astype(np.uint8) for image in images], images, masks)
    assert abs(found.onto_first) < 0.5 and found.tone > 0.99


def test_an_object_that_is_lifted_is_content_and_counts_in_full(frames):
    """Levels of object and rest overlap, so that a curve can hardly tell them apart."""
    images, masks = frames
    lifted = [np.where(mask, image + 40, image).astype(np.uint8) for image, mask in zip(images, masks, strict=True)]
    found = steering(lifted, images, masks)
    assert found.first - found.second == pytest.approx(40, abs=0.1)
    assert 30 < found.onto_first <= 40 and 20 < found.onto_second <= 40
    swapped = steering(images, lifted, masks)
    assert swapped.onto_first == pytest.approx(-found.onto_second) and swapped.first == found.second


def test_tone_curve_by_a_loop(rng):
    source, target = rng.integers(0, 9, (2, 20, 20)).astype(np.uint8)
    curve = tone_curve([source], [target])
    for level in range(9):
        there = [int(target[y, x]) for y in range(20) for x in range(20) if source[y, x] == level]
        assert curve[level] == pytest.approx(np.mean(there))


def test_contrast_of_an_object_to_what_is_around_it():
    image = np.full((40, 40), 100, np.uint8)
    image[10:30, 10:30] = 140
    mask = image == 140
    image[:2] = 250  # far away
    assert contrast(image, mask) == pytest.approx(40)
    assert np.isnan(contrast(image, np.zeros_like(mask)))


def test_a_line_a_seed_and_object(workshop, tmp_path, capsys):
    for name in ("a", "b"):
        assert ivif(["train", str(workshop / "recipe.yaml"), f"output={tmp_path / name}", "steps=1"]) == 0
    first, second = (str(tmp_path / name / "last.pt") for name in ("a", "b"))
    main(["--first", first, "--second", second, "--frames", "2"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(lines) == 3 and lines[1].startswith("| a | b | 0 | rendered | person |")
    assert lines[0].count("|") == lines[1].count("|")


def test_a_student_is_measured_as_a_teacher_is(tmp_path, capsys):
    """Untrained it is the average of both sources, which is measured here without it."""
    content = {"kind": "student", "step": 1, "recipe": {**SHAPE, "seed": 3}, "model": make_student(SHAPE).state_dict()}
    paths = [tmp_path / name / "last.pt" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        torch.save(content, path)
    main(["--first", str(paths[0]), "--second", str(paths[1]), "--frames", "3"])
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[1].split("|")]
    assert cells[1:6] == ["a", "b", "3", "rendered", "person"]
    average = [
        contrast((entry.pair.infrared / 2 + entry.pair.visible / 2), entry.labels == Label.PERSON)
        for entry in held_out([], 3)
    ]
    first, second, onto, other, tone, apart = map(float, cells[6:12])
    assert first == second == pytest.approx(np.nanmean(average), abs=1.0)
    assert (onto, other, tone, apart) == (0, 0, 1, 0)
