"""What the student is taught: faithful to both sources at vividness 0, the language-driven teacher's look at 1.

The measures of `training.losses.structure` are the goals and the guards at both ends; at the vivid end the teacher
guides by similarity and by edges, while its faults (grid, halos, seam, amplified noise, brightness that follows the
whole frame) are not followed: they are against the sources' edges, or cost by a guard.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ivif_core.training.losses import structure


@dataclass(frozen=True, kw_only=True)
class FaithfulWeights:
    """Weights of the faithful end; `noise_gain` and `glare_share` are the guards' limits."""

    edges: float = 7.0
    information: float = 3.0
    differences: float = 10.0
    anchor: float = 80.0
    overshoot: float = 200.0
    noise: float = 0.005
    noise_gain: float = 1.05
    glare: float = 3.0
    glare_share: float = 0.65


@dataclass(frozen=True, kw_only=True)
class VividWeights:
    """Weights of the vivid end. `deviation` and `entropy` are asked for up to `deviation_goal` and `entropy_goal`,
    `clarity` up to `clarity_gain` times the stronger source's gradients."""

    similarity: float = 2.0
    teacher_edges: float = 2.0
    teacher_pixels: float = 3.0
    edges: float = 8.0
    information: float = 6.0
    differences: float = 11.0
    clarity: float = 10.5
    clarity_gain: float = 1.7
    tone: float = 20.0
    deviation: float = 20.0
    deviation_goal: float = 0.26
    entropy: float = 18.0
    entropy_goal: float = 7.8
    noise: float = 4.0
    noise_gain: float = 1.5
    glare: float = 0.03
    glare_share: float = 0.7
    warm: float = 20.0


def faithful_loss(
    fused: Tensor, infrared: Tensor, visible: Tensor, anchor: Tensor, weights: FaithfulWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of the faithful end.

    Args:
        fused, infrared, visible: B×1×H×W in [0, 1]; the sources without the cameras' faults.
        anchor: what the untrained skeleton makes of them. The measures reward different looks on different data; it
            keeps what is learned on one set near what is good on all.

    Returns:
        The loss and its parts, all scalars, parts before weighting.
    """
    parts = {
        "edges": 1 - structure.edge_transfer(fused, infrared, visible),
        "information": 1 - structure.visual_information(fused, infrared, visible) / 2,
        "differences": 1 - structure.difference_correlation(fused, infrared, visible) / 2,
        "anchor": (fused - anchor).abs().mean((1, 2, 3)),
        "overshoot": structure.overshoot(fused, infrared, visible),
        "noise": structure.noise_excess(fused, infrared, visible, weights.noise_gain),
        "glare": structure.glare_loss(fused, infrared, visible, weights.glare_share),
    }
    return _weighted(parts, weights)


def vivid_loss(
    fused: Tensor,
    faithful: Tensor,
    infrared: Tensor,
    visible: Tensor,
    anchor: Tensor,
    teacher: Tensor | None,
    weights: VividWeights,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of the vivid end.

    Args:
        faithful: what the student gives at vividness 0; warm things must not come out darker than there.
        anchor: what the untrained skeleton makes of the sources at vividness 1; its tones open dark scenes.
        teacher: the teacher's output for the clean sources; None trains without a teacher.
    """
    parts = {
        "edges": 1 - structure.edge_transfer(fused, infrared, visible),
        "information": 1 - structure.visual_information(fused, infrared, visible) / 2,
        "differences": 1 - structure.difference_correlation(fused, infrared, visible) / 2,
        "clarity": structure.clarity_loss(fused, infrared, visible, weights.clarity_gain),
        "tone": functional.avg_pool2d(fused - anchor, 16).abs().mean((1, 2, 3)),
        "deviation": (weights.deviation_goal - fused.flatten(1).std(1)).relu(),
        "entropy": (weights.entropy_goal - structure.soft_entropy(fused)).relu(),
        "noise": structure.noise_excess(fused, infrared, visible, weights.noise_gain),
        "glare": structure.glare_loss(fused, infrared, visible, weights.glare_share),
        "warm": warm_loss(fused, faithful.detach(), infrared),
    }
    if teacher is not None:
        parts["similarity"] = 1 - structure.similarity(fused, teacher)
        parts["teacher_edges"] = 1 - structure.correlation(structure.gradients(fused), structure.gradients(teacher))
        parts["teacher_pixels"] = (fused - teacher).abs().mean((1, 2, 3))
    return _weighted(parts, weights)


def warm_loss(fused: Tensor, faithful: Tensor, infrared: Tensor) -> Tensor:
    """Penalty: places much warmer than what is around them that are darker than at the faithful end, (B,)."""
    around = structure.box_mean(infrared, 65)
    warm = (4 * (infrared - around)).clamp(0, 1)
    return (warm * (faithful - fused).relu()).mean((1, 2, 3))


def _weighted(parts: dict[str, Tensor], weights: object) -> tuple[Tensor, dict[str, Tensor]]:
    means = {name: part.mean() for name, part in parts.items()}
    return torch.stack([getattr(weights, name) * part for name, part in means.items()]).sum(), means
