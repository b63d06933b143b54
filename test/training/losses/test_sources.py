"""Measures that work out their sources once are the measures themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ivif_core.training.losses import structure
from ivif_core.training.losses.sources import Sources


def images(count: int) -> list[Tensor]:
    """Smooth images with some noise and a saturated part."""
    random = torch.Generator().manual_seed(1)
    coarse = torch.rand((count, 2, 1, 5, 6), generator=random)
    found = [torch.nn.functional.interpolate(one, (60, 72), mode="bilinear") for one in coarse]
    found = [(one + 0.02 * torch.randn(one.shape, generator=random)).clamp(0, 1) for one in found]
    found[1][..., 10:40, 20:60] = 1.0
    found[0][..., 30:58, 2:30] = 1.0
    return found


MEASURES: list[tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[float, ...]]] = [
    (Sources.edge_transfer, structure.edge_transfer, ()),
    (Sources.visual_information, structure.visual_information, ()),
    (Sources.noise_excess, structure.noise_excess, (1.2,)),
    (Sources.glare_loss, structure.glare_loss, (0.8,)),
]


@pytest.mark.parametrize(("method", "function", "more"), MEASURES, ids=lambda item: getattr(item, "__name__", ""))
def test_values_and_gradients_are_those_of_the_measure(
    method: Callable[..., Tensor], function: Callable[..., Tensor], more: tuple[float, ...]
) -> None:
    infrared, visible, fused, other = images(4)
    sources = Sources(infrared, visible)
    for image in (fused, other):  # the second one takes what the first has worked out
        ours, theirs = image.clone().requires_grad_(), image.clone().requires_grad_()
        found, wanted = method(sources, ours, *more), function(theirs, infrared, visible, *more)
        assert torch.allclose(found, wanted, atol=1e-6)
        found.sum().backward()
        wanted.sum().backward()
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


def test_without_blinding_light_nothing_is_lost_in_glare() -> None:
    infrared, visible, fused = images(3)
    assert Sources(infrared.clamp(max=0.9), visible.clamp(max=0.9)).glare_loss(fused, 1.0).abs().max() == 0


def test_whichever_camera_is_blinded_what_the_other_one_sees_is_to_be_kept() -> None:
    seen = 0.3 + 0.2 * torch.rand((1, 1, 48, 64), generator=torch.Generator().manual_seed(0))
    white = torch.ones_like(seen)
    for pair in ((seen, white), (white, seen)):
        sources = Sources(*pair)
        assert sources.glare_loss(0.5 + seen, 1.0) < 1e-4
        assert sources.glare_loss(white, 1.0) > sources.glare_loss(0.5 * seen, 1.0) > 1
