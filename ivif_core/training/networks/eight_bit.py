"""What stands around a student so that images are 8-bit: scaling and rounding, luminance and recomposition."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

PEDESTAL = 16.0
"""Levels added before dividing by luminance, as in `imaging.colour.recompose`."""


class FromGrey(nn.Module):
    """uint8 infrared and visible luminance, N×1×H×W -> both in [0, 1], in `dtype`."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        return infrared.to(self.dtype) * (1 / 255), visible.to(self.dtype) * (1 / 255)


class ToGrey(nn.Module):
    """Fused luminance in [0, 1], N×1×H×W -> uint8."""

    def forward(self, fused: Tensor) -> Tensor:
        return torch.floor(fused * 255.0 + 0.5).to(torch.uint8)


class Luminance(nn.Module):
    """N×3×H×W BGR levels -> N×1×H×W whole levels, as `imaging.colour.luminance`; exact in float32 only."""

    def __init__(self) -> None:
        super().__init__()
        self.bt601: Tensor
        weights = torch.tensor([0.114, 0.587, 0.299]).reshape(1, 3, 1, 1)
        self.register_buffer("bt601", weights, persistent=False)

    def forward(self, bgr: Tensor) -> Tensor:
        return torch.floor(functional.conv2d(bgr, self.bt601) + 0.5)


class FromColour(nn.Module):
    """uint8 infrared N×1×H×W and visible N×H×W×3 BGR -> both luminances in [0, 1], and what recomposition needs."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        self.luminance = Luminance()

    def forward(self, infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns infrared, visible luminance; visible luminance and BGR in levels, N×1×H×W and N×3×H×W."""
        bgr = visible.float().permute(0, 3, 1, 2)
        visible_y = self.luminance(bgr).to(self.dtype)
        return infrared.to(self.dtype) * (1 / 255), visible_y * (1 / 255), visible_y, bgr.to(self.dtype)


class ToColour(nn.Module):
    """Fused luminance with the visible's chrominance, as `imaging.colour.recompose`, rounded where OpenCV rounds."""

    def forward(self, fused: Tensor, visible_y: Tensor, bgr: Tensor) -> Tensor:
        """
        Args:
            fused: N×1×H×W in [0, 1].
            visible_y, bgr: in levels, N×1×H×W and N×3×H×W.

        Returns:
            uint8 N×H×W×3 BGR.
        """
        change = torch.floor(fused * 255.0 + 0.5) - visible_y
        gain = torch.minimum(torch.relu(change), visible_y) / torch.clamp(visible_y + PEDESTAL, max=255.0)
        lift = torch.floor(gain * 255.0 + 0.5) * (1 / 255)
        chrominance = torch.floor(bgr * lift + 0.5) - torch.floor(visible_y * lift + 0.5)
        return (bgr + (change + chrominance)).clamp(0.0, 255.0).permute(0, 2, 3, 1).to(torch.uint8)


class EightBit(nn.Module):
    """A student between 8-bit luminance; what is asked of it, such as vividness, goes through."""

    def __init__(self, student: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.before, self.student, self.after = FromGrey(dtype), student, ToGrey()

    def forward(self, infrared: Tensor, visible: Tensor, *asked: Tensor) -> Tensor:
        fused: Tensor = self.after(self.student(*self.before(infrared, visible), *asked))
        return fused


class InColour(nn.Module):
    """A student between 8-bit infrared and BGR visible, and BGR fused."""

    def __init__(self, student: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.before, self.student, self.after = FromColour(dtype), student, ToColour()

    def forward(self, infrared: Tensor, visible: Tensor, *asked: Tensor) -> Tensor:
        first, second, *kept = self.before(infrared, visible)
        fused: Tensor = self.after(self.student(first, second, *asked), *kept)
        return fused


class Floats(nn.Module):
    """A student in another precision between float32 images."""

    def __init__(self, student: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.student, self.dtype = student, dtype

    def forward(self, infrared: Tensor, visible: Tensor, *asked: Tensor) -> Tensor:
        fused: Tensor = self.student(infrared.to(self.dtype), visible.to(self.dtype), *asked)
        return fused.float()
