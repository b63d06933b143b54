"""The teacher: content and style encoders for both sources, and an AdaIN decoder.

Y. Wang et al., arXiv 2402.16267; the form is MUNIT's (Huang et al., ECCV 2018, arXiv 1804.04732).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 8
STYLE = 8
"""Values that each style encoder gives."""


@dataclass(frozen=True, kw_only=True)
class TeacherShape:
    """Attributes:
    width: channels of the first convolution; 16 as published.
    local: normalise each place over its channels and take no style, so that nothing depends on the whole frame.
    """

    width: int = 16
    local: bool = False


class PlaceNorm(nn.Module):
    """Normalises each place over its channels, with a learnt scale and offset for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class AdaptiveInstanceNorm(nn.Module):
    """Instance norm whose scale and offset come from a style (AdaIN, arXiv 1703.06868)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.affine = nn.Sequential(nn.Linear(2 * STYLE, 64), nn.ReLU(), nn.Linear(64, 2 * channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, offset = self.affine(style)[..., None, None].chunk(2, dim=1)
        return functional.instance_norm(x) * (1 + scale) + offset


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, each with its norm."""

    def __init__(self, channels: int, norms: tuple[nn.Module, nn.Module]) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect") for _ in "12")
        self.norms = nn.ModuleList(norms)

    def forward(self, x: Tensor, *style: Tensor) -> Tensor:
        inner = torch.relu(self.norms[0](self.first(x), *style))
        return x + self.norms[1](self.second(inner), *style)


class Teacher(nn.Module):
    """Fuses infrared and visible luminance; any size."""

    def __init__(self, shape: TeacherShape | None = None) -> None:
        super().__init__()
        self.shape = shape or TeacherShape()
        width, local = self.shape.width, self.shape.local
        self.contents = nn.ModuleList(_content_encoder(width, local) for _ in range(2))
        self.styles = nn.ModuleList() if local else nn.ModuleList(_style_encoder(width) for _ in range(2))
        channels = 16 * width
        norm = PlaceNorm if local else AdaptiveInstanceNorm
        self.blocks = nn.ModuleList(ResidualBlock(channels, (norm(channels), norm(channels))) for _ in range(2))
        steps: list[nn.Module] = []
        for _ in range(3):
            steps += [
                _smooth(nn.ConvTranspose2d(channels, channels // 2, 5, stride=2, padding=2, output_padding=1)),
                PlaceNorm(channels // 2) if local else nn.GroupNorm(1, channels // 2),  # one group is layer norm
                nn.ReLU(),
            ]
            channels //= 2
        self.enlarge = nn.Sequential(*steps)
        self.last = nn.Conv2d(channels, 1, 7, padding=3, padding_mode="reflect")
        nn.init.constant_(self.last.bias, 0.4)  # where clamping at 0 would leave no gradient, nothing is learnt

    def forward(self, infrared: Tensor, visible: Tensor) -> Tensor:
        """
        Args:
            infrared, visible: (B, 1, H, W) in [0, 1].

        Returns:
            (B, 1, H, W) in [0, 1].
        """
        height, width = visible.shape[-2:]
        missing = (0, -width % STRIDE, 0, -height % STRIDE)
        sources = [functional.pad(image, missing, mode="replicate") for image in (infrared, visible)]
        x = torch.cat([encode(image) for encode, image in zip(self.contents, sources, strict=True)], dim=1)
        style = () if self.shape.local else (self._style(sources),)
        for block in self.blocks:
            x = block(x, *style)
        return torch.tanh(self.last(self.enlarge(x))).clamp(0, 1)[..., :height, :width]

    def _style(self, sources: list[Tensor]) -> Tensor:
        return torch.cat([encode(image) for encode, image in zip(self.styles, sources, strict=True)], dim=1)


@torch.no_grad()
def _smooth(layer: nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    """Start as a mixture of smoothly enlarged channels: kernels drawn freely leave a grid that is long in going."""
    binomial = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 8  # both phases of a stride of 2 sum to 1
    mixture = torch.empty_like(layer.weight[:, :, :1, :1]).uniform_(-1, 1) / (layer.in_channels / 3) ** 0.5
    layer.weight.mul_(0.25).add_(mixture * torch.outer(binomial, binomial))
    return layer


def _content_encoder(width: int, local: bool) -> nn.Sequential:
    def norm(channels: int) -> nn.Module:
        return PlaceNorm(channels) if local else nn.InstanceNorm2d(channels)

    layers: list[nn.Module] = [nn.Conv2d(1, width, 7, padding=3, padding_mode="reflect"), norm(width), nn.ReLU()]
    for _ in range(3):
        layers += [
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, padding_mode="reflect"),
            norm(2 * width),
            nn.ReLU(),
        ]
        width *= 2
    return nn.Sequential(*layers, *(ResidualBlock(width, (norm(width), norm(width))) for _ in range(2)))


def _style_encoder(width: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(1, width, 7, padding=3, padding_mode="reflect"), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, padding_mode="reflect"), nn.ReLU()]
        width *= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, STYLE, 1), nn.Flatten())
