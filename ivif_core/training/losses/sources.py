"""The measures of `ivif_core.training.losses.structure` for one pair of sources and many fused images.

What a measure needs of the sources is worked out once, and without gradients; that is half of its time.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from ivif_core.training.losses import structure
from ivif_core.training.losses.structure import box_mean, local_deviation


class Sources:
    """A registered pair, B×1×H×W in [0, 1]; every method takes fused images of that shape and gives (B,)."""

    def __init__(self, infrared: Tensor, visible: Tensor) -> None:
        self.infrared, self.visible = infrared, visible
        self.both = (infrared, visible)

    def edge_transfer(self, fused: Tensor) -> Tensor:
        """As `structure.edge_transfer`."""
        return structure.edges_kept(structure.edge_field(fused), self._edges)

    def visual_information(self, fused: Tensor) -> Tensor:
        """As `structure.visual_information`."""
        return structure.information_kept(fused, self._pyramids)

    def noise_excess(self, fused: Tensor, gain: float, flat: float = 4 / 255) -> Tensor:
        """As `structure.noise_excess`."""
        where = (self._deviation < flat).float()
        excess = (local_deviation(fused) - gain * self._deviation.clamp_min(1 / 255)).relu()
        return (255 * where * excess).sum((1, 2, 3)) / where.sum((1, 2, 3)).clamp_min(1000)

    def glare_loss(self, fused: Tensor, share: float) -> Tensor:
        """As `structure.glare_loss`."""
        if not self._blinded:
            return 0 * fused.mean((1, 2, 3))
        contrast = fused - box_mean(fused, 15)
        lost = [structure.contrast_lost(contrast, where, share * seen) for where, seen in self._blinded]
        return torch.stack(lost).sum(0)

    @cached_property
    @torch.no_grad()
    def _edges(self) -> list[tuple[Tensor, Tensor]]:
        return [structure.edge_field(image) for image in self.both]

    @cached_property
    @torch.no_grad()
    def _pyramids(self) -> list[list[tuple[Tensor, Tensor, Tensor]]]:
        return [structure.reference_pyramid(image) for image in self.both]

    @cached_property
    @torch.no_grad()
    def _deviation(self) -> Tensor:
        return torch.maximum(*(local_deviation(image) for image in self.both))

    @cached_property
    @torch.no_grad()
    def _blinded(self) -> list[tuple[Tensor, Tensor]]:
        """Where a source is blinded anywhere, and the other one's local contrast."""
        areas = ((structure.blinded(one), other) for one, other in (self.both[::-1], self.both))
        return [(where, seen - box_mean(seen, 15)) for where, seen in areas if where.any()]
