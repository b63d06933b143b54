from __future__ import annotations

import numpy as np
import pytest
import torch

from ivif_core.cli.main import main as ivif
from ivif_core.training.compare_teachers import far_change, figures, fuse, main
from ivif_core.training.data.pairs import Pair
from ivif_core.training.networks.teacher import Teacher, TeacherShape


@pytest.fixture
def pair(rng):
    visible, infrared = (rng.integers(60, 200, (64, 240)).astype(np.uint8) for _ in range(2))
    return Pair("pair", infrared, visible)


def test_a_copy_of_a_source_correlates_with_it(pair):
    found = figures(pair.visible, pair)
    assert found["corr visible"] == pytest.approx(1) and abs(found["corr infrared"]) < 0.1
    assert found["mean"] == pytest.approx(pair.visible.mean())


@pytest.mark.parametrize("local", [False, True])
def test_what_enters_changes_the_far_side_of_a_teacher_with_whole_frame_statistics_only(pair, local):
    torch.manual_seed(0)
    teacher = Teacher(TeacherShape(width=4, local=local)).eval()
    assert (far_change(teacher, pair, fuse(teacher, pair)) == 0) is local


def test_a_line_a_teacher_and_a_picture_a_pair(workshop, tmp_path, capsys):
    assert ivif(["train", str(workshop / "recipe.yaml"), f"output={tmp_path / 'a'}", "steps=1"]) == 0
    checkpoint, pictures = str(tmp_path / "a/last.pt"), tmp_path / "pictures"
    main([checkpoint, "--data", str(workshop), "--validation-share", "0.5", "--pictures", str(pictures)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 and lines[1].startswith("| a | a clear image with detailed background")
    assert lines[0].count("|") == lines[1].count("|")
    assert len(list(pictures.glob("*.png"))) >= 1
