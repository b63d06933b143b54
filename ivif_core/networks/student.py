"""The student: a low-resolution network that corrects a two-scale fusion of full-resolution sources.

Everything at full resolution is a handful of element-wise operations in a space-to-depth layout (blocks of 8×8 pixels
as 64 channels), so the cost stays small at any size:

    fused = base + stronger(gain_infrared · (infrared − base_infrared), gain_visible · (visible − base_visible))

The five maps come from 1/8 resolution: blurred block means and their maximum (the classic skeleton: Burt and
Kolczynski, ICCV 1993), each corrected by a few depthwise-separable layers that start at zero, so that training starts
from two-scale fusion (low-resolution coefficients applied at full resolution: Gharbi et al., SIGGRAPH 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 8
"""Blocks of this side; crops at offsets that are multiples of it are fused alike."""

MAPS = 5
FLOOR, LIFT = 0.6, 0.6


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


class SeparableLayer(nn.Sequential):
    """Depthwise and pointwise convolution without padding: gives `dilation` less on each side."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, dilation=dilation, groups=channels),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
        )


class Student(nn.Module):
    """Fuses registered luminance; local (no statistics over the frame), any size from 32×32.

    Args:
        channels: width of the low-resolution network.
        dilations: one separable layer each.
    """

    stride = STRIDE

    def __init__(self, channels: int = 40, dilations: tuple[int, ...] = (1, 2, 4, 1)) -> None:
        super().__init__()
        self.halo = sum(dilations) + 1
        self.register_buffer("blocks_kernel", torch.eye(STRIDE**2).reshape(-1, 1, STRIDE, STRIDE), persistent=False)
        self.register_buffer("enlarge_kernel", bilinear_kernels(STRIDE), persistent=False)
        line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        self.register_buffer("blur_kernel", torch.outer(line, line).expand(2, 1, 5, 5).clone(), persistent=False)
        self.stem = nn.Conv2d(2 * STRIDE**2, channels, 1)
        self.body = nn.Sequential(*(SeparableLayer(channels, dilation) for dilation in dilations))
        self.head = nn.Conv2d(channels, 2 * MAPS, 1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():  # the vivid end starts with stronger detail
            self.head.bias.copy_(torch.tensor([0.0] * (2 * MAPS - 2) + [0.4, 0.4]))

    @property
    def receptive_field(self) -> int:
        """Side, in pixels, of the square of input that one output pixel can depend on."""
        return STRIDE * (2 * self.halo + 1)

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
        # Enough for any size: the strided convolution leaves out what does not fill a block. Amounts that depended on
        # the size would be shape arithmetic in the exported graph.
        edges = (0, STRIDE - 1, 0, STRIDE - 1)
        infrared_blocks = self.to_blocks(functional.pad(infrared, edges, mode="replicate"))
        visible_blocks = self.to_blocks(functional.pad(visible, edges, mode="replicate"))
        fused = self.fuse_blocks(infrared_blocks, visible_blocks, vividness)
        return functional.pixel_shuffle(fused, STRIDE)[..., :height, :width]

    def to_blocks(self, image: Tensor) -> Tensor:
        """N×1×H×W -> N×64×H/8×W/8. A strided convolution: runtimes do it faster than a transpose."""
        return functional.conv2d(image, self.blocks_kernel, stride=STRIDE)

    def fuse_blocks(self, infrared: Tensor, visible: Tensor, vividness: Tensor) -> Tensor:
        """Fused luminance in space-to-depth layout, not yet clamped."""
        infrared_base, visible_base, base, infrared_gain, visible_gain = (
            functional.conv2d(one, self.enlarge_kernel) for one in self.maps(infrared, visible, vividness)
        )
        first = infrared_gain * (infrared - infrared_base)
        second = visible_gain * (visible - visible_base)
        # Of two details with one sign the stronger; with opposite signs their sum, which has no jump where they cross.
        return base + torch.relu(torch.maximum(first, second)) - torch.relu(-torch.minimum(first, second))

    def maps(self, infrared: Tensor, visible: Tensor, vividness: Tensor) -> list[Tensor]:
        """The five maps at 1/8 resolution, each N×1×(H/8+2)×(W/8+2): a halo of one for the enlargement."""
        both = torch.cat([infrared, visible], dim=1)
        features = torch.relu(self.stem(both))
        # Replicated once, so that no later convolution pads and the border is not seen as a dark frame.
        corrections = self.head(self.body(functional.pad(features, (self.halo,) * 4, mode="replicate")))
        faithful, change = corrections.chunk(2, dim=1)
        correction = (faithful + vividness.reshape(-1, 1, 1, 1) * change).chunk(MAPS, dim=1)
        means = torch.cat([infrared.mean(1, keepdim=True), visible.mean(1, keepdim=True)], dim=1)
        bases = functional.conv2d(functional.pad(means, (3,) * 4, mode="replicate"), self.blur_kernel, groups=2)
        infrared_base, visible_base = bases.chunk(2, dim=1)
        darker, brighter = torch.minimum(infrared_base, visible_base), torch.maximum(infrared_base, visible_base)
        # Faithful skeleton: details above a common low base, which is close to the larger of the sources, pixel by
        # pixel. Vivid skeleton: two-scale fusion with a lifted base.
        floor = FLOOR * darker
        lifted = brighter.clamp_min(1e-3) ** LIFT
        vivid = vividness.reshape(-1, 1, 1, 1)
        # Corrections are factors: what is dark cannot be pushed below black, however unlike the training scenes it is.
        factors = [torch.exp(0.5 * one) for one in correction]
        return [
            (floor + vivid * (infrared_base - floor)) * factors[0],
            (floor + vivid * (visible_base - floor)) * factors[1],
            (floor + vivid * (lifted - floor)) * factors[2],
            factors[3],
            factors[4],
        ]
