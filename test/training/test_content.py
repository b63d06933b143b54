from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ivif_core.scene.canvas import Label
from ivif_core.training.content import (
    HIDDEN,
    NAMES,
    PLACES,
    SHOWN,
    edit,
    make_twins,
    objects,
    scatter,
    tone_alike,
    twin_loss,
)
from ivif_core.training.recipe import load_recipe
from ivif_core.training.staged import rendered
from ivif_core.training.train_teacher import TeacherRecipe

RECIPES = Path(__file__).resolve().parents[2] / "training/recipes"


@pytest.fixture(scope="module")
def frames():
    return rendered(6, seed=3)


@pytest.fixture
def scene(rng):
    image = (0.3 + 0.2 * rng.random((64, 64))).astype(np.float32)
    mask = np.zeros((64, 64), bool)
    mask[20:44, 28:36] = True
    image[mask] += 0.15
    return image, mask


def over_surroundings(image, mask):
    """Contrast by a loop: mean of the object less the mean of what is 3 to 8 pixels away from its box."""
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    beside = [
        image[y, x]
        for y in range(max(0, top - 8), min(64, bottom + 9))
        for x in range(max(0, left - 8), min(64, right + 9))
        if not (top - 3 < y < bottom + 3 and left - 3 < x < right + 3)
    ]
    return image[mask].mean() - np.mean(beside)


@pytest.mark.parametrize("how", ["show", "brighten", "dim", "haze", "blur"])
def test_what_is_shown_stands_out(scene, how):
    for seed in range(10):
        shown = edit(*scene, how, np.random.default_rng(seed))
        assert over_surroundings(shown, scene[1]) > 0.15 and shown.min() >= 0 and shown.max() <= 1


def test_what_is_hidden_is_gone_and_nothing_else_is(scene, rng):
    image, mask = scene
    hidden = edit(image, mask, "hide", rng)
    assert abs(over_surroundings(hidden, mask)) < 0.05 < over_surroundings(image, mask)
    assert np.array_equal(hidden[:16], image[:16]) and np.array_equal(hidden[:, :24], image[:, :24])


def test_tone_does_not_tell_twins_apart(frames):
    """Their means and deviations differ by what clipping, spots and noise leave, the object's contrast by far more."""
    for entry in frames:
        for seed in range(8):
            twins = make_twins(entry, objects(entry.labels), 64, np.random.default_rng(seed))
            assert abs(twins.first.mean() - twins.second.mean()) < 0.08
            assert abs(twins.first.std() - twins.second.std()) < 0.1
            assert np.abs(twins.first - twins.second).max() > 0.1


def test_equal_mean_and_deviation(scene, rng):
    first, second = tone_alike([scene[0], edit(*scene, "brighten", rng)], rng)
    assert first.mean() == pytest.approx(second.mean(), abs=0.02)
    assert first.std() == pytest.approx(second.std(), abs=0.02)


def test_captions_name_what_was_done(frames):
    said = set()
    for entry in frames:
        for seed in range(20):
            source, first, second = make_twins(entry, objects(entry.labels), 64, np.random.default_rng(seed)).captions
            assert "infrared" in source or "thermal" in source or "visible" in source
            assert first != second
            said |= {first.split(", ")[1], second.split(", ")[1]}
    assert {phrase.format(name) for phrase in SHOWN for name in NAMES[Label.PERSON]} & said
    assert {phrase.format(name) for phrase in HIDDEN for name in NAMES[Label.CAR]} & said


def test_no_caption_of_content_is_an_aim():
    aims = {text for path in RECIPES.glob("teacher*.yaml") for text in load_recipe(TeacherRecipe, path).texts.fused}
    captions = {
        f"{article} {noun}{place}, {phrase.format(name)}"
        for article in ("a", "an")
        for noun in ("image", "picture", "view", "photo")
        for place in PLACES
        for phrase in SHOWN + HIDDEN
        for names in NAMES.values()
        for name in names
    }
    assert len(aims) >= 6 and not aims & captions


def test_spots_are_bright_and_few(rng):
    shares = [float((scatter(64, np.random.default_rng(seed)) > 0.2).mean()) for seed in range(20)]
    assert 0 < np.mean(shares) < 0.3


def test_twin_loss_by_a_loop(rng):
    images, texts = (rng.standard_normal((4, 3, 8)) for _ in range(2))
    images, texts = (side / np.linalg.norm(side, axis=2, keepdims=True) for side in (images, texts))
    total = 0.0
    for image, text in zip(images, texts, strict=True):
        for a, b, weight in ((1, 2, 0.5), (1, 0, 0.25), (2, 0, 0.25)):
            moved, meant = image[a] - image[b], text[a] - text[b]
            total += weight * (1 - moved @ meant / np.linalg.norm(moved) / np.linalg.norm(meant))
        right, wrong = (image[1] @ text[x] + image[2] @ text[y] for x, y in ((1, 2), (2, 1)))
        total += np.logaddexp(100 * right, 100 * wrong) - 100 * right
    assert float(twin_loss(torch.from_numpy(images), torch.from_numpy(texts))) == pytest.approx(total / 4)
    assert float(twin_loss(torch.from_numpy(texts), torch.from_numpy(texts))) == pytest.approx(0, abs=1e-3)
