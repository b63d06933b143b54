"""The student's rules against loops and closed forms; it is local, takes any size and starts at its skeleton."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from ivif_core.models.local_affine import BLOCK, CELL, Skeleton, statistics
from ivif_core.training.networks.rule_reference import (
    RULES,
    STRIDE,
    RuleReference,
    base_with_room,
    below_white,
    bilinear_kernels,
    detail_weights,
)


@pytest.fixture
def student():
    torch.manual_seed(0)
    network = RuleReference(channels=16, dilations=(1, 2)).eval()
    torch.nn.init.normal_(network.maps.head.weight, std=0.05)  # a fresh student corrects nothing
    return network


def pair(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 1, height // 6 + 2, width // 6 + 2, generator=generator)
    fine = 0.2 * torch.rand(2, 1, height, width, generator=generator)
    smooth = functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (0.8 * smooth + fine).clamp(0, 1).chunk(2)


def test_enlargement_is_bilinear():
    coarse = torch.rand(1, 1, 8, 10)
    blocks = functional.conv2d(coarse, bilinear_kernels(), stride=BLOCK // CELL)
    expected = functional.interpolate(coarse, scale_factor=CELL, mode="bilinear", align_corners=False)
    torch.testing.assert_close(functional.pixel_shuffle(blocks, BLOCK), expected[..., CELL:-CELL, CELL:-CELL])


def test_statistics_are_those_of_the_skeleton(student):
    image = (255 * pair(64, 72)[0]).to(torch.uint8)
    taken = student.statistics(functional.pixel_unshuffle(image.float() / 255, BLOCK))
    torch.testing.assert_close(taken[0], torch.from_numpy(statistics(image[0, 0].numpy())), atol=1e-6, rtol=0)


def test_a_base_leaves_room_for_the_other_sources_details():
    """A loop over single places: infrared 0.3 and visible 1, of which the infrared has the details, and others."""
    for infrared, visible, infrared_contrast, visible_contrast, expected in (
        (0.3, 1.0, 0.1, 0.0, 1.0 - 0.1 * RULES.room),  # a headlamp, and something before it
        (1.0, 0.3, 0.0, 0.1, 1.0 - 0.1 * RULES.room),  # a hot wall, and something on it
        (0.3, 1.0, 0.0, 0.1, 1.0),  # the brighter one has the details itself
        (0.9, 1.0, 0.4, 0.0, 0.9),  # never under the darker one
        (0.5, 0.5, 0.4, 0.0, 0.5),
    ):
        bases, contrasts = torch.tensor([infrared, visible]), torch.tensor([infrared_contrast, visible_contrast])
        base, darker = base_with_room(bases.reshape(1, 2, 1, 1), contrasts.reshape(1, 2, 1, 1))
        assert base.item() == pytest.approx(expected, abs=1e-4)
        assert darker.item() == pytest.approx(min(infrared, visible))


def test_details_of_the_more_active_source_count_and_in_doubt_of_the_brighter():
    """Against the odds written out for one place at a time."""
    generator = np.random.default_rng(0)
    activities, levels = generator.random((2, 2, 5, 6)) * np.array([0.05, 1.0])[:, None, None, None]
    bias = generator.normal(size=(5, 6))
    inputs = (torch.from_numpy(value).float() for value in (activities[None], levels[None], bias[None, None]))
    found = detail_weights(*inputs)[0].numpy()
    for row in range(5):
        for column in range(6):
            (infrared, visible), (warm, bright) = activities[:, row, column], levels[:, row, column]
            ratio = ((infrared + RULES.quiet) / (visible + RULES.quiet)) ** RULES.choice
            odds = ratio * math.exp(RULES.doubt * math.tanh((warm - bright) / RULES.alike) + bias[row, column])
            np.testing.assert_allclose(found[:, row, column], [odds / (1 + odds), 1 / (1 + odds)], atol=1e-4)


def test_a_base_stays_below_white_by_what_its_details_need():
    for base, contrast, vivid, expected in ((0.5, 0.1, 0, 0.5), (1.0, 0.1, 0, 0.835), (1.0, 0.1, 1, 0.78)):
        contrasts = torch.tensor([contrast, 0.0]).reshape(1, 2, 1, 1)
        lowered, trust = below_white(torch.full((1, 1, 1, 1), base), contrasts, torch.full((1, 1, 1, 1), float(vivid)))
        assert lowered.item() == pytest.approx(expected)
        assert trust.item() == (1.0 if expected == base else 0.0)


def test_rank_is_the_share_of_the_surroundings_that_is_darker(student):
    """A board of 0.2 and 0.8: the dark fields have a quarter below them, the bright ones three quarters."""
    checks = torch.kron(torch.tensor([[0.2, 0.8], [0.8, 0.2]]).repeat(10, 10), torch.ones(4, 4))[None, None]
    rank, mean, far = student.maps.surroundings(checks, 0.5 * checks)
    dark, bright = (rank[checks == level].mean().item() for level in (0.2, 0.8))
    assert dark == pytest.approx(0.25, abs=0.08) and bright == pytest.approx(0.75, abs=0.08)
    assert mean[..., 30:50, 30:50].sub(0.5).abs().max() < 0.05 and far[..., 30:50, 30:50].sub(0.25).abs().max() < 0.03


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 72), (33, 47), (131, 90)])
def test_maps_applied_by_the_skeleton_are_the_network(student, height, width):
    infrared, visible = ((255 * image).to(torch.uint8) for image in pair(height, width))
    vividness = torch.tensor([0.7])
    expected = 255 * student(infrared / 255, visible / 255, vividness)[0, 0].numpy()
    seen = np.concatenate([statistics(image[0, 0].numpy()) for image in (infrared, visible)])[None]
    maps = student.maps(torch.from_numpy(seen), vividness)[0].numpy()
    fused = Skeleton((height, width)).apply(infrared[0, 0].numpy(), visible[0, 0].numpy(), maps)
    assert np.abs(fused - expected).max() <= 0.51


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (64, 71), (100, 40)])
def test_any_size(student, height, width):
    fused = student(*pair(height, width), torch.tensor([0.3]))
    assert fused.shape == (1, 1, height, width)
    assert fused.min() >= 0 and fused.max() <= 1 and torch.isfinite(fused).all()


@torch.no_grad()
def test_crop_of_the_output_is_output_of_the_crop(student):
    infrared, visible = pair(800, 840)
    vividness = torch.tensor([1.0])
    top, left, height, width = STRIDE, 2 * STRIDE, 22 * STRIDE, 23 * STRIDE
    window = (..., slice(top, top + height), slice(left, left + width))
    whole = student(infrared, visible, vividness)[window]
    crop = student(infrared[window], visible[window], vividness)
    edge = student.receptive_field // 2
    inner = (..., slice(edge, -edge), slice(edge, -edge))
    torch.testing.assert_close(crop[inner], whole[inner], atol=1e-5, rtol=0)
    assert crop[inner].numel() > 1000


@torch.no_grad()
def test_nothing_changes_beyond_the_receptive_field(student):
    infrared, visible = pair(800, 800)
    changed = visible.clone()
    changed[..., 400:408, 400:408] = 1 - changed[..., 400:408, 400:408]
    vividness = torch.tensor([0.5])
    difference = (student(infrared, changed, vividness) - student(infrared, visible, vividness)).abs()[0, 0]
    touched = difference.nonzero()
    reach = student.receptive_field // 2
    assert difference[400:408, 400:408].max() > 0.1
    assert 150 < (touched - 404).abs().max() <= reach


@torch.no_grad()
def test_fresh_student_is_its_skeleton():
    network = RuleReference().eval()
    flat_infrared, flat_visible = torch.full((1, 1, 64, 64), 0.3), torch.full((1, 1, 64, 64), 0.6)
    faithful = network(flat_infrared, flat_visible, torch.tensor([0.0]))
    torch.testing.assert_close(faithful, flat_visible, atol=1e-5, rtol=0)  # the brighter of two flat sources
    # Where one source alone has fine details, they are there, on the brighter base.
    infrared = 0.2 + 0.2 * pair(96, 96)[0]
    faithful = network(infrared, torch.full_like(infrared, 0.5), torch.tensor([0.0]))
    fine = [image - functional.avg_pool2d(image, 5, 1, 2) for image in (infrared, faithful)]
    inner = torch.stack([image[..., 8:-8, 8:-8].flatten() for image in fine])
    assert torch.corrcoef(inner)[0, 1] > 0.9 and faithful.mean() > 0.4
    night = [0.2 * image for image in pair(96, 96)]
    assert network(*night, torch.tensor([1.0])).mean() > 1.5 * network(*night, torch.tensor([0.0])).mean()


@torch.no_grad()
def test_vividness_per_image_is_vividness_of_each(student):
    infrared, visible = (torch.cat(images) for images in zip(pair(64, 64, 1), pair(64, 64, 2), strict=True))
    together = student(infrared, visible, torch.tensor([0.2, 0.9]))
    for index, value in enumerate((0.2, 0.9)):
        alone = student(infrared[index : index + 1], visible[index : index + 1], torch.tensor([value]))
        torch.testing.assert_close(together[index : index + 1], alone)


GIVEN = {0.0: 0.577194, 0.3: 0.573383, 1.0: 0.576452}
"""Vividness -> mean."""


@torch.no_grad()
def test_its_numbers_are_those_of_the_first_release():
    """Means of what that one gave: the faithful end is taught by it, and files in the field are run by it."""
    infrared, visible = pair(96, 96)
    for vividness, mean in GIVEN.items():
        assert RuleReference()(infrared, visible, torch.tensor([vividness])).mean().item() == pytest.approx(
            mean, abs=1e-5
        )


def test_size():
    assert sum(parameter.numel() for parameter in RuleReference().parameters()) <= 100_000
