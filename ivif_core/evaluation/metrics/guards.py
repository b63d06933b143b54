"""Guards: what the field's eight figures do not see, or reward — noise, halos, what vanishes in a headlamp."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_core.evaluation.metrics.checks import check_grey

_WINDOW = 15
_HALO_WINDOW = 31
_FLAT = 4.0
_FEWEST_FLAT = 0.01
_HALO_LEVELS = 6
_SATURATED = 245
_THERMAL_DETAIL = 6.0


def noise_gain(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """Noise gain: by how much fusion amplifies what is in the flat parts of both sources, a ratio.

    Where the local standard deviation (15×15) of both sources is under 4 grey levels: the median of
    std(fused) / max(std(infrared), std(visible), 1).

    Games it: blur. Read it with SF and Qabf.

    Args:
        fused, infrared, visible: uint8 H×W of one size.

    Returns:
        0 … ∞, less is better, 1 is what the sources have; NaN where under 1 % of the pixels are flat.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused, infrared=infrared, visible=visible)
    deviation_f, deviation_i, deviation_v = (_local_deviation(image) for image in (fused, infrared, visible))
    flat = (deviation_i < _FLAT) & (deviation_v < _FLAT)
    if flat.mean() < _FEWEST_FLAT:
        return float("nan")
    return float(np.median(deviation_f[flat] / np.maximum(np.maximum(deviation_i, deviation_v)[flat], 1)))


def overshoot(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """Overshoot: share of the pixels that leave the sources' range around them by more than 6 grey levels.

    The range is the smallest and the largest value of both sources in the 31×31 pixels around. It finds halos;
    vivid fusion, which shifts brightness on purpose, has much of it by design.

    Games it: a dull image, which never leaves any range.

    Args:
        fused, infrared, visible: uint8 H×W of one size.

    Returns:
        0 … 1, less is better.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused, infrared=infrared, visible=visible)
    window = np.ones((_HALO_WINDOW, _HALO_WINDOW), np.uint8)
    lowest = cv2.erode(np.minimum(infrared, visible), window).astype(np.int16)
    highest = cv2.dilate(np.maximum(infrared, visible), window).astype(np.int16)
    grey = fused.astype(np.int16)
    return float(((grey < lowest - _HALO_LEVELS) | (grey > highest + _HALO_LEVELS)).mean())


def glare_detail(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """Glare detail: how much thermal structure survives where the visible camera is blinded, a ratio.

    Where all of the 15×15 visible pixels around are at least 245 and the infrared's local standard deviation is over
    6: the median of std(fused) / std(infrared). A warm pedestrian in front of a headlamp must stay visible.

    Games it: contrast and noise (over 1 is no better than 1), or a copy of the infrared; read it with noise gain.

    Args:
        fused, infrared, visible: uint8 H×W of one size.

    Returns:
        0 … ∞, more is better up to 1; NaN where there is no such pixel.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused, infrared=infrared, visible=visible)
    blinded = cv2.erode(visible, np.ones((_WINDOW, _WINDOW), np.uint8)) >= _SATURATED
    deviation_i = _local_deviation(infrared)
    counted = blinded & (deviation_i > _THERMAL_DETAIL)
    if not counted.any():
        return float("nan")
    return float(np.median(_local_deviation(fused)[counted] / deviation_i[counted]))


def _local_deviation(image: np.ndarray) -> np.ndarray:
    """Standard deviation in the window around each pixel; the border is mirrored without its edge pixel."""
    grey = image.astype(np.float64)
    mean = cv2.blur(grey, (_WINDOW, _WINDOW))
    return np.sqrt(np.maximum(cv2.blur(grey * grey, (_WINDOW, _WINDOW)) - mean * mean, 0))
