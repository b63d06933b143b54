"""What the student is taught: near a faithful rule at vividness 0, near the language-driven teacher at 1, with guards.

Teachers are the aim at both ends. The measures of `structure` are guards: they keep out what a teacher has of faults
(amplified noise, edges and people that get lost).
Terms on *cells* are of whole frames and cost next to nothing, since maps are small; terms on *pixels* are of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ivif_core.training.losses import structure
from ivif_core.training.losses.sources import Sources

WARM, SURROUNDINGS = 0.2, 11
"""Warm is what the infrared has this much over its mean in a window of so many cells."""
FEWEST_WARM = 12
"""Cells that count as one whole warm thing."""
CLEARLY_DARK = -0.12
"""Contrast of warm things below which a teacher means it: less than LD-Lite, which hides a few, has anywhere."""


@dataclass(frozen=True, kw_only=True)
class FaithfulWeights:
    """Weights of the faithful end; `noise_gain` and `glare_share` are limits.

    Attributes:
        level, detail: nearness of the maps to the reference's, see `map_distance`.
        similarity: 1 − SSIM to the reference.
        warm: warm things stand out by at least `warm_share` of what they do in the infrared.
    """

    level: float = 20.0
    detail: float = 48.0
    similarity: float = 2.0
    edges: float = 4.0
    information: float = 0.6
    differences: float = 0.8
    overshoot: float = 30.0
    noise: float = 0.05
    noise_gain: float = 1.1
    glare: float = 0.04
    glare_share: float = 0.7
    warm: float = 2.0
    warm_share: float = 0.85


@dataclass(frozen=True, kw_only=True)
class VividWeights:
    """Weights of the vivid end; the first six are the teacher's.

    Attributes:
        tone: mean difference to the teacher, cell by cell over the whole frame.
        tones: the same of sorted values: the teacher's histogram.
        similarity, pixels, gradients: 1 − SSIM, mean differences of pixels and of their gradients.
        deviation: mean difference of local deviations.
        warm: warm things stand out by at least as much as at the faithful end, and `warm_margin`.
        flicker: noise of both cameras comes out at most `flicker_gain` times as large.
    """

    tone: float = 4.0
    tones: float = 3.0
    similarity: float = 4.0
    pixels: float = 4.0
    gradients: float = 1.0
    deviation: float = 3.0
    edges: float = 0.8
    information: float = 1.2
    differences: float = 0.6
    noise: float = 0.15
    noise_gain: float = 1.35
    glare: float = 0.03
    glare_share: float = 0.9
    warm: float = 12.0
    warm_margin: float = 0.05
    flicker: float = 3.0
    flicker_gain: float = 1.2


def map_distance(maps: Tensor, reference: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """How differently two sets of maps fuse the same cells, without making the images.

    Args:
        maps, reference: N×3×h×w in the order of `MAPS`.
        cells: N×4×h×w, as `ivif_core.models.local_affine.statistics` of infrared and visible.

    Returns:
        Means of the difference of the cells' levels, and of the gains' differences in proportion to what there is of
        details: scalars in [0, 1] luminance.
    """
    difference = maps - reference
    details = difference[:, 1:2].abs() * cells[:, 1:2] + difference[:, 2:3].abs() * cells[:, 3:4]
    return levels(difference, cells).abs().mean(), details.mean()


def levels(maps: Tensor, cells: Tensor) -> Tensor:
    """Mean of each fused cell, N×1×h×w, of maps and cells as in `map_distance`."""
    return maps[:, :1] + maps[:, 1:2] * cells[:, :1] + maps[:, 2:3] * cells[:, 2:3]


def faithful_guards(fused: Tensor, sources: Sources, reference: Tensor, weights: FaithfulWeights) -> dict[str, Tensor]:
    """Parts of the faithful end on pixels, unweighted, (B,) each. Images are B×1×H×W in [0, 1]."""
    return {
        "similarity": 1 - structure.similarity(fused, reference),
        "edges": 1 - sources.edge_transfer(fused),
        "information": 1 - sources.visual_information(fused) / 2,
        "differences": 1 - structure.difference_correlation(fused, *sources.both) / 2,
        "overshoot": structure.overshoot(fused, *sources.both),
        "glare": sources.glare_loss(fused, weights.glare_share),
    }


def teacher_parts(fused: Tensor, teacher: Tensor) -> dict[str, Tensor]:
    """Nearness to the teacher on pixels, unweighted, (B,) each."""
    gradients = (structure.gradients(fused) - structure.gradients(teacher)).abs() / 4
    deviations = structure.local_deviation(fused) - structure.local_deviation(teacher)
    return {
        "similarity": 1 - structure.similarity(fused, teacher),
        "pixels": (fused - teacher).abs().mean((1, 2, 3)),
        "gradients": gradients.mean((1, 2, 3)),
        "deviation": deviations.abs().mean((1, 2, 3)),
    }


def vivid_guards(fused: Tensor, sources: Sources, weights: VividWeights) -> dict[str, Tensor]:
    """Guards of the vivid end on pixels, unweighted, (B,) each."""
    return {
        "edges": 1 - sources.edge_transfer(fused),
        "information": 1 - sources.visual_information(fused) / 2,
        "differences": 1 - structure.difference_correlation(fused, *sources.both) / 2,
        "glare": sources.glare_loss(fused, weights.glare_share),
    }


def warm_loss(level: Tensor, wanted: Tensor, infrared: Tensor, margin: float = 0.0) -> Tensor:
    """Penalty: how much less the warm things of an image stand out of their surroundings than is wanted, (B,).

    Cell by cell, so that a car which stands out all the more does not make up for a person who is hidden.

    Args:
        level, infrared: means of cells, B×1×h×w in [0, 1].
        wanted: the same of an image in which they stand out as they should.
        margin: by how much more than that.
    """
    missing = (against_surroundings(wanted) + margin - against_surroundings(level)).relu()
    return mean_of_warm(missing, infrared)


def against_surroundings(level: Tensor) -> Tensor:
    """How far each cell stands out of its surroundings, B×1×h×w."""
    return level - structure.box_mean(level, SURROUNDINGS)


def mean_of_warm(values: Tensor, infrared: Tensor) -> Tensor:
    """Mean over the cells of warm things, (B,); less where there are hardly any."""
    warm = (against_surroundings(infrared) > WARM).float()
    return (warm * values).sum((1, 2, 3)) / warm.sum((1, 2, 3)).clamp_min(FEWEST_WARM)


def shows_warm_dark(teacher: Tensor, infrared: Tensor) -> Tensor:
    """Whether a teacher clearly shows the warm things of an image darker than their surroundings, (B,).

    A sentence may ask for that, and nobody is then to be guarded against it. A teacher that merely hides them does not.
    """
    return mean_of_warm(against_surroundings(teacher), infrared) < CLEARLY_DARK


def flicker_loss(maps: Tensor, gain: float) -> Tensor:
    """Penalty: noise of both cameras, as large in either, comes out more than `gain` times as large, (B,)."""
    return (torch.sqrt(maps[:, 1:].square().sum(1) + 1e-6).mean((1, 2)) - gain).relu()


def tone_parts(level: Tensor, teacher: Tensor) -> dict[str, Tensor]:
    """Nearness of the cells' levels to the teacher's, over whole frames: B×1×h×w each -> scalars."""
    difference = (level - teacher).abs().mean()
    ordered = [values.flatten(1).sort(1).values for values in (level, teacher)]
    return {"tone": difference, "tones": functional.l1_loss(*ordered)}


def weighted(parts: dict[str, Tensor], weights: object) -> Tensor:
    """Sum of the parts, each with its weight's name."""
    return torch.stack([getattr(weights, name) * part.mean() for name, part in parts.items()]).sum()
