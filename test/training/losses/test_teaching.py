"""What the student is taught, against slow oracles and cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.training.losses import teaching
from ivif_core.training.losses.sources import Sources
from ivif_core.training.losses.teaching import FaithfulWeights, VividWeights
from ivif_core.training.networks.learned_student import LearnedStudent, apply


def random_maps(seed: int, count: int = 2) -> torch.Tensor:
    return torch.randn((count, 3, 6, 8), generator=torch.Generator().manual_seed(seed))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_map_distance_is_that_of_the_fused_cells(seed: int) -> None:
    """Against the fused images: flat cells differ by the first number, and their details by at most the second."""
    random = torch.Generator().manual_seed(seed)
    cells = torch.rand((1, 4, 6, 8), generator=random)
    cells[:, 1::2] *= 0.1
    maps, reference = torch.randn((2, 1, 3, 6, 8), generator=random)
    level, detail = teaching.map_distance(maps, reference, cells)
    levels, details = [], []
    for row in range(6):
        for column in range(8):
            (o, i, v), (ro, ri, rv) = maps[0, :, row, column], reference[0, :, row, column]
            mean_i, activity_i, mean_v, activity_v = cells[0, :, row, column]
            levels.append(abs((o + i * mean_i + v * mean_v) - (ro + ri * mean_i + rv * mean_v)))
            details.append(abs(i - ri) * activity_i + abs(v - rv) * activity_v)
    assert float(level) == pytest.approx(float(sum(levels)) / 48, rel=1e-4)
    assert float(detail) == pytest.approx(float(sum(details)) / 48, rel=1e-4)


def test_levels_are_the_means_of_the_fused_cells() -> None:
    """Where maps are the same everywhere, so that enlarging them changes nothing."""
    infrared, visible = torch.rand((2, 1, 1, 32, 48), generator=torch.Generator().manual_seed(0))
    maps = torch.tensor([0.1, 0.7, -0.4]).view(1, 3, 1, 1).expand(1, 3, 8, 12)
    cells = LearnedStudent(8, (1,), 8, (1,)).statistics(infrared, visible)
    fused = apply(torch.nn.functional.pad(maps, (1,) * 4, mode="replicate"), infrared, visible, 4)
    wanted = torch.nn.functional.avg_pool2d(fused, 4)
    assert torch.allclose(teaching.levels(maps, cells), wanted, atol=1e-5)


def warm_scene() -> tuple[torch.Tensor, torch.Tensor]:
    """Means of cells with one warm thing of 3×3 cells, and where it is."""
    infrared = torch.full((1, 1, 40, 40), 0.3)
    infrared[..., 20:23, 20:23] = 0.9
    return infrared, infrared > 0.5


def test_warm_things_that_stand_out_as_much_cost_nothing() -> None:
    infrared, where = warm_scene()
    wanted = 0.3 + 0.3 * where.float()
    around = 9 / teaching.SURROUNDINGS**2  # their own share of their surroundings
    assert teaching.warm_loss(0.1 + 0.4 * where.float(), wanted, infrared, 0.05) == 0
    found = teaching.warm_loss(wanted + 0.2, wanted, infrared, 0.05)
    assert float(found) == pytest.approx(0.05 * 9 / teaching.FEWEST_WARM, rel=1e-3)
    lacking = teaching.warm_loss(0.1 + 0.2 * where.float(), wanted, infrared)
    assert float(lacking) == pytest.approx(0.1 * (1 - around) * 9 / teaching.FEWEST_WARM, rel=1e-3)


def test_what_stands_out_all_the_more_does_not_make_up_for_what_is_hidden() -> None:
    infrared, where = warm_scene()
    infrared[..., 5:8, 5:8] = 0.9
    both = infrared > 0.5
    wanted = 0.3 + 0.3 * both.float()
    one_hidden = 0.3 + 0.6 * (both & ~where).float()
    assert teaching.warm_loss(one_hidden, wanted, infrared) > 0.1


def test_hidden_warm_things_cost_and_dark_ones_cost_more() -> None:
    infrared, where = warm_scene()
    wanted = 0.3 + 0.3 * where.float()
    hidden = teaching.warm_loss(torch.full_like(infrared, 0.3), wanted, infrared)
    assert 0 < hidden < teaching.warm_loss(0.6 - 0.3 * where.float(), wanted, infrared)


def test_a_teacher_that_hides_warm_things_is_told_from_one_that_shows_them_dark() -> None:
    infrared, where = warm_scene()
    for contrast, dark in ((0.5, False), (0.0, False), (-0.1, False), (-0.4, True)):
        assert bool(teaching.shows_warm_dark(0.5 + contrast * where.float(), infrared)) == dark
    assert not teaching.shows_warm_dark(torch.zeros_like(infrared), torch.full_like(infrared, 0.3))


def test_where_nothing_is_warm_nothing_is_asked() -> None:
    cold = torch.full((1, 1, 40, 40), 0.3)
    assert teaching.warm_loss(torch.rand(1, 1, 40, 40), torch.rand(1, 1, 40, 40), cold) == 0


def test_flicker_is_how_noise_of_both_cameras_comes_out() -> None:
    """Against noise itself."""
    random = np.random.default_rng(0)
    maps = random_maps(5, count=1)
    noise = random.normal(0, 1, (2, 4000, 6, 8))
    gains = maps[0, 1:].numpy()
    measured = (gains[:, None] * noise).sum(0).std(0).mean()
    assert float(teaching.flicker_loss(maps, 0.0)) == pytest.approx(measured, rel=0.02)
    assert teaching.flicker_loss(maps, 10.0) == 0


def test_tones_are_compared_whatever_their_places() -> None:
    random = torch.Generator().manual_seed(0)
    level = torch.rand((2, 1, 9, 11), generator=random)
    moved = level.flatten(1)[:, torch.randperm(99, generator=random)].view_as(level)
    parts = teaching.tone_parts(moved, level)
    assert parts["tones"] == 0
    assert parts["tone"] > 0.1
    lifted = teaching.tone_parts(level + 0.1, level)
    assert float(lifted["tones"]) == pytest.approx(0.1, rel=1e-3)
    assert float(lifted["tone"]) == pytest.approx(0.1, rel=1e-3)


def test_a_copy_of_the_teacher_costs_nothing_of_the_teacher() -> None:
    teacher = torch.rand((2, 1, 40, 48), generator=torch.Generator().manual_seed(0))
    for name, part in teaching.teacher_parts(teacher, teacher).items():
        assert part.abs().max() < 1e-5, name
    for name, part in teaching.teacher_parts(1 - teacher, teacher).items():
        assert part.min() > 0 or name == "deviation", name


def test_every_part_has_a_weight_and_counts_by_it() -> None:
    infrared, visible, fused, goal = torch.rand((4, 1, 1, 48, 56), generator=torch.Generator().manual_seed(0))
    sources = Sources(infrared, visible)
    faithful = teaching.faithful_guards(fused, sources, goal, FaithfulWeights())
    vivid = teaching.vivid_guards(fused, sources, VividWeights()) | teaching.teacher_parts(fused, goal)
    for parts, weights in ((faithful, FaithfulWeights()), (vivid, VividWeights())):
        by_hand = sum(getattr(weights, name) * float(part.mean()) for name, part in parts.items())
        assert float(teaching.weighted(parts, weights)) == pytest.approx(by_hand, rel=1e-5)
