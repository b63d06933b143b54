"""The student: a low-resolution network that says how two full-resolution sources are put together.

At full resolution there is only a handful of element-wise operations, so the cost stays small at any size:

    fused = base + stronger(gain_infrared · (infrared − base_infrared), gain_visible · (visible − base_visible))

The five maps are made at 1/8 resolution from what quarter-resolution means and samples tell. They begin as a skeleton
without anything learned: two-scale fusion (Burt and Kolczynski, ICCV 1993) on bases that are low at the faithful end,
lifted and locally equalised at the vivid end, and lowered where the visible image is blinded. A few depthwise-separable
layers, zero at the start of training, correct it (low-resolution coefficients applied at full resolution: Gharbi et
al., SIGGRAPH 2017).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_core.skeleton import BLOCK, MAPS, SAMPLES

STRIDE = 32
"""Crops at offsets that are multiples of it are fused alike: wide surroundings are seen in cells of this side."""

# The skeleton, in [0, 1] luminance.
FLOOR, SHARED = 0.4, 0.15  # faithful: height of the low base in the darker source's, and what of that is added to it
LIFT, EQUALISE, CONTRAST, GAIN = 0.6, 0.6, 0.5, 1.5  # vivid: exponent, shares of local rank and contrast, of details
BLINDED, BLINDED_LEVEL = (0.90, 0.97), 0.88  # from where to where a block is blinded, and the base it then gets
SEEN = (0.012, 0.03)  # contrast from which on the infrared is taken to see something
LEVELS, WIDE, REACH = 8, 11, 2.3  # of the local histograms: levels; cells across and σ of their window


def bilinear_kernels(scale: int) -> Tensor:
    """Weights that enlarge one map bilinearly (half-pixel centres) straight into space-to-depth layout.

    Args:
        scale: how many times larger.

    Returns:
        (scale², 1, 3, 3), for a convolution without padding.
    """
    line = torch.zeros(scale, 3)
    for position in range(scale):
        offset = (position + 0.5) / scale - 0.5
        line[position, 0] = max(-offset, 0.0)
        line[position, 1] = 1.0 - abs(offset)
        line[position, 2] = max(offset, 0.0)
    return torch.einsum("ia,jb->ijab", line, line).reshape(scale * scale, 1, 3, 3)


def statistics_kernels() -> Tensor:
    """Weights that take a block of 64 pixels, as channels, to the means of its four quarters and their samples.

    Returns:
        (12, 64, 1, 1): four means, the four first samples, the four second ones; quarters row by row.
    """
    half = BLOCK // 2
    kernels = torch.zeros(1 + len(SAMPLES), 2, 2, BLOCK, BLOCK)
    for row in range(2):
        for column in range(2):
            kernels[0, row, column, row * half : (row + 1) * half, column * half : (column + 1) * half] = 1 / half**2
            for index, (down, right) in enumerate(SAMPLES, start=1):
                kernels[index, row, column, row * half + down, column * half + right] = 1.0
    return kernels.reshape(-1, BLOCK**2, 1, 1)


class SeparableLayer(nn.Sequential):
    """Depthwise and pointwise convolution without padding: gives `dilation` less on each side."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, dilation=dilation, groups=channels),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
        )


