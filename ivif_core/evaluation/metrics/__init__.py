"""Figures of fused images, each defined in its docstring in full, with what games it.

Published figures of one name differ by logarithm, window and range; these are the definitions of the evaluator that
the field uses most, computed in float64 on 8-bit grey images. Visible colour becomes grey by `imaging.colour`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ivif_core.evaluation.metrics.fidelity import psnr, qabf, ssim, visual_information_fidelity
from ivif_core.evaluation.metrics.guards import glare_detail, noise_gain, overshoot
from ivif_core.evaluation.metrics.statistics import (
    average_gradient,
    entropy,
    mutual_information,
    scd,
    spatial_frequency,
    standard_deviation,
)
from ivif_core.evaluation.metrics.temporal import temporal_stability

__all__ = [
    "METRICS",
    "MORE_IS_BETTER",
    "Metric",
    "average_gradient",
    "entropy",
    "glare_detail",
    "measure",
    "mutual_information",
    "noise_gain",
    "overshoot",
    "psnr",
    "qabf",
    "scd",
    "spatial_frequency",
    "ssim",
    "standard_deviation",
    "temporal_stability",
    "visual_information_fidelity",
]


@dataclass(frozen=True)
class Metric:
    """A figure under its short name.

    Attributes:
        function: takes `fused`, and `infrared` and `visible` too where `with_sources`.
        with_sources: False for figures of the fused image alone.
        more_is_better: which way it is ranked.
    """

    function: Callable[..., float]
    with_sources: bool = True
    more_is_better: bool = True

    def __call__(self, fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
        """The figure, whatever it needs of the three images."""
        return self.function(fused, infrared, visible) if self.with_sources else self.function(fused)


METRICS: dict[str, Metric] = {
    "EN": Metric(entropy, with_sources=False),
    "SD": Metric(standard_deviation, with_sources=False),
    "SF": Metric(spatial_frequency, with_sources=False),
    "AG": Metric(average_gradient, with_sources=False),
    "MI": Metric(mutual_information),
    "SCD": Metric(scd),
    "VIF": Metric(visual_information_fidelity),
    "Qabf": Metric(qabf),
    "SSIM": Metric(ssim),
    "PSNR": Metric(psnr),
    "noise_gain": Metric(noise_gain, more_is_better=False),
    "overshoot": Metric(overshoot, more_is_better=False),
    "glare_detail": Metric(glare_detail),
}
"""Every figure of single images by the short name that tables and JSON use, in their order."""

MORE_IS_BETTER = {name: metric.more_is_better for name, metric in METRICS.items()} | {"temporal_stability": False}
"""Which way a figure is ranked, by short name."""


def measure(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> dict[str, float]:
    """All figures of one fused image, by short name; NaN where a figure is not defined for the image.

    Args:
        fused, infrared, visible: uint8 H×W of one size, at least 41×41.

    Raises:
        InputError: wrong type, shape or size; names the argument.
    """
    return {name: metric(fused, infrared, visible) for name, metric in METRICS.items()}
