"""Frames to learn from: one size, the same part of every image, reproducible, and views that are not relit again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ivif_core.training.data.frames import SEAM, Frames
from ivif_core.training.data.pairs import Pair


def ramp(height: int, width: int, first: int = 0) -> np.ndarray:
    """Every pixel tells its column."""
    return np.tile(np.arange(width, dtype=np.uint8) + first, (height, 1))


def pair(height: int, width: int, name: str = "a", first: int = 0) -> Pair:
    image = ramp(height, width, first)
    return Pair(name, image, image // 2, image // 4)


def test_all_images_show_the_same_part_and_never_the_seam() -> None:
    frames = Frames([pair(120, 200)], (64, 96))
    mirrored = set()
    for seed in range(30):
        item = frames[0, (seed,)]
        infrared, visible, teacher = (255 * item[name][0] for name in ("infrared", "visible", "teacher"))
        assert infrared.shape == (64, 96)
        assert torch.equal((infrared / 2).floor(), visible.round())
        assert torch.equal((infrared / 4).floor(), teacher.round())
        assert infrared.max() < 200 - SEAM
        assert item["relight"]
        mirrored.add(bool(infrared[0, 0] > infrared[0, 1]))
    assert mirrored == {True, False}


def test_the_key_alone_decides() -> None:
    frames = Frames([pair(120, 200), pair(100, 150, "b")], (64, 96), [pair(110, 180, "v")], 0.5)
    for index in (0, 1):
        first, again = frames[index, (3, 1, 4)], frames[index, (3, 1, 4)]
        assert all(torch.equal(first[name], again[name]) for name in first)


def test_smaller_pairs_are_enlarged() -> None:
    frames = Frames([pair(40 + SEAM, 50 + SEAM)], (64, 96))
    assert frames[0, (0,)]["visible"].shape == (1, 64, 96)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_views_come_as_often_as_asked_and_stay_in_their_light(share: float) -> None:
    frames = Frames([pair(120, 150)], (64, 96), [pair(120, 120, "v", first=100)], share)
    views = [not frames[0, (seed,)]["relight"] for seed in range(200)]
    assert np.mean(views) == pytest.approx(share, abs=0.12)
    for seed, is_view in enumerate(views[:20]):
        assert (255 * frames[0, (seed,)]["infrared"].min() >= 99.5) or not is_view


def test_without_views_every_item_is_a_pair() -> None:
    frames = Frames([pair(120, 150)], (64, 96), views_share=0.9)
    assert all(frames[0, (seed,)]["relight"] for seed in range(20))
