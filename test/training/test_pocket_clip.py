from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from ivif_core.cli.main import main
from ivif_core.training.captions import caption, detail, look, spoil
from ivif_core.training.recipe import load_recipe
from ivif_core.training.train_teacher import TeacherRecipe

RECIPES = Path(__file__).resolve().parents[2] / "training/recipes"


def words_of(image):
    return set(look(np.asarray(image, np.float32)))


def test_words_follow_what_can_be_measured(rng):
    base = cv2.resize(rng.random((8, 8), np.float32), (64, 64))
    assert "dark" in words_of(base * 0.2) and "bright" in words_of(0.7 + 0.3 * base)
    assert "flat" in words_of(0.5 + 0.1 * base) and "with high contrast" in words_of(base > 0.5)
    assert "rich in detail" in detail((rng.random((64, 64)) > 0.5).astype(np.float32))
    assert "plain" in detail(np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(64, 0))
    lamp = np.full((64, 64), 0.2)
    lamp[10:18, 10:18] = 1
    assert "in which something stands out" in words_of(lamp)


def test_what_is_done_is_said(rng):
    base = np.ascontiguousarray(cv2.resize(rng.random((16, 16), np.float32), (64, 64)))
    said = set()
    for seed in range(60):
        image, words = spoil(base, np.random.default_rng(seed))
        assert image.dtype == np.float32 and image.min() >= 0 and image.max() <= 1
        said |= set(words)
    assert {"blurred", "sharp", "noisy", "clean", "with a grid", "with stripes"} <= said


def test_noise_and_patterns_are_no_detail(rng):
    scene = (rng.random((64, 64)) > 0.5).astype(np.float32)
    for seed in range(100):
        _, words = spoil(scene, np.random.default_rng(seed))
        spoilt = {"noisy", "grainy", "with strong noise", "with artefacts"} | {"with a grid", "with a grid pattern"}
        if set(words) & (spoilt | {"with stripes", "striped"}):
            assert "rich in detail" not in words
        elif "sharp" in words:
            assert "rich in detail" in words


def test_no_caption_is_an_aim():
    aims = set()
    for path in RECIPES.glob("teacher*.yaml"):
        aims |= set(load_recipe(TeacherRecipe, path).texts.fused)
    assert len(aims) >= 3
    words = ["dark", "bright", "clear", "sharp", "with a detailed background", "with salient bright objects"]
    generator = np.random.default_rng(0)
    captions = {caption(kind, words, generator) for kind in ("infrared", "visible") for _ in range(2000)}
    assert len(captions) > 300 and not captions & aims


@pytest.mark.parametrize("twins", [{}, {"twins": 2, "staged": 2}], ids=["tone", "content"])
def test_one_command_makes_the_clip_and_the_teacher(workshop, tmp_path, twins, capsys):
    recipe = {"data": "", "output": "", "architecture": "tiny.json", "steps": 4, "batch": 4, "crop": 16}
    (workshop / "pocket.yaml").write_text(yaml.safe_dump({**recipe, "validation_share": 0.0, **twins}))
    clip = tmp_path / "made" / "clip.pt"
    words = [f"clip.pretrained={clip}", "clip.recipe=pocket.yaml", f"output={tmp_path / 'teacher'}", "steps=1"]
    assert main(["train", str(workshop / "recipe.yaml"), *words]) == 0
    assert clip.is_file() and (tmp_path / "teacher/last.pt").is_file()
    assert ("people stand out or are hidden: " in capsys.readouterr().out) is bool(twins)