class Maps(nn.Module):
    """Statistics of both sources' blocks -> the five maps, all at 1/8 resolution."""

    def __init__(self, channels: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.halo = sum(dilations) + 1  # one more for the enlargement
        blur = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        wide = torch.tensor([math.exp(-0.5 * ((place - WIDE // 2) / REACH) ** 2) for place in range(WIDE)])
        wide = wide / wide.sum()
        self.register_buffer("blur_kernel", torch.outer(blur, blur).repeat(2, 1, 1, 1), persistent=False)
        self.register_buffer("wide_kernel", torch.outer(wide, wide).repeat(LEVELS + 1, 1, 1, 1), persistent=False)
        self.register_buffer("levels", torch.linspace(0, 1, LEVELS).reshape(1, -1, 1, 1), persistent=False)
        self.stem = nn.Conv2d(8 + 6 + 4, channels, 1)
        self.body = nn.Sequential(*(SeparableLayer(channels, dilation) for dilation in dilations))
        self.head = nn.Conv2d(channels, 2 * len(MAPS) + 2, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, statistics: Tensor, vividness: Tensor) -> Tensor:
        """
        Args:
            statistics: N×24×H/8×W/8 in [0, 1]: of infrared, then of visible, what `statistics_kernels` takes.
            vividness: [1] or [N].

        Returns:
            N×5×(H/8+2)×(W/8+2), in the order of `MAPS`, with a halo of one cell for the enlargement.
        """
        quarters, blocks, fine, middle = _scales(statistics)
        bases = self.blur(blocks)
        coarse = self.blur((blocks - bases).abs())
        fine, middle = self.blur(fine), self.blur(middle)

        infrared_base, visible_base = bases.split(1, dim=1)
        darker, brighter = torch.minimum(infrared_base, visible_base), torch.maximum(infrared_base, visible_base)
        lifted = brighter.clamp_min(1e-3) ** LIFT
        equalised, surroundings = self.tones(lifted)
        rank, contrast = equalised - lifted, lifted - surroundings
        # Where the visible image is blinded and the infrared sees something.
        seen = (middle + coarse)[:, :1]
        visible_blocks = blocks[:, 1:]
        blinded = _ramp(visible_blocks, *BLINDED) * _ramp(seen, *SEEN)

        known = [quarters, 8 * fine, 8 * middle, 8 * coarse, lifted, rank, contrast, blinded]
        features = torch.relu(self.stem(torch.cat(known, dim=1)))
        # Replicated once, so that no later convolution pads and the border is not seen as a dark frame.
        corrections = self.head(self.body(_edged(features, self.halo)))
        faithful, change, tone = corrections.split([len(MAPS), len(MAPS), 2], dim=1)
        vivid = vividness.reshape(-1, 1, 1, 1)
        correction = faithful + vivid * change

        skeleton = torch.cat([bases, darker, rank, contrast, lifted, blinded, visible_blocks], dim=1)
        infrared_base, visible_base, darker, rank, contrast, lifted, blinded, light = _edged(skeleton, 1).split(
            1, dim=1
        )
        # Faithful: details above a common low base, which is close to the larger of the sources, pixel by pixel.
        # Vivid: two-scale fusion with a base that is lifted and spread over the local range.
        low = FLOOR * darker
        toned = lifted + (EQUALISE + tone[:, :1]) * rank + (CONTRAST + tone[:, 1:]) * contrast
        ends = torch.cat([low, low, low + SHARED * darker, infrared_base, visible_base, toned], dim=1)
        start, end = ends.split(3, dim=1)
        maps = start + vivid * (end - start)
        # A blinding light becomes a bright base with room for the infrared's details.
        bases, base = maps.split([2, 1], dim=1)
        own = torch.cat([infrared_base, light], dim=1)
        maps = torch.cat([bases + blinded * (own - bases), base + blinded * (BLINDED_LEVEL - base)], dim=1)
        # Corrections are factors: what is dark cannot be pushed below black, however unlike the training scenes it is.
        factors = torch.exp(0.5 * correction)
        gains = GAIN**vivid
        return torch.cat([maps * factors[:, :3], gains * factors[:, 3:]], dim=1)

    def tones(self, lifted: Tensor) -> tuple[Tensor, Tensor]:
        """Rank of each cell's brightness among its wide surroundings (local equalisation), and their mean."""
        # How much of the surroundings is darker than each of a few levels; between them, linearly.
        darker = ((self.levels - lifted) * (LEVELS - 1) + 0.5).clamp(0, 1)
        cells = torch.cat([darker, lifted], dim=1)
        step = STRIDE // BLOCK
        # Whole cells only: a cut one at the lower and right border is filled up by replication.
        cells = functional.avg_pool2d(functional.pad(cells, (0, step - 1) * 2, mode="replicate"), step)
        cells = functional.conv2d(_edged(cells, WIDE // 2), self.wide_kernel, groups=LEVELS + 1)
        cells = functional.interpolate(cells, scale_factor=float(step), mode="bilinear", align_corners=False)
        cells = cells[..., : lifted.shape[2], : lifted.shape[3]]
        near = (1 - (lifted - self.levels).abs() * (LEVELS - 1)).relu()
        return LEVELS * (near * cells[:, :-1]).mean(1, keepdim=True), cells[:, -1:]

    def blur(self, maps: Tensor) -> Tensor:
        return functional.conv2d(_edged(maps, 2), self.blur_kernel, groups=2)


def _scales(statistics: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """N×8 means of the quarters, N×2 of the blocks, mean distance of samples from them and of them from theirs."""
    quarters, blocks, fine, middle = [], [], [], []
    for source in statistics.split(4 * (1 + len(SAMPLES)), dim=1):
        means, *samples = source.split(4, dim=1)
        quarters.append(means)
        blocks.append(means.mean(1, keepdim=True))
        fine.append(torch.cat([(sample - means).abs() for sample in samples], dim=1).mean(1, keepdim=True))
        middle.append((means - blocks[-1]).abs().mean(1, keepdim=True))
    return tuple(torch.cat(parts, dim=1) for parts in (quarters, blocks, fine, middle))


def _ramp(value: Tensor, low: float, high: float) -> Tensor:
    return ((value - low) / (high - low)).clamp(0, 1)


def _edged(maps: Tensor, width: int) -> Tensor:
    return functional.pad(maps, (width,) * 4, mode="replicate")


class Student(nn.Module):
    """Fuses registered luminance; local (no statistics over the frame), any size from 32×32.

    Args:
        channels: width of the low-resolution network.
        dilations: one separable layer each.
    """

    stride = STRIDE

    def __init__(self, channels: int = 40, dilations: tuple[int, ...] = (1, 2, 4, 1)) -> None:
        super().__init__()
        self.maps = Maps(channels, dilations)
        self.register_buffer("statistics_kernel", statistics_kernels(), persistent=False)
        self.register_buffer("blocks_kernel", torch.eye(BLOCK**2).reshape(-1, 1, BLOCK, BLOCK), persistent=False)
        self.register_buffer("enlarge_kernel", bilinear_kernels(BLOCK), persistent=False)

    @property
    def receptive_field(self) -> int:
        """Side, in pixels, of the square of input that one output pixel can depend on."""
        bases = 2 * BLOCK * 2
        wide = bases + STRIDE * (WIDE + 3)  # the cell's own place, and its neighbours by the enlargement
        return max(wide, 2 * bases) + 2 * BLOCK * self.maps.halo

    def forward(self, infrared: Tensor, visible: Tensor, vividness: Tensor) -> Tensor:
        """
        Args:
            infrared, visible: N×1×H×W in [0, 1], registered.
            vividness: [1] or [N], 0 faithful … 1 language-driven.

        Returns:
            Fused luminance, N×1×H×W in [0, 1].
        """
        return self.fuse(infrared, visible, vividness).clamp(0.0, 1.0)

    def fuse(self, infrared: Tensor, visible: Tensor, vividness: Tensor) -> Tensor:
        """As `forward`, not yet clamped: what the losses see."""
        height, width = infrared.shape[2], infrared.shape[3]
        # Enough for any size: the strided convolutions leave out what does not fill a block. Amounts that depended on
        # the size would be shape arithmetic in the exported graph.
        edges = (0, BLOCK - 1, 0, BLOCK - 1)
        sources = [functional.pad(image, edges, mode="replicate") for image in (infrared, visible)]
        infrared, visible = (functional.conv2d(image, self.blocks_kernel, stride=BLOCK) for image in sources)
        statistics = torch.cat([functional.conv2d(x, self.statistics_kernel) for x in (infrared, visible)], dim=1)
        maps = self.maps(statistics, vividness).split(1, dim=1)
        infrared_base, visible_base, base, infrared_gain, visible_gain = (
            functional.conv2d(one, self.enlarge_kernel) for one in maps
        )
        first = infrared_gain * (infrared - infrared_base)
        second = visible_gain * (visible - visible_base)
        # Of two details with one sign the stronger; with opposite signs their sum, which has no jump where they cross.
        fused = base + torch.relu(torch.maximum(first, second)) - torch.relu(-torch.minimum(first, second))
        return functional.pixel_shuffle(fused, BLOCK)[..., :height, :width]
