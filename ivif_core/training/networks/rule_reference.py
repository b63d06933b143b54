"""A fusion by rules: what the student's faithful end is taught, and the student of the first release.

Untrained it needs nothing learned: it is the teacher of vividness 0 (`ivif_core.training.teach_student`). What ships is
`learned_student`, which has no rule. Files of the first release say `local-affine` and are still run by it.

Three maps at 1/4 resolution put two full-resolution sources together:

    fused = offset + infrared_gain · infrared + visible_gain · visible

The rules put scales together, each by its own: a base (σ 8 pixels), details between it and a cell of 4 pixels, and
details inside of a cell. Of details, those of the source count that is more active in the neighbourhood (Burt and
Kolczynski, ICCV 1993), and in case of doubt those of the brighter one; of bases, the brighter, with what the darker one
has of large shapes. A few depthwise-separable layers at 1/8 resolution, zero at the start of training, correct them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_core.models.local_affine import BLOCK, CELL, SAMPLES
from ivif_core.training.networks.learned_student import statistics_kernels, typed
from ivif_core.training.networks.rule_config import RuleConfig

STRIDE = 32
"""Crops at offsets that are multiples of it are fused alike: wide surroundings are seen in cells of this side."""

RULES = RuleConfig()

_CORRECTIONS = ("base", "shapes", "inner_choice", "middle_choice", *["inner_gain"] * 2, *["middle_gain"] * 2)
"""What the network says at 1/8 resolution, once for the faithful end and once for the change towards the vivid one;
gains for infrared and visible."""


def bilinear_kernels() -> Tensor:
    """Weights that enlarge a map of cells bilinearly (half-pixel centres) straight into blocks of 64 channels.

    Returns:
        (64, 1, 4, 4), for a convolution with a stride of 2 and no padding over a map with a halo of one cell.
    """
    cells = BLOCK // CELL
    line = torch.zeros(BLOCK, cells + 2)
    for pixel in range(BLOCK):
        place = (pixel + 0.5) / CELL + 0.5  # of the pixel among the cells' centres, halo included
        left = int(place)
        line[pixel, left], line[pixel, left + 1] = 1 - (place - left), place - left
    return torch.einsum("ia,jb->ijab", line, line).reshape(BLOCK * BLOCK, 1, cells + 2, cells + 2)


class Statistics(nn.Module):
    """A source's blocks of 64 channels -> what `ivif_core.models.local_affine.statistics` gives."""

    def __init__(self) -> None:
        super().__init__()
        # the same weights, for blocks that are channels already
        self.register_buffer("kernels", statistics_kernels().reshape(-1, BLOCK**2, 1, 1), persistent=False)

    def forward(self, blocks: Tensor) -> Tensor:
        """N×64×H/8×W/8 -> N×2×H/4×W/4: mean and activity of each cell."""
        blocks = typed(blocks, self.kernels)
        cells = functional.pixel_shuffle(functional.conv2d(blocks, self.kernels), BLOCK // CELL)
        mean, differences = cells.split([1, len(SAMPLES)], dim=1)
        return torch.cat([mean, differences.abs().mean(1, keepdim=True)], dim=1)


class SeparableLayer(nn.Sequential):
    """Depthwise and pointwise convolution without padding: gives `dilation` less on each side."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, dilation=dilation, groups=channels),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
        )


class Maps(nn.Module):
    """Statistics of both sources' cells -> the three maps, all at 1/4 resolution."""

    def __init__(self, channels: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.halo = sum(dilations)
        blur = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        places = [(place - RULES.wide // 2) / RULES.reach for place in range(RULES.wide)]
        wide = torch.tensor([math.exp(-0.5 * place**2) for place in places])
        wide = wide / wide.sum()
        self.register_buffer("blur_kernel", torch.outer(blur, blur).repeat(2, 1, 1, 1), persistent=False)
        self.register_buffer("wide_kernel", torch.outer(wide, wide).repeat(RULES.ranks + 2, 1, 1, 1), persistent=False)
        self.register_buffer("quarters_kernel", torch.eye(4).reshape(4, 1, 2, 2).repeat(2, 1, 1, 1), persistent=False)
        self.register_buffer("levels", torch.linspace(0, 1, RULES.ranks).reshape(1, -1, 1, 1), persistent=False)
        self.stem = nn.Conv2d(8 + 6 + 5, channels, 1)
        self.body = nn.Sequential(*(SeparableLayer(channels, dilation) for dilation in dilations))
        self.head = nn.Conv2d(channels, 2 * len(_CORRECTIONS) + 2, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, statistics: Tensor, vividness: Tensor) -> Tensor:
        """
        Args:
            statistics: N×4×h×w in [0, 1], infrared's then visible's, as `models.local_affine.statistics`; h, w even.
            vividness: [1] or [N].

        Returns:
            N×3×(h+2)×(w+2), in the order of `MAPS`, with a halo of one cell for the enlargement.
        """
        infrared_mean, infrared_activity, visible_mean, visible_activity = statistics.split(1, dim=1)
        means = torch.cat([infrared_mean, visible_mean], dim=1)
        activities = torch.cat([infrared_activity, visible_activity], dim=1)
        blocks = functional.avg_pool2d(means, 2)
        bases = self.blur(blocks)
        near_bases = _doubled(bases)
        middles = means - near_bases
        inner, middle = self.blur(activities), self.blur(middles.abs())
        contrasts = self.blur(functional.avg_pool2d(middle, 2))
        coarse = self.blur((blocks - bases).abs())

        base, darker = base_with_room(bases, contrasts)
        lifted = base.clamp_min(1e-3) ** RULES.lift
        equalised, surroundings, far = self.surroundings(lifted, darker)
        rank, contrast, shapes = equalised - lifted, lifted - surroundings, darker - far
        quarters = functional.conv2d(means, self.quarters_kernel, stride=2, groups=2)
        known = [quarters, 8 * functional.avg_pool2d(inner, 2), 8 * contrasts, 8 * coarse]
        vivid = vividness.reshape(-1, 1, 1, 1)
        correction, tone = self.corrections(torch.cat([*known, base, lifted, rank, contrast, shapes], dim=1), vivid)

        toned = lifted + (RULES.equalise + tone[:, :1]) * rank + (RULES.contrast + tone[:, 1:]) * contrast
        toned = torch.maximum(toned, RULES.kept * lifted)
        # Factors, not terms: what is dark cannot be pushed below black, however unlike the training scenes it is.
        base = (base + vivid * (toned - base)) * torch.exp(0.5 * correction[:, :1])
        clear = torch.relu(shapes - RULES.faint) - torch.relu(-shapes - RULES.faint)
        shapes = (RULES.shapes * (1 + vivid) + correction[:, 1:2]) * clear
        base, trust = below_white(base + shapes, contrasts, vivid)
        # How bright both sources are at most, around; the vivid end may be brighter.
        peak = torch.maximum(*(means + activities).split(1, dim=1))
        ceiling = functional.max_pool2d(_edged(functional.max_pool2d(peak, 2), 1), 3, stride=1) + vivid

        at_blocks = [base, shapes, trust, ceiling, correction[:, 2:4], torch.exp(0.5 * correction[:, 4:])]
        base, shapes, trust, ceiling, bias, gains = _doubled(torch.cat(at_blocks, dim=1)).split([1, 1, 1, 1, 2, 4], 1)
        inner_weights = detail_weights(inner, means, bias[:, :1])
        middle_weights = detail_weights(middle, near_bases, bias[:, 1:])
        inner_gains, middle_gains = gains.split(2, dim=1)
        inner_gains = inner_gains * inner_weights * (1 + RULES.inner_gain * vivid * _loud(inner))
        middle_gains = middle_gains * middle_weights * (1 + RULES.middle_gain * vivid * _loud(middle))
        middle_level = base + _sum(middle_gains * middles)
        larger = torch.maximum(infrared_mean, visible_mean) + shapes
        level = middle_level + RULES.larger * (1 - vivid) * trust * (larger - middle_level)
        level = torch.minimum(level, ceiling - _sum(inner_weights * activities))
        return _edged(torch.cat([level - _sum(inner_gains * means), inner_gains], dim=1), 1)

    def corrections(self, known: Tensor, vivid: Tensor) -> tuple[Tensor, Tensor]:
        """What the trained layers say: `_CORRECTIONS` at this vividness, N×8×H×W, and of the tones, N×2×H×W."""
        features = torch.relu(self.stem(typed(known, self.stem.weight)))
        # Replicated once, so that no later convolution pads and the border is not seen as a dark frame.
        corrections = typed(self.head(self.body(_edged(features, self.halo))), known)
        faithful, change, tone = corrections.split([len(_CORRECTIONS), len(_CORRECTIONS), 2], dim=1)
        return faithful + vivid * change, tone

    def surroundings(self, lifted: Tensor, darker: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each block's wide surroundings: the rank of its brightness among them (local equalisation), the mean
        brightness, and the mean of `darker`."""
        # How much of the surroundings is darker than each of a few levels; between them, linearly.
        below = ((self.levels - lifted) * (RULES.ranks - 1) + 0.5).clamp(0, 1)
        cells = torch.cat([below, lifted, darker], dim=1)
        step = STRIDE // BLOCK
        # Whole cells only: a cut one at the lower and right border is filled up by replication.
        cells = functional.avg_pool2d(functional.pad(cells, (0, step - 1) * 2, mode="replicate"), step)
        cells = functional.conv2d(_edged(cells, RULES.wide // 2), self.wide_kernel, groups=RULES.ranks + 2)
        cells = functional.interpolate(cells, scale_factor=float(step), mode="bilinear", align_corners=False)
        below, *means = cells[..., : lifted.shape[2], : lifted.shape[3]].split([RULES.ranks, 1, 1], dim=1)
        near = (1 - (lifted - self.levels).abs() * (RULES.ranks - 1)).relu()
        return RULES.ranks * (near * below).mean(1, keepdim=True), *means

    def blur(self, maps: Tensor) -> Tensor:
        return functional.conv2d(_edged(maps, 2), self.blur_kernel, groups=2)


def base_with_room(bases: Tensor, contrasts: Tensor) -> tuple[Tensor, Tensor]:
    """The brighter base, lowered towards the darker one where that one has the larger details; and the darker one.

    A bright base under another source's details would leave both sources' range, or the range of the image: where one
    camera is blinded (a headlamp, a hot wall), what the other one sees needs room.

    Args:
        bases, contrasts: N×2×H×W in [0, 1], infrared and visible.
    """
    infrared, visible = bases.split(1, dim=1)
    brighter, darker = torch.maximum(infrared, visible), torch.minimum(infrared, visible)
    # Goes from one source's contrast to the other's without a jump where the bases cross.
    missing = contrasts[:, 1:] - contrasts[:, :1]
    needed = (missing * torch.tanh(32 * (infrared - visible))).relu()
    return torch.maximum(darker, brighter - RULES.room * needed), darker


def below_white(base: Tensor, contrasts: Tensor, vivid: Tensor) -> tuple[Tensor, Tensor]:
    """The base, low enough for the details that will stand on it; and how far the larger source is to be trusted.

    Where even the details of a nearly white base need room, the larger source is one that sees nothing.

    Args:
        base: N×1×H×W.
        contrasts: N×2×H×W in [0, 1], infrared and visible.
        vivid: N×1×1×1.

    Returns:
        N×1×H×W each; the trust in [0, 1].
    """
    headroom = (RULES.headroom + RULES.more_headroom * vivid) * torch.maximum(*contrasts.split(1, dim=1))
    excess = (base - 1 + headroom).relu()
    return base - excess, (1 - RULES.blinded * excess).clamp(0, 1)


def detail_weights(activities: Tensor, levels: Tensor, bias: Tensor) -> Tensor:
    """How far each source's details count: near 1 for the more active source, and in case of doubt for the brighter.

    Args:
        activities, levels: N×2×H×W in [0, 1], infrared and visible.
        bias: N×1×H×W, log-odds in favour of the infrared.

    Returns:
        N×2×H×W, together 1.
    """
    infrared, visible = (RULES.choice * torch.log(activities + RULES.quiet)).split(1, dim=1)
    infrared_level, visible_level = levels.split(1, dim=1)
    brighter = RULES.doubt * torch.tanh((infrared_level - visible_level) / RULES.alike)
    choice = torch.sigmoid(infrared - visible + brighter + bias)
    return torch.cat([choice, 1 - choice], dim=1)


def _loud(activities: Tensor) -> Tensor:
    """N×2 -> N×1: 0 where there is at most noise … 1 where a source has details."""
    loud = torch.maximum(*activities.split(1, dim=1))
    return loud / (loud + RULES.noise)


def _sum(both: Tensor) -> Tensor:
    """N×2 -> N×1."""
    infrared, visible = both.split(1, dim=1)
    return infrared + visible


def _doubled(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def _edged(maps: Tensor, width: int) -> Tensor:
    return functional.pad(maps, (width,) * 4, mode="replicate")


class RuleReference(nn.Module):
    """Fuses registered luminance; local (no statistics over the frame), any size from 32×32.

    Args:
        channels: width of the low-resolution network.
        dilations: one separable layer each.

    Attributes:
        config: the arguments, as an exported file keeps them.
    """

    stride = STRIDE

    def __init__(self, channels: int = 32, dilations: tuple[int, ...] = (1, 2, 4, 1)) -> None:
        super().__init__()
        self.config = {"channels": channels, "dilations": list(dilations)}
        self.maps = Maps(channels, dilations)
        self.statistics = Statistics()
        self.register_buffer("blocks_kernel", torch.eye(BLOCK**2).reshape(-1, 1, BLOCK, BLOCK), persistent=False)
        self.register_buffer("enlarge_kernel", bilinear_kernels(), persistent=False)

    @property
    def receptive_field(self) -> int:
        """Side, in pixels, of the square of input that one output pixel can depend on."""
        reach = 3 * 2  # blocks to each side: of the bases, of contrasts between them, of those blurred again
        wide = STRIDE * (RULES.wide + 3)  # a block's own place, and its neighbours by the enlargement
        return 2 * BLOCK * (reach + self.maps.halo + 2) + wide

    def lower_precision(self) -> RuleReference:
        """Full resolution and trained layers in float16, the rules in float32: they cost next to nothing, but magnify
        rounding. Takes and gives float16 from then on."""
        self.half()
        for rules in (self.statistics, self.maps):
            rules.float()
        for trained in (self.maps.stem, self.maps.body, self.maps.head):
            trained.half()
        return self

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
        statistics = torch.cat([self.statistics(infrared), self.statistics(visible)], dim=1)
        offset, infrared_gain, visible_gain = (
            functional.conv2d(one, self.enlarge_kernel, stride=BLOCK // CELL)
            for one in typed(self.maps(statistics, vividness), infrared).split(1, dim=1)
        )
        fused = offset + infrared_gain * infrared + visible_gain * visible
        return functional.pixel_shuffle(fused, BLOCK)[..., :height, :width]
