"""Differentiable measures against the figures of `evaluation.metrics`, penalties against closed forms."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from ivif_core.evaluation import metrics
from ivif_core.training.losses import structure


def images(seed, size=96):
    """infrared, visible, fused as uint8: smooth, with edges and a little noise."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(2):
        image = cv2.resize(random.uniform(0, 255, (9, 9)), (size, size), interpolation=cv2.INTER_CUBIC)
        image[20:50, 30:70] += 60
        made.append(np.clip(image + random.normal(0, 3, image.shape), 0, 255).astype(np.uint8))
    fused = np.clip(0.6 * made[0] + 0.5 * made[1], 0, 255).astype(np.uint8)
    return *made, fused


def tensors(*arrays):
    return [torch.from_numpy(array.astype(np.float32) / 255)[None, None] for array in arrays]


@pytest.mark.parametrize("seed", range(3))
def test_measures_are_the_fields_figures(seed):
    infrared, visible, fused = images(seed)
    i, v, f = tensors(infrared, visible, fused)
    figures = metrics.measure(fused, infrared, visible)
    assert float(structure.edge_transfer(f, i, v)) == pytest.approx(figures["Qabf"], abs=0.01)
    assert float(structure.visual_information(f, i, v)) == pytest.approx(figures["VIF"], abs=0.005)
    assert float(structure.difference_correlation(f, i, v)) == pytest.approx(figures["SCD"], abs=1e-3)


def test_windows_against_opencv():
    image = images(5)[0]
    (tensor,) = tensors(image)
    largest = cv2.dilate(image, np.ones((15, 15), np.uint8))
    np.testing.assert_allclose(255 * structure._largest(tensor, 15)[0, 0].numpy(), largest, atol=1e-3)
    wide = image.astype(np.float64)
    mean, square = cv2.blur(wide, (15, 15)), cv2.blur(wide * wide, (15, 15))
    deviation = np.sqrt(np.maximum(square - mean**2, 0))[8:-8, 8:-8]
    np.testing.assert_allclose(255 * structure.local_deviation(tensor)[0, 0, 8:-8, 8:-8].numpy(), deviation, atol=0.3)
    sobel = np.stack([cv2.Sobel(wide / 255, -1, x, 1 - x, borderType=cv2.BORDER_CONSTANT) for x in (1, 0)])
    np.testing.assert_allclose(structure.gradients(tensor)[0].numpy(), sobel, atol=1e-5)


def test_similarity_is_one_for_itself_and_less_for_another():
    i, v, _ = tensors(*images(1))
    assert float(structure.similarity(i, i)) == pytest.approx(1, abs=1e-4)
    assert float(structure.similarity(i, v)) < 0.8


def test_overshoot_counts_what_leaves_the_range():
    i, v = torch.full((1, 1, 40, 40), 0.2), torch.full((1, 1, 40, 40), 0.5)
    inside = torch.full_like(i, 0.35)
    assert float(structure.overshoot(inside, i, v)) == 0
    expected = 0.7 - 0.5 - 4 / 255
    assert float(structure.overshoot(torch.full_like(i, 0.7), i, v)) == pytest.approx(expected, abs=1e-6)


def test_noise_is_penalised_where_it_grows():
    generator = torch.Generator().manual_seed(0)
    noise = 2 / 255 * torch.randn(1, 1, 64, 64, generator=generator)
    i, v = 0.4 + noise, torch.full_like(noise, 0.5)
    assert float(structure.noise_excess(0.45 + noise, i, v, gain=1.05)) < 0.01
    assert float(structure.noise_excess(0.45 + 3 * noise, i, v, gain=1.05)) > 1


def test_glare_asks_for_the_infrared_in_front_of_a_light():
    i = torch.full((1, 1, 64, 64), 0.3)
    i[..., 28:36, 28:36] = 0.8
    v = torch.ones_like(i)
    blind = float(structure.glare_loss(v, i, v, share=0.7))
    assert blind > 1
    assert float(structure.glare_loss(0.5 + 0.8 * (i - 0.3), i, v, share=0.7)) < 0.01 * blind
    assert float(structure.glare_loss(v, i, 0.5 * v, share=0.7)) == 0


def test_gradients_reach_the_fused_image():
    i, v, f = tensors(*images(2, 64))
    for measure in (structure.edge_transfer, structure.visual_information, structure.difference_correlation):
        fused = f.clone().requires_grad_()
        measure(fused, i, v).sum().backward()
        assert torch.isfinite(fused.grad).all() and fused.grad.abs().sum() > 0
        better = (f + 0.01 * fused.grad / fused.grad.abs().max()).detach()
        assert float(measure(better, i, v)) > float(measure(f, i, v))
