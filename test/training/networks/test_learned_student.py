"""The learned student: what it reads, how its maps are applied, and how far it sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ivif_core.models.local_affine import CELL, Skeleton
from ivif_core.models.local_affine import statistics as statistics_in_opencv
from ivif_core.training.networks.learned_student import LearnedStudent, Statistics, apply


@pytest.fixture(scope="module")
def student() -> LearnedStudent:
    """Small, with random weights that do something."""
    torch.manual_seed(0)
    student = LearnedStudent(channels=8, dilations=(1, 2), wide_channels=8, wide_dilations=(1, 1)).eval()
    torch.nn.init.normal_(student.maps.head.weight, std=0.3)
    return student


def pair(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two 8-bit images, smooth and with noise."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand((2, 1, -(-height // 16), -(-width // 16)), generator=random)
    images = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    images = images + 0.1 * torch.rand((2, 1, height, width), generator=random)
    return tuple((images.clamp(0, 1) * 255).round().div(255).split(1))


@torch.no_grad()
def test_untrained_it_gives_the_average_of_both_sources() -> None:
    infrared, visible = pair(70, 99)
    fused = LearnedStudent()(infrared, visible, torch.tensor([0.3]))
    assert torch.allclose(fused, (infrared + visible) / 2, atol=1e-6)


def test_the_statistics_are_those_that_opencv_gives() -> None:
    image = pair(64, 96)[0]
    grey = (image[0, 0] * 255).round().to(torch.uint8).numpy()
    assert np.allclose(Statistics()(image)[0].numpy(), statistics_in_opencv(grey), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("reduction", [1, 2, 4])
@pytest.mark.parametrize("size", [(64, 96), (67, 101), (150, 33)])
def test_opencv_applies_the_maps_alike(student: LearnedStudent, size: tuple[int, int], reduction: int) -> None:
    infrared, visible = pair(*size)
    vividness = torch.tensor([0.7])
    maps = student.maps(student.statistics(infrared, visible, reduction), vividness)
    grey = [(image[0, 0] * 255).round().to(torch.uint8).numpy() for image in (infrared, visible)]
    applied = Skeleton(size, reduction).apply(*grey, maps[0].numpy())
    fused = student.fuse(infrared, visible, vividness, reduction).clamp(0, 1)[0, 0].numpy() * 255
    assert np.abs(applied - fused).max() <= 0.51 + 1e-3


@torch.no_grad()
@pytest.mark.parametrize("reduction", [2, 4])
def test_the_reduced_image_is_rounded_to_levels_at_most(reduction: int) -> None:
    image = pair(67, 101)[0]
    grey = (image[0, 0] * 255).round().to(torch.uint8).numpy()
    difference = np.abs(Statistics()(image, reduction)[0].numpy() - statistics_in_opencv(grey, reduction))
    assert difference.max() <= 1.01 / 255


@torch.no_grad()
def test_maps_are_applied_bilinearly_with_cell_centres_as_their_places() -> None:
    """Against the definition, one pixel at a time."""
    random = torch.Generator().manual_seed(3)
    maps = torch.rand((1, 3, 5, 6), generator=random)  # cells 3×4 and a halo
    infrared, visible = torch.rand((2, 1, 1, 12, 16), generator=random)
    fused = apply(maps, infrared, visible, CELL)[0, 0]
    for row, column in ((0, 0), (5, 7), (11, 15)):
        y, x = (row + 0.5) / CELL + 0.5, (column + 0.5) / CELL + 0.5
        top, left = int(y), int(x)
        down, right = y - top, x - left
        offset, first, second = (
            (1 - down) * ((1 - right) * one[top, left] + right * one[top, left + 1])
            + down * ((1 - right) * one[top + 1, left] + right * one[top + 1, left + 1])
            for one in maps[0]
        )
        wanted = offset + first * infrared[0, 0, row, column] + second * visible[0, 0, row, column]
        assert fused[row, column] == pytest.approx(float(wanted), abs=1e-5)


@torch.no_grad()
def test_means_of_cells_have_gains_of_their_own() -> None:
    """With the same numbers everywhere, against the definition; at 0 they are bounded, at 1 they are not."""
    student = LearnedStudent(channels=8, dilations=(1,), wide_channels=8, wide_dilations=(1,))
    numbers = torch.tensor([0.1, 0.03, 0.9, 1.4, -0.3, 0.6, -0.2, 0.4, -0.3, -1.8, 0.5])
    student.maps.head.bias[:] = numbers.repeat_interleave(4)
    seen = student.statistics(*pair(64, 96))
    (infrared,), (visible,) = seen[:, 0], seen[:, 2]
    level = 0.07 + 0.9 * torch.maximum(infrared, visible) + 1.0 * torch.minimum(infrared, visible)
    vivid = -0.2 + 0.4 * infrared - 0.3 * visible
    wanted = {0.0: (level, 0.0, 0.6), 1.0: (vivid, -1.8, 0.5)}
    for (vividness, (levels, of_infrared, of_visible)), maps in zip(
        wanted.items(), student.maps.both(seen), strict=True
    ):
        assert torch.allclose(maps[0, 0] + of_infrared * infrared + of_visible * visible, levels, atol=1e-6)
        gains = torch.tensor([of_infrared, of_visible]).view(1, 2, 1, 1).expand_as(maps[:, 1:])
        assert torch.allclose(maps[:, 1:], gains, atol=1e-6)
        assert torch.allclose(student.maps(seen, torch.tensor([vividness]))[..., 1:-1, 1:-1], maps, atol=1e-6)


@torch.no_grad()
def test_vividness_goes_straight_from_one_end_to_the_other(student: LearnedStudent) -> None:
    infrared, visible = pair(64, 64)
    ends = [student.fuse(infrared, visible, torch.tensor([end])) for end in (0.0, 1.0)]
    middle = student.fuse(infrared, visible, torch.tensor([0.25]))
    assert (ends[1] - ends[0]).abs().max() > 0.05
    assert torch.allclose(middle, 0.75 * ends[0] + 0.25 * ends[1], atol=1e-5)


@torch.no_grad()
def test_each_image_of_a_batch_has_its_own_vividness(student: LearnedStudent) -> None:
    infrared, visible = pair(64, 64)
    both = student(infrared.expand(2, -1, -1, -1), visible.expand(2, -1, -1, -1), torch.tensor([0.0, 1.0]))
    for index, end in enumerate((0.0, 1.0)):
        assert torch.allclose(both[index : index + 1], student(infrared, visible, torch.tensor([end])), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("reduction", [1, 2])
def test_nothing_changes_beyond_the_receptive_field(student: LearnedStudent, reduction: int) -> None:
    field = student.receptive_field * reduction
    infrared, visible = pair(64 * reduction, 2 * field, seed=1)
    one = torch.ones(1)
    before = student.fuse(infrared, visible, one, reduction)
    changed = visible.clone()
    changed[..., field : field + 8] = 1 - changed[..., field : field + 8]
    change = (student.fuse(infrared, changed, one, reduction) - before).abs().amax((0, 1, 2))
    assert change[field] > 0
    assert change[: field // 2].max() == 0
    assert change[field + 8 + field // 2 :].max() == 0


@torch.no_grad()
@pytest.mark.parametrize("reduction", [1, 2])
def test_a_crop_is_fused_as_the_whole_away_from_its_border(student: LearnedStudent, reduction: int) -> None:
    step, margin = student.stride * reduction, student.receptive_field * reduction // 2
    margin = -(-margin // step) * step
    infrared, visible = pair(3 * margin, 3 * margin, seed=2)
    one = torch.ones(1)
    whole = student.fuse(infrared, visible, one, reduction)
    here = (..., slice(step, None), slice(step, 3 * margin - step))
    crop = student.fuse(infrared[here], visible[here], one, reduction)
    inside = (..., slice(margin, -margin), slice(margin, -margin))
    assert torch.allclose(crop[inside], whole[here][inside], atol=1e-5)


@torch.no_grad()
def test_larger_cells_see_the_frame_reduced(student: LearnedStudent) -> None:
    """The same scene, twice as large: the maps are the same, each of them for cells twice as large."""
    infrared, visible = pair(64, 96)
    large = [image.repeat_interleave(2, 2).repeat_interleave(2, 3) for image in (infrared, visible)]
    seen, seen_large = student.statistics(infrared, visible), student.statistics(*large, 2)
    assert torch.allclose(seen, seen_large, atol=1e-6)


def test_gains_can_become_negative() -> None:
    """A teacher may turn polarity: the maps follow it there."""
    torch.manual_seed(0)
    student = LearnedStudent(channels=8, dilations=(1,), wide_channels=8, wide_dilations=(1,))
    optimizer = torch.optim.Adam(student.parameters(), 0.05)
    infrared, visible = pair(64, 64)
    for _ in range(40):
        loss = (student.fuse(infrared, visible, torch.ones(1)) - (1 - infrared)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    maps = student.maps(student.statistics(infrared, visible), torch.ones(1))
    assert maps[:, 1].mean() < 0
