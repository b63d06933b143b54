"""How much of two sources lives on in a fused image: the field's measures in differentiable form, and what guards them.

Images are B×1×H×W in [0, 1]; every function gives one number an image, (B,). The measures (higher is better) agree
with `evaluation.metrics` up to the smoothing that a gradient needs; the penalties are zero where there is nothing to
complain of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional


def gradients(image: Tensor) -> Tensor:
    """Sobel gradients (x, y) with zero padding: B×1×H×W -> B×2×H×W."""
    smooth, difference = (1.0, 2.0, 1.0), (-1.0, 0.0, 1.0)
    x = _separable(image, smooth, difference, same=True)
    y = _separable(image, difference, smooth, same=True)
    return torch.cat([x, y], dim=1)


def _separable(image: Tensor, column: Sequence[float], row: Sequence[float], *, same: bool) -> Tensor:
    """Correlate with column × row, zero-padded to the same size or not at all.

    Written as two products with banded matrices: with one channel these are many times faster, forward and backward,
    than a convolution.
    """
    rows = _band(image.shape[2], tuple(column), same).to(image)
    columns = _band(image.shape[3], tuple(row), same).to(image)
    return rows @ image @ columns.T


@lru_cache(maxsize=256)
def _band(length: int, kernel: tuple[float, ...], same: bool) -> Tensor:
    """Matrix that correlates a line of `length` with `kernel`."""
    half = len(kernel) // 2
    offset = torch.arange(length) - torch.arange(length).unsqueeze(1) + half
    inside = (offset >= 0) & (offset < len(kernel))
    band = torch.where(inside, torch.tensor(kernel)[offset.clamp(0, len(kernel) - 1)], 0.0)
    return band if same else band[half : length - half]


def edge_transfer(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """Qabf: share of the sources' edges, strength and direction, that lives on (Xydeas, Petrović 2000)."""
    return edges_kept(edge_field(fused), [edge_field(source) for source in (infrared, visible)])


