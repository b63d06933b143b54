"""Harder inputs for self-learning: the same scene worse lit, then seen by worse cameras."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """How often and how badly; images are in [0, 1].

    Attributes:
        darken: share of the visible images that are under-exposed, down to `darkest` of the light.
        flatten: share of the infrared images of lower contrast, half of them dark.
        glare: share of the visible images with a blinding light in them.
        blur, noise, stripes, dead, shift: share of the images with that fault.
        noise_deviation: largest standard deviation of the noise.
        shift_pixels: largest misregistration.
    blind: share of the images of either source in which a camera is blind to an area, mostly by saturation.
    """

    darken: float = 0.5
    darkest: float = 0.05
    flatten: float = 0.4
    glare: float = 0.3
    blur: float = 0.08
    noise: float = 0.25
    noise_deviation: float = 0.015
    stripes: float = 0.08
    dead: float = 0.08
    shift: float = 0.1
    shift_pixels: int = 2
    blind: float = 0.15


def relight(infrared: Tensor, visible: Tensor, recipe: Degradation) -> tuple[Tensor, Tensor]:
    """Another light on the same scene: exposure and gamma, thermal contrast, a blinding light.

    Args:
        infrared, visible: B×1×H×W in [0, 1].

    Returns:
        New infrared and visible of these shapes. Random by torch's global generator, image by image.
    """
    count = infrared.shape[0]
    exposure = torch.exp(_uniform(count) * torch.log(torch.tensor(recipe.darkest)))
    gamma = torch.exp(1.5 * _uniform(count) - 0.4)  # over 1: dark streets in which lamps stay bright
    dark = (visible.clamp_min(1e-4) ** gamma.to(visible)) * exposure.to(visible)
    visible = torch.where(_chosen(count, recipe.darken, visible), dark, visible)
    contrast, level = 0.25 + 0.75 * _uniform(count), (2 * _uniform(count) - 1).relu()
    flat = contrast.to(infrared) * infrared + ((1 - contrast) * 0.6 * level).to(infrared)
    infrared = torch.where(_chosen(count, recipe.flatten, infrared), flat, infrared)
    visible = torch.where(_chosen(count, recipe.glare, visible), _with_glare(visible), visible)
    return infrared, visible


def blind(infrared: Tensor, visible: Tensor, recipe: Degradation) -> tuple[Tensor, Tensor]:
    """White or, once in four times, black boxes: what is in one, only the other camera sees. Arguments as `relight`."""
    return _with_blind_box(infrared, recipe.blind), _with_blind_box(visible, recipe.blind)


def worsen(infrared: Tensor, visible: Tensor, recipe: Degradation) -> tuple[Tensor, Tensor]:
    """Worse cameras: blur, misregistration, thermal stripes and dead pixels, noise. Arguments as `relight`."""
    count, _, height, width = infrared.shape
    blurred = [functional.avg_pool2d(functional.pad(x, (1,) * 4, mode="replicate"), 3, 1) for x in (infrared, visible)]
    infrared = torch.where(_chosen(count, recipe.blur, infrared), blurred[0], infrared)
    visible = torch.where(_chosen(count, recipe.blur, visible), blurred[1], visible)
    reach = recipe.shift_pixels
    down, right = (torch.randint(-reach, reach + 1, (2,))).tolist()
    padded = functional.pad(infrared, (reach,) * 4, mode="replicate")
    moved = padded[..., reach + down : reach + down + height, reach + right : reach + right + width]
    infrared = torch.where(_chosen(count, recipe.shift, infrared), moved, infrared)
    stripes = 0.012 * torch.randn(count, 1, 1, width).to(infrared)
    infrared = infrared + stripes * _chosen(count, recipe.stripes, infrared)
    dead = (torch.rand(infrared.shape) < 5e-4).to(infrared.device) & _chosen(count, recipe.dead, infrared)
    infrared = torch.where(dead, torch.randint(0, 2, (1,)).to(infrared), infrared)
    noisy = []
    for image in (infrared, visible):
        deviation = (recipe.noise_deviation * _uniform(count)).to(image) * _chosen(count, recipe.noise, image)
        noisy.append((image + deviation * torch.randn(image.shape).to(image)).clamp(0, 1))
    return noisy[0], noisy[1]


def _with_glare(visible: Tensor) -> Tensor:
    """A saturated disc of 12 to 40 pixels radius with a soft halo, somewhere in each image."""
    count, _, height, width = visible.shape
    y = torch.arange(height).view(1, 1, -1, 1) - _uniform(count) * height
    x = torch.arange(width).view(1, 1, 1, -1) - _uniform(count) * width
    radius = 12 + 28 * _uniform(count)
    light = 1.3 * torch.exp(-((torch.sqrt(y * y + x * x) - radius).clamp_min(0) / (0.4 * radius)))
    return (visible + light.to(visible)).clamp(0, 1)


def _with_blind_box(image: Tensor, share: float) -> Tensor:
    """A box of 16 to 200 pixels a side, at its border over 4 pixels, somewhere in `share` of the images."""
    count, _, height, width = image.shape
    y = (torch.arange(height).view(1, 1, -1, 1) - _uniform(count) * height).abs() - 8 - 92 * _uniform(count)
    x = (torch.arange(width).view(1, 1, 1, -1) - _uniform(count) * width).abs() - 8 - 92 * _uniform(count)
    inside = (-torch.maximum(x, y) / 4).clamp(0, 1).to(image) * _chosen(count, share, image)
    return torch.lerp(image, _chosen(count, 0.75, image).to(image), inside)


def _uniform(count: int) -> Tensor:
    return torch.rand(count, 1, 1, 1)


def _chosen(count: int, share: float, like: Tensor) -> Tensor:
    return (_uniform(count) < share).to(like.device)
