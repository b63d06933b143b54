"""Steadiness of fused video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ivif_core.errors import InputError
from ivif_core.evaluation.metrics.checks import check_grey


def temporal_stability(
    fused: Sequence[np.ndarray], infrared: Sequence[np.ndarray], visible: Sequence[np.ndarray]
) -> float:
    """Flicker: the fused frame difference that the sources' differences do not explain, in grey levels.

    At every pixel and from each frame to the next, the sources explain a change of up to max(|ΔI|, |ΔV|); what |ΔF|
    has beyond that is flicker. The figure is the mean over pixels and frames of max(|ΔF| − max(|ΔI|, |ΔV|), 0).
    Choosing or averaging sources the same way in every frame scores 0; a tone that follows whole-frame statistics, a
    choice between sources that flips, and amplified noise do not.

    Games it: a dull or frozen image, which never changes. Read it with SD and Qabf.

    Args:
        fused, infrared, visible: as many frames each, at least two, uint8 H×W of one size; arrays N×H×W too.

    Returns:
        0 … 255, less is better.

    Raises:
        InputError: wrong type or shape, fewer than two frames, or not as many frames of each.
    """
    for name, frames in (("infrared", infrared), ("visible", visible)):
        if len(frames) != len(fused):
            raise InputError(f"{name}: expected {len(fused)} frames as in fused, got {len(frames)}")
    if len(fused) < 2:
        raise InputError(f"fused: expected at least two frames, got {len(fused)}")
    first = fused[0]
    for images in zip(fused, infrared, visible, strict=True):
        # The first frame stands before the others, so that every size is held against it.
        check_grey(
            **{"the first fused frame": first}, **dict(zip(("fused", "infrared", "visible"), images, strict=True))
        )
    unexplained = 0.0
    for now in range(1, len(fused)):
        change_f, change_i, change_v = (_change(frames[now - 1], frames[now]) for frames in (fused, infrared, visible))
        unexplained += float(np.maximum(change_f - np.maximum(change_i, change_v), 0).mean())
    return unexplained / (len(fused) - 1)


def _change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(after.astype(np.int16) - before)