def edges_kept(fused: tuple[Tensor, Tensor], sources: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Qabf of edges as `edge_field` gives them, (B,)."""
    strength_f, angle_f = fused
    preserved = weights = torch.zeros(())
    for strength, angle in sources:
        ratio = torch.minimum(strength, strength_f) / torch.maximum(strength, strength_f)
        alignment = 1 - (angle - angle_f).abs() / (math.pi / 2)
        quality = 0.9994 / (1 + torch.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + torch.exp(-22 * (alignment - 0.8)))
        preserved = preserved + (quality * strength).sum((1, 2, 3))
        weights = weights + strength.sum((1, 2, 3))
    return preserved / weights


def edge_field(image: Tensor) -> tuple[Tensor, Tensor]:
    """Strength and angle of the edges, B×1×H×W each."""
    x, y = gradients(255 * image).split(1, dim=1)
    # Offsets keep the root and the quotient differentiable in flat places, where their weight is next to none.
    return torch.sqrt(x * x + y * y + 1e-2), torch.atan(y / torch.where(x.abs() < 1e-2, 1e-2, x))


def visual_information(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """Pixel-domain visual information fidelity, VIF(I, F) + VIF(V, F), four scales (Sheikh, Bovik 2006)."""
    return information_kept(fused, [reference_pyramid(source) for source in (infrared, visible)])


_SIDES, _VIF_NOISE = (17, 9, 5, 3), 2.0


def reference_pyramid(image: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Of a source, at each of VIF's scales: the image, its local means and its local variances."""
    image, found = 255 * image, []
    for scale, side in enumerate(_SIDES):
        if scale:
            image = _gaussian(image, side)[..., ::2, ::2]
        mean = _gaussian(image, side)
        found.append((image, mean, (_gaussian(image**2, side) - mean**2).clamp_min(1e-6)))
    return found


def information_kept(fused: Tensor, references: Sequence[list[tuple[Tensor, Tensor, Tensor]]]) -> Tensor:
    """Sum over the references (as `reference_pyramid` gives them) of the visual information in fused images, (B,)."""
    kept, total = ([fused.new_zeros(len(fused)) for _ in references] for _ in range(2))
    image = 255 * fused
    for scale, side in enumerate(_SIDES):
        if scale:
            image = _gaussian(image, side)[..., ::2, ::2]
        mean_i = _gaussian(image, side)
        variance_i = (_gaussian(image**2, side) - mean_i**2).clamp_min(1e-6)
        for index, pyramid in enumerate(references):
            reference, mean_r, variance_r = pyramid[scale]
            covariance = _gaussian(reference * image, side) - mean_r * mean_i
            gain = (covariance / variance_r).clamp_min(0)
            residual = (variance_i - gain * covariance).clamp_min(1e-6)
            kept[index] = kept[index] + torch.log10(1 + gain**2 * variance_r / (residual + _VIF_NOISE)).sum((1, 2, 3))
            total[index] = total[index] + torch.log10(1 + variance_r / _VIF_NOISE).sum((1, 2, 3))
    return torch.stack([one / whole.clamp_min(1e-6) for one, whole in zip(kept, total, strict=True)]).sum(0)


def _gaussian(image: Tensor, side: int) -> Tensor:
    """Gaussian window of σ = side / 5 without padding."""
    line = [math.exp(-0.5 * ((place - side // 2) / (side / 5)) ** 2) for place in range(side)]
    line = [value / sum(line) for value in line]
    return _separable(image, line, line, same=False)


def difference_correlation(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """Sum of the correlations of differences: corr(F − I, V) + corr(F − V, I) (Aslantas, Bendes 2015)."""
    return correlation(fused - infrared, visible) + correlation(fused - visible, infrared)


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation of each pair of images, over all their values."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (a, b))
    return (a * b).sum(1) / torch.sqrt((a * a).sum(1) * (b * b).sum(1) + 1e-8)


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM, Gaussian window of 11 (Wang et al. 2004; σ 2.2 here)."""
    mean_a, mean_b = _gaussian(a, 11), _gaussian(b, 11)
    variance_a, variance_b = _gaussian(a * a, 11) - mean_a**2, _gaussian(b * b, 11) - mean_b**2
    covariance = _gaussian(a * b, 11) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * (2 * covariance + c2) / (variance_a + variance_b + c2)).mean((1, 2, 3))


def local_deviation(image: Tensor, side: int = 15) -> Tensor:
    """Standard deviation in a window around every pixel, B×1×H×W."""
    mean = box_mean(image, side)
    return torch.sqrt((box_mean(image * image, side) - mean * mean).clamp_min(0) + 1e-6)


def box_mean(image: Tensor, side: int) -> Tensor:
    """Mean over a window, over what of it lies inside the image."""
    ones = (1.0,) * side
    return _separable(image, ones, ones, same=True) / _separable(torch.ones_like(image[:1]), ones, ones, same=True)


def overshoot(fused: Tensor, infrared: Tensor, visible: Tensor, margin: float = 4 / 255, side: int = 31) -> Tensor:
    """Penalty: how far the fused image leaves the range of both sources around each pixel (halos)."""
    high = _largest(torch.maximum(infrared, visible), side)
    low = -_largest(-torch.minimum(infrared, visible), side)
    return ((fused - high - margin).relu() + (low - margin - fused).relu()).mean((1, 2, 3))


def _largest(image: Tensor, side: int) -> Tensor:
    """Maximum over a window, in steps that double (van Herk's idea, for every size)."""
    for dim in (2, 3):
        half, reach = side // 2, 1
        edge = [half, half, 0, 0] if dim == 3 else [0, 0, half, half]
        image = functional.pad(image, edge, value=-math.inf)
        while reach < side:
            step = min(reach, side - reach)
            length = image.shape[dim] - step
            image = torch.maximum(image.narrow(dim, 0, length), image.narrow(dim, step, length))
            reach += step
    return image


def noise_excess(fused: Tensor, infrared: Tensor, visible: Tensor, gain: float, flat: float = 4 / 255) -> Tensor:
    """Penalty: deviation over `gain` times the sources' where both are flat, that is, where there is only noise."""
    source = torch.maximum(local_deviation(infrared), local_deviation(visible))
    where = (source < flat).float()
    excess = (local_deviation(fused) - gain * source.clamp_min(1 / 255)).relu()
    return (255 * where * excess).sum((1, 2, 3)) / where.sum((1, 2, 3)).clamp_min(1000)


def glare_loss(fused: Tensor, infrared: Tensor, visible: Tensor, share: float) -> Tensor:
    """Penalty: contrast of one source lost where the other one is blinded, by light or by heat.

    Where a source is saturated (≥ 245) all over a 15×15 window, the fused image must keep `share` of the other one's
    local contrast, with its sign.
    """
    contrast = fused - box_mean(fused, 15)
    pairs = ((blinded(visible), infrared), (blinded(infrared), visible))
    lost = [contrast_lost(contrast, where, share * (seen - box_mean(seen, 15))) for where, seen in pairs]
    return torch.stack(lost).sum(0)


def contrast_lost(contrast: Tensor, where: Tensor, wanted: Tensor) -> Tensor:
    """How much of a wanted local contrast is not there, in levels, over what is chosen by `where`, (B,)."""
    missing = (wanted.abs() - contrast * wanted.sign()).relu()
    return (255 * where * missing).sum((1, 2, 3)) / where.sum((1, 2, 3)).clamp_min(200)


def blinded(source: Tensor) -> Tensor:
    """1 where an image is saturated (≥ 245) all over a 15×15 window, else 0."""
    return -_largest(-(source >= 245 / 255).float(), 15)
