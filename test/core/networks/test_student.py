"""The student is local, takes any size, starts at its skeleton and does not fall with vividness."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ivif_core.networks.student import STRIDE, Student, bilinear_kernels


@pytest.fixture
def student():
    torch.manual_seed(0)
    network = Student(channels=16, dilations=(1, 2)).eval()
    torch.nn.init.normal_(network.head.weight, std=0.05)  # a fresh student corrects nothing
    return network


def pair(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 1, height // 6 + 2, width // 6 + 2, generator=generator)
    fine = 0.2 * torch.rand(2, 1, height, width, generator=generator)
    smooth = functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (0.8 * smooth + fine).clamp(0, 1).chunk(2)


def test_enlargement_is_bilinear():
    coarse = torch.rand(1, 1, 7, 9)
    blocks = functional.conv2d(coarse, bilinear_kernels(STRIDE))
    expected = functional.interpolate(coarse, scale_factor=STRIDE, mode="bilinear", align_corners=False)
    inner = expected[..., STRIDE:-STRIDE, STRIDE:-STRIDE]
    torch.testing.assert_close(functional.pixel_shuffle(blocks, STRIDE), inner)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (64, 71), (100, 40)])
def test_any_size(student, height, width):
    fused = student(*pair(height, width), torch.tensor([0.3]))
    assert fused.shape == (1, 1, height, width)
    assert fused.min() >= 0 and fused.max() <= 1 and torch.isfinite(fused).all()


@torch.no_grad()
def test_crop_of_the_output_is_output_of_the_crop(student):
    infrared, visible = pair(280, 296)
    vividness = torch.tensor([1.0])
    top, left, height, width = 3 * STRIDE, 5 * STRIDE, 25 * STRIDE, 24 * STRIDE
    window = (..., slice(top, top + height), slice(left, left + width))
    whole = student(infrared, visible, vividness)[window]
    crop = student(infrared[window], visible[window], vividness)
    edge = student.receptive_field // 2
    inner = (..., slice(edge, -edge), slice(edge, -edge))
    torch.testing.assert_close(crop[inner], whole[inner], atol=1e-5, rtol=0)
    assert crop[inner].numel() > 1000


@torch.no_grad()
def test_nothing_changes_beyond_the_receptive_field(student):
    infrared, visible = pair(200, 208)
    changed = visible.clone()
    changed[..., 96:104, 96:104] = 1 - changed[..., 96:104, 96:104]
    vividness = torch.tensor([0.5])
    difference = (student(infrared, changed, vividness) - student(infrared, visible, vividness)).abs()[0, 0]
    touched = difference.nonzero()
    reach = student.receptive_field // 2 + STRIDE
    assert difference[96:104, 96:104].max() > 0.1
    assert (touched - 100).abs().max() <= reach


@torch.no_grad()
def test_fresh_student_is_its_skeleton():
    network = Student().eval()
    infrared, visible = pair(96, 96)
    flat_infrared, flat_visible = torch.full((1, 1, 64, 64), 0.3), torch.full((1, 1, 64, 64), 0.6)
    faithful = network(flat_infrared, flat_visible, torch.tensor([0.0]))
    torch.testing.assert_close(faithful, flat_visible, atol=1e-5, rtol=0)  # the larger of two flat sources
    close = network(infrared, visible, torch.tensor([0.0])) - torch.maximum(infrared, visible)
    assert close.abs().mean() < 0.04
    assert network(infrared, visible, torch.tensor([1.0])).mean() > torch.maximum(infrared, visible).mean()


@torch.no_grad()
def test_vividness_per_image_is_vividness_of_each(student):
    infrared, visible = (torch.cat(images) for images in zip(pair(64, 64, 1), pair(64, 64, 2), strict=True))
    together = student(infrared, visible, torch.tensor([0.2, 0.9]))
    for index, value in enumerate((0.2, 0.9)):
        alone = student(infrared[index : index + 1], visible[index : index + 1], torch.tensor([value]))
        torch.testing.assert_close(together[index : index + 1], alone)


def test_size():
    assert sum(parameter.numel() for parameter in Student().parameters()) <= 100_000
