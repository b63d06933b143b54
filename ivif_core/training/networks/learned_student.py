"""The student: a small network that says how two full-resolution sources are put together.

At full resolution there are two multiplications and two additions a pixel:

    fused = offset + infrared_gain · infrared + visible_gain · visible

The three maps are a local affine model (guided filter: He et al., TPAMI 2013; bilateral learning: Gharbi et al.,
SIGGRAPH 2017) of one number a cell. All of it is learned, without a rule: a network at 1/2 of the cells' resolution
with a branch at 1/8 of it reads means and activities of the cells. At vividness 0 gains are between 0 and 1, so that
nothing is added that neither source has; towards 1 they are signed, so that a teacher may turn polarity or hide a
source. Nothing is computed over the whole frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_core.models.local_affine import BLOCK, CELL, SAMPLES, reduction_of

STRIDE = 32
"""Crops at offsets that are multiples of it, times the reduction, are fused alike: the branch sees cells of it."""

SHRUNK = STRIDE // BLOCK
"""Of the branch, against the body: side of what is averaged."""


def statistics_kernels() -> Tensor:
    """Weights that take a block of 8×8 pixels to the means of its cells and how samples differ from them.

    Returns:
        (20, 1, 8, 8): four means, then four differences of each sample; cells row by row.
    """
    cells = BLOCK // CELL
    kernels = torch.zeros(1 + len(SAMPLES), cells, cells, BLOCK, BLOCK)
    for row in range(cells):
        for column in range(cells):
            own = kernels[:, row, column, row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            own[:] = -1 / CELL**2
            own[0] = 1 / CELL**2
            for index, (down, right) in enumerate(SAMPLES, start=1):
                own[index, down, right] += 1.0
    return kernels.reshape(-1, 1, BLOCK, BLOCK)


FAITHFUL = ("lift", "lower", "larger_gain", "smaller_gain", "infrared_gain", "visible_gain")
VIVID = ("offset", "infrared_mean_gain", "visible_mean_gain", "infrared_gain", "visible_gain")
"""What the network says of every cell, of vividness 0 and of 1: an offset, gains of both means of the cell (at 0 of the
larger and of the smaller one), and gains of what is finer."""


class Statistics(nn.Module):
    """An image -> what `ivif_core.models.local_affine.statistics` gives of it, reduced."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernels", statistics_kernels(), persistent=False)

    def forward(self, image: Tensor, reduction: int = 1) -> Tensor:
        """N×1×H×W in [0, 1] -> N×2×h×w: mean and activity of each cell of 4 pixels of the reduced image."""
        # Enough for any size: the strided convolution leaves out what does not fill a block. Amounts that depended on
        # the size would be shape arithmetic in the exported graph.
        edges = (0, BLOCK * reduction - 1, 0, BLOCK * reduction - 1)
        image = functional.pad(typed(image, self.kernels), edges, mode="replicate")
        if reduction > 1:
            image = functional.avg_pool2d(image, reduction)
        cells = functional.pixel_shuffle(functional.conv2d(image, self.kernels, stride=BLOCK), BLOCK // CELL)
        mean, differences = cells.split([1, len(SAMPLES)], dim=1)
        return torch.cat([mean, differences.abs().mean(1, keepdim=True)], dim=1)


class ResidualLayer(nn.Module):
    """Adds to its input what a depthwise and a pointwise convolution make of it.

    The border is replicated: zeros would tell the network where the frame ends, and it would learn to frame its images.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.depthwise = nn.Conv2d(channels, channels, 3, dilation=dilation, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        edged = functional.pad(x, (self.dilation,) * 4, mode="replicate")
        return functional.relu(x + self.pointwise(functional.relu(self.depthwise(edged))))


class Maps(nn.Module):
    """Statistics of both sources' cells -> the three maps, one number a cell."""

    def __init__(
        self, channels: int, dilations: tuple[int, ...], wide_channels: int, wide_dilations: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.reach = sum(dilations), sum(wide_dilations)
        # Four cells of a block as four channels; a convolution, which every runtime has.
        self.register_buffer("quarters", torch.eye(4).reshape(4, 1, 2, 2).repeat(4, 1, 1, 1), persistent=False)
        self.stem = nn.Conv2d(16, channels, 1)
        self.to_wide = nn.Conv2d(channels, wide_channels, 1)
        self.wide = nn.Sequential(*(ResidualLayer(wide_channels, dilation) for dilation in wide_dilations))
        self.from_wide = nn.Conv2d(wide_channels, channels, 1)
        self.body = nn.Sequential(*(ResidualLayer(channels, dilation) for dilation in dilations))
        self.mix = nn.Conv2d(channels + 16, channels + 16, 1)
        self.head = nn.Conv2d(channels + 16, 4 * (len(FAITHFUL) + len(VIVID)), 1)
        nn.init.zeros_(self.head.weight)
        bias = torch.full((self.head.out_channels,), 0.5)  # untrained, it gives the average of both sources
        bias[:8] = 0.02  # not 0, where neither part of the offset would have a gradient
        bias[24:28] = 0
        self.head.bias = nn.Parameter(bias)

    def forward(self, statistics: Tensor, vividness: Tensor) -> Tensor:
        """
        Args:
            statistics: N×4×h×w in [0, 1], infrared's then visible's, as `models.local_affine.statistics`; h, w even.
            vividness: [1] or [N].

        Returns:
            N×3×(h+2)×(w+2), in the order of `MAPS`, with a halo of one cell for the enlargement.
        """
        faithful, vivid = self.both(statistics)
        return functional.pad(
            faithful + vividness.reshape(-1, 1, 1, 1) * (vivid - faithful), (1,) * 4, mode="replicate"
        )

    def both(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """The maps at vividness 0 and at 1, N×3×h×w each, without halo.

        What is finer than a cell has one gain for each source, and what is coarser another one, so that contrast can
        be raised where noise is not: a cell's mean has a quarter of its pixels' noise.

        Each bound is reached exactly: a source that is to be let through is, to the level. A network that has to
        choose between two levels by its own means is a little off, and differently so in every cell.
        """
        faithful, vivid = functional.pixel_shuffle(self.numbers(statistics), 2).split([len(FAITHFUL), len(VIVID)], 1)
        means = infrared, visible = statistics[:, :1], statistics[:, 2:3]
        lift, lower = functional.relu(faithful[:, :2]).split(1, dim=1)
        of_means, gains = faithful[:, 2:].clamp(0, 1).split(2, dim=1)
        sorted_means = torch.maximum(infrared, visible), torch.minimum(infrared, visible)
        return (
            _maps(_sum(of_means, sorted_means) + lift - lower, gains, means),
            _maps(_sum(vivid[:, 1:3], means) + vivid[:, :1], vivid[:, 3:], means),
        )

    def numbers(self, statistics: Tensor) -> Tensor:
        """`FAITHFUL` and `VIVID` of every cell, four cells a block: N×44×h/2×w/2."""
        infrared, infrared_activity, visible, visible_activity = statistics.split(1, dim=1)
        means = torch.cat([infrared, visible], dim=1)
        # Logarithms: which source has more detail, and by how much, is a matter of ratios.
        loudness = torch.log(torch.cat([infrared_activity, visible_activity], dim=1) + 1 / 255)
        cells = torch.cat([means - 0.5, 0.25 * loudness + 1], dim=1)
        known = functional.conv2d(cells, self.quarters, stride=2, groups=cells.shape[1])
        known = typed(known, self.stem.weight)
        features = functional.relu(self.stem(known))
        height, width = features.shape[2:]
        edges = (0, SHRUNK - 1, 0, SHRUNK - 1)
        shrunk = functional.avg_pool2d(functional.pad(features, edges, mode="replicate"), SHRUNK)
        wide = self.from_wide(self.wide(functional.relu(self.to_wide(shrunk))))
        wide = functional.interpolate(wide, scale_factor=float(SHRUNK), mode="bilinear", align_corners=False)
        features = functional.relu(features + wide[..., :height, :width])
        # Once more what is known of each cell, since what is learned about a block is to be decided cell by cell.
        features = functional.relu(self.mix(torch.cat([self.body(features), known], dim=1)))
        return typed(self.head(features), statistics)

    def trained(self) -> tuple[nn.Module, ...]:
        """What has weights."""
        return self.stem, self.to_wide, self.wide, self.from_wide, self.body, self.mix, self.head


def _sum(gains: Tensor, images: tuple[Tensor, Tensor]) -> Tensor:
    """N×2 gains of two N×1 images -> N×1."""
    return gains[:, :1] * images[0] + gains[:, 1:] * images[1]


def _maps(levels: Tensor, gains: Tensor, means: tuple[Tensor, Tensor]) -> Tensor:
    """The maps that give a cell these levels, N×1×h×w, and these gains of details, N×2×h×w."""
    return torch.cat([levels - _sum(gains, means), gains], dim=1)


class LearnedStudent(nn.Module):
    """Fuses registered luminance; local (no statistics over the frame), any size from 32×32.

    Args:
        channels, dilations: of the body, one residual layer for each dilation.
        wide_channels, wide_dilations: of the branch.
    """

    stride = STRIDE

    def __init__(
        self,
        channels: int = 32,
        dilations: tuple[int, ...] = (1, 2, 4, 1),
        wide_channels: int = 32,
        wide_dilations: tuple[int, ...] = (1, 2, 4, 4, 2, 1),
    ) -> None:
        super().__init__()
        self.config = {
            "channels": channels,
            "dilations": dilations,
            "wide_channels": wide_channels,
            "wide_dilations": wide_dilations,
        }
        self.maps = Maps(channels, dilations, wide_channels, wide_dilations)
        self.of_cells = Statistics()

    @property
    def receptive_field(self) -> int:
        """Side, in pixels of the reduced image, of the square of input that one output pixel can depend on."""
        near, far = self.maps.reach
        return 2 * (BLOCK * (near + 1) + STRIDE * (far + 2))

    def forward(self, infrared: Tensor, visible: Tensor, vividness: Tensor) -> Tensor:
        """
        Args:
            infrared, visible: N×1×H×W in [0, 1], registered.
            vividness: [1] or [N], 0 faithful … 1 language-driven.

        Returns:
            Fused luminance, N×1×H×W in [0, 1].
        """
        # A plain number when this is exported, too: a graph has the cells of the size it was traced with.
        reduction = reduction_of(tuple(int(side) for side in infrared.shape[2:]))
        return self.fuse(infrared, visible, vividness, reduction).clamp(0.0, 1.0)

    def lower_precision(self) -> LearnedStudent:
        """Full resolution and trained layers in float16, the rest at the cells' resolution in float32: it costs next to
        nothing, but magnifies rounding. Takes and gives float16 from then on."""
        self.half()
        self.of_cells.float()
        self.maps.float()
        for trained in self.maps.trained():
            trained.half()
        return self

    def fuse(self, infrared: Tensor, visible: Tensor, vividness: Tensor, reduction: int = 1) -> Tensor:
        """As `forward`, not yet clamped.

        Args:
            reduction: by how much the network sees the frame smaller: cells have a side of `CELL` times it.
        """
        maps = self.maps(self.statistics(infrared, visible, reduction), vividness)
        return apply(maps, infrared, visible, CELL * reduction)

    def both_maps(self, infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """The maps at vividness 0 and at 1, N×3×h×w each, without halo: what the losses see."""
        return self.maps.both(self.statistics(infrared, visible))

    def statistics(self, infrared: Tensor, visible: Tensor, reduction: int = 1) -> Tensor:
        """What `Maps` takes, of both sources."""
        return torch.cat([self.of_cells(image, reduction) for image in (infrared, visible)], dim=1)


def apply(maps: Tensor, infrared: Tensor, visible: Tensor, cell: int) -> Tensor:
    """The local affine model: maps with a halo of one cell, enlarged bilinearly, on both sources."""
    height, width = infrared.shape[2:]
    maps = functional.interpolate(typed(maps, infrared), scale_factor=float(cell), mode="bilinear", align_corners=False)
    offset, infrared_gain, visible_gain = maps[..., cell:, cell:][..., :height, :width].split(1, dim=1)
    return offset + infrared_gain * infrared + visible_gain * visible


def typed(values: Tensor, like: Tensor) -> Tensor:
    """In the precision of `like`; nothing is traced where they are the same."""
    return values if values.dtype == like.dtype else values.to(like.dtype)
