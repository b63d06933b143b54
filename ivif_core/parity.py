"""How far the variants of a model are from its float32 form, on real pairs: in grey levels and in figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ivif_core import colour
from ivif_core.fusion import Fuser

LIMITS = {"fp32": (3.0, 0.5, 1.0), "fp16": (3.0, 0.5, 1.0), "bgr": (3.0, 0.5, 1.0), "int8": (np.inf, 2.0, 1.0)}
"""Largest difference, mean difference (grey levels) and change of a figure (%) that each may show. One level of
luminance is up to three of a strong colour, since chrominance follows lifted luminance."""


@dataclass(frozen=True)
class Parity:
    """Differences of one variant from the reference over all pairs and vividness 0, 0.5 and 1.

    Attributes:
        largest, mean: |difference| of fused images, grey levels.
        figure, change: the figure whose mean over the pairs changes most, and by how much, %.
    """

    variant: str
    largest: float
    mean: float
    figure: str
    change: float

    @property
    def holds(self) -> bool:
        """Whether all is within `LIMITS`."""
        limits = LIMITS.get(self.variant, LIMITS["fp32"])
        return self.largest <= limits[0] and self.mean <= limits[1] and self.change <= limits[2]


def compare(
    reference: Path,
    variants: dict[str, tuple[Path, str]],
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    figures: bool = True,
) -> list[Parity]:
    """Measure every variant against the reference on ONNX Runtime's CPU provider.

    Args:
        reference: float32 file.
        variants: name -> (file, backend).
        pairs: registered infrared intensity and visible BGR, uint8.
        figures: compare the means of `ivif_core.metrics.measure` too, at vividness 0.5; takes seconds a pair.
    """
    with Fuser(reference, "onnxruntime") as fuser:
        expected, expected_figures = _fuse_all(fuser, pairs, figures)
    results = []
    for variant, (file, backend) in variants.items():
        with Fuser(file, backend) as fuser:
            fused, measured = _fuse_all(fuser, pairs, figures)
        differences = [np.abs(a.astype(np.int16) - b) for a, b in zip(fused, expected, strict=True)]
        figure, change = _largest_change(measured, expected_figures)
        results.append(
            Parity(
                variant,
                float(max(d.max() for d in differences)),
                float(np.mean([d.mean() for d in differences])),
                figure,
                change,
            )
        )
    return results


def _fuse_all(
    fuser: Fuser, pairs: Sequence[tuple[np.ndarray, np.ndarray]], figures: bool
) -> tuple[list[np.ndarray], dict[str, float]]:
    from ivif_core.metrics import measure

    fused, measured = [], []
    for vividness in (0.0, 0.5, 1.0):
        fuser.vividness = vividness
        for infrared, visible in pairs:
            fused.append(fuser.fuse(infrared, visible))
            if figures and vividness == 0.5:
                measured.append(measure(colour.luminance(fused[-1]), infrared, colour.luminance(visible)))
    names = measured[0] if measured else {}
    return fused, {name: float(np.nanmean([row[name] for row in measured])) for name in names}


def _largest_change(measured: dict[str, float], expected: dict[str, float]) -> tuple[str, float]:
    """A figure that is almost nothing is compared with a hundredth instead of with itself."""
    changes = {
        name: 100 * abs(measured[name] - value) / max(abs(value), 0.01)
        for name, value in expected.items()
        if np.isfinite(value)
    }
    return max(changes.items(), key=lambda item: item[1]) if changes else ("", 0.0)
