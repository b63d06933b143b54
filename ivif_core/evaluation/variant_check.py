"""How far the variants of a model are from its float32 form, on real pairs: in levels of luminance and in figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ivif_core.fusion import Fuser
from ivif_core.imaging import colour

IN_COLOUR = " in colour"
"""Marks the comparison of a colour variant's BGR output."""

LIMITS = {
    "fp16": (2.0, 0.1, 1.0),
    "bgr": (2.0, 0.1, 1.0),
    f"bgr{IN_COLOUR}": (4.0, 0.1, 1.0),
    "int8": (np.inf, 2.0, 1.0),
}
"""Largest difference, mean difference (levels of luminance) and change of a figure (%) that each may show. In colour,
rounding in the recomposition adds up to two levels to the network's two."""


@dataclass(frozen=True)
class Parity:
    """Differences of one variant from the reference over all pairs and vividness 0, 0.5 and 1.

    Attributes:
        largest, mean: |difference| of fused luminance, grey levels.
        figure, change: the figure whose mean over the pairs changes most, and by how much, %.
    """

    variant: str
    largest: float
    mean: float
    figure: str
    change: float

    @property
    def holds(self) -> bool:
        """Whether all is within `LIMITS`; another name has those of fp16."""
        limits = LIMITS.get(self.variant, LIMITS["fp16"])
        return self.largest <= limits[0] and self.mean <= limits[1] and self.change <= limits[2]


def compare(
    reference: Path,
    variants: dict[str, tuple[Path, str]],
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    figures: bool = True,
) -> list[Parity]:
    """Measure the luminance of every variant against that of the reference on ONNX Runtime's CPU provider.

    A colour variant is measured twice: on the visible images' luminance, and by the luminance of its BGR output.

    Args:
        reference: float32 file.
        variants: name -> (file, backend).
        pairs: registered infrared intensity and visible BGR, uint8.
        figures: compare the means of `evaluation.metrics.measure` too, at vividness 0.5; takes seconds a pair.
    """
    results = []
    with Fuser(reference, "onnxruntime") as expected:
        grey = _Luminances.of(expected, pairs, figures, in_colour=False)
        colourful = None
        for variant, (file, backend) in variants.items():
            with Fuser(file, backend) as fuser:
                results.append(grey.against(_Luminances.of(fuser, pairs, figures, in_colour=False), variant))
                if fuser.backend.signature.colour:
                    colourful = colourful or _Luminances.of(expected, pairs, figures, in_colour=True)
                    found = _Luminances.of(fuser, pairs, figures, in_colour=True)
                    results.append(colourful.against(found, variant + IN_COLOUR))
    return results


@dataclass(frozen=True)
class _Luminances:
    """Fused luminance of all pairs at all vividnesses, and means of figures."""

    images: list[np.ndarray]
    figures: dict[str, float]

    @classmethod
    def of(
        cls, fuser: Fuser, pairs: Sequence[tuple[np.ndarray, np.ndarray]], figures: bool, *, in_colour: bool
    ) -> _Luminances:
        from ivif_core.evaluation.metrics import measure

        images, measured = [], []
        for vividness in (0.0, 0.5, 1.0):
            fuser.vividness = vividness
            for infrared, visible in pairs:
                images.append(colour.luminance(fuser.fuse(infrared, visible, grey=not in_colour)))
                if figures and vividness == 0.5:
                    measured.append(measure(images[-1], infrared, colour.luminance(visible)))
        names = measured[0] if measured else {}
        return cls(images, {name: float(np.nanmean([row[name] for row in measured])) for name in names})

    def against(self, other: _Luminances, variant: str) -> Parity:
        differences = [cv2.absdiff(*images) for images in zip(self.images, other.images, strict=True)]
        largest = float(max(difference.max() for difference in differences))
        mean = float(np.mean([difference.mean() for difference in differences]))
        return Parity(variant, largest, mean, *_largest_change(other.figures, self.figures))


def _largest_change(measured: dict[str, float], expected: dict[str, float]) -> tuple[str, float]:
    """A figure that is almost nothing is compared with a hundredth instead of with itself."""
    changes = {
        name: 100 * abs(measured[name] - value) / max(abs(value), 0.01)
        for name, value in expected.items()
        if np.isfinite(value)
    }
    return max(changes.items(), key=lambda item: item[1]) if changes else ("", 0.0)
