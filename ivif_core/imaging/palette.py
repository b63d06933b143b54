"""Colours that tell heat, in place of the RGB image's: where a picture is for people who look for what is warm."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_core.imaging.colour import luminance

COLOURS = ("fused", "ironbow", "white_hot", "overlay")
DEFAULT_WARM = 0.6
_FULL = 32
"""Grey levels above `warm` at which the overlay has its full colour."""
_TINT = cv2.cvtColor(
    cv2.applyColorMap(np.arange(256, dtype=np.uint8).reshape(1, -1), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2YCrCb
)
"""OpenCV's nearest to FLIR's ironbow: black, violet, orange, yellow, white."""


def paint(
    fused: np.ndarray, registered: np.ndarray, blind: np.ndarray | None, colour: str, warm: float = DEFAULT_WARM
) -> np.ndarray:
    """A fused image in other colours. Brightness stays the fused one, which holds the detail of both cameras.

    Args:
        fused: uint8 H×W×3 BGR or H×W.
        registered: uint8 H×W, thermal intensity on the same grid.
        blind: uint8 H×W, 255 where `registered` is not thermal alone, which stays uncoloured; None: nowhere.
        colour: 'fused': as it is; 'white_hot': grey; 'ironbow': all by heat; 'overlay': by heat only where it is warm.
        warm: of the overlay: share of the thermal range from which it colours, in [0, 1].

    Returns:
        uint8 H×W of 'white_hot', else H×W×3 BGR; `fused` itself where that is asked for.
    """
    if colour == "fused":
        return fused
    if colour == "white_hot":
        return luminance(fused)
    if colour == "ironbow":
        y = luminance(fused)
        planes = [y, *(cv2.LUT(registered, np.ascontiguousarray(_TINT[:, :, channel])) for channel in (1, 2))]
        if blind is not None:
            for plane in planes[1:]:
                plane[blind > 0] = 128
        return cv2.cvtColor(cv2.merge(planes), cv2.COLOR_YCrCb2BGR)
    bgr = fused if fused.ndim == 3 else cv2.cvtColor(fused, cv2.COLOR_GRAY2BGR)
    share = cv2.LUT(registered, _ramp(warm))
    if blind is not None:
        share[blind > 0] = 0
    hot = paint(fused, registered, None, "ironbow")
    return cv2.blendLinear(hot, bgr, share, 1 - share)


def _ramp(warm: float) -> np.ndarray:
    """How much of the colour each grey level gets, float32 of 256 values in [0, 1]."""
    place = np.clip((np.arange(256, dtype=np.float32) - 255 * warm) / _FULL, 0, 1)
    return place * place * (3 - 2 * place)
