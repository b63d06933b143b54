"""Figures of faithfulness: how much of each source's structure is in the fused image."""

from __future__ import annotations

import cv2
import numpy as np

from ivif_core.errors import InputError
from ivif_core.evaluation.metrics.checks import check_grey

_TINY = 1e-10
_VIF_NOISE = 2.0
VIF_MINIMUM_SIDE = 41
"""Smaller images leave nothing inside the windows of the fourth scale."""
_SSIM_REACH = 5
"""Pixels from the middle of SSIM's window to its sides."""


def visual_information_fidelity(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """VIF: VIF(infrared, fused) + VIF(visible, fused), in the pixel domain with the source as reference.

    Sheikh and Bovik, IEEE Trans. Image Processing 2006, over four scales with Gaussian windows of 17, 9, 5 and 3
    (σ = size / 5), only where the whole window lies inside the image; images are filtered so and halved between
    scales. Noise variance 2; variances under 1e-10 and negative gains count as 0. Each VIF is the sum over all scales
    and pixels of what the fused image tells, over that of what the source holds; a constant source counts 0.

    Games it: copying (a copy scores 1 for its source), and raising contrast (it can pass 1).

    Args:
        fused, infrared, visible: uint8 H×W of one size, at least 41×41.

    Returns:
        0 … about 2; more is counted better.

    Raises:
        InputError: wrong type or shape, or too small.
    """
    check_grey(fused=fused, infrared=infrared, visible=visible)
    if min(fused.shape) < VIF_MINIMUM_SIDE:
        raise InputError(f"fused: VIF needs at least {VIF_MINIMUM_SIDE}×{VIF_MINIMUM_SIDE}, got {fused.shape}")
    return _vif(infrared, fused) + _vif(visible, fused)


def qabf(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """Qabf: how much of the sources' edges is kept, weighted by their strength (Xydeas and Petrović 2000).

    Sobel gradients with zeros around the image; strength kept G = smaller / larger gradient (where both are equal G is
    the gradient itself, as in the code that the field uses); orientation α = arctan(sy / sx) with sy counted upwards,
    π/2 where sx = 0, kept A = 1 − |Δα| / (π/2), *not* wrapped modulo π (wrapping gives higher figures); each through
    a sigmoid (Γg 0.9994, κg −15, σg 0.5; Γα 0.9879, κα −22, σα 0.8).

    Games it: taking the sharper source at each pixel; edges made stronger than both sources cost nothing like what
    they should.

    Args:
        fused, infrared, visible: uint8 H×W of one size.

    Returns:
        0 … 0.99, more is counted better; NaN where both sources are without any edge.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused, infrared=infrared, visible=visible)
    strength_f, angle_f = _sobel(fused)
    kept = total = 0.0
    for source in (infrared, visible):
        strength, angle = _sobel(source)
        larger = np.maximum(strength, strength_f)
        ratio = np.minimum(strength, strength_f) / np.maximum(larger, _TINY)
        ratio = np.where(strength == strength_f, strength_f, ratio)
        orientation = 1 - np.abs(angle - angle_f) / (np.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + np.exp(-22 * (orientation - 0.8)))
        kept += float((quality * strength).sum())
        total += float(strength.sum())
    return kept / total if total > 0 else float("nan")


def ssim(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """SSIM: SSIM(infrared, fused) + SSIM(visible, fused) (Wang et al., IEEE Trans. Image Processing 2004).

    The paper's settings: Gaussian window 11×11 (σ 1.5), population covariances, K₁ 0.01, K₂ 0.03, data range 255, mean
    over the pixels whose whole window is inside the image.

    Games it: blur and averaging (the mean of the sources is the safe guess).

    Args:
        fused, infrared, visible: uint8 H×W of one size, at least 11×11.

    Returns:
        −2 … 2; more is counted better.

    Raises:
        InputError: wrong type or shape, or too small.
    """
    check_grey(fused=fused, infrared=infrared, visible=visible)
    if min(fused.shape) < 2 * _SSIM_REACH + 1:
        raise InputError(f"fused: SSIM needs at least 11×11, got {fused.shape}")
    f = fused.astype(np.float64)
    return sum(_similarity(source.astype(np.float64), f) for source in (infrared, visible))


def _similarity(a: np.ndarray, b: np.ndarray) -> float:
    mean_a, mean_b = _ssim_means(a), _ssim_means(b)
    squares, product = mean_a**2 + mean_b**2, mean_a * mean_b
    spread, together = _ssim_means(a * a) + _ssim_means(b * b) - squares, _ssim_means(a * b) - product
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * product + c1) * (2 * together + c2) / ((squares + c1) * (spread + c2))).mean())


def _ssim_means(image: np.ndarray) -> np.ndarray:
    side = 2 * _SSIM_REACH + 1
    return cv2.GaussianBlur(image, (side, side), 1.5)[_SSIM_REACH:-_SSIM_REACH, _SSIM_REACH:-_SSIM_REACH]


def psnr(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """PSNR: 10 log₁₀(255² / MSE) in decibel, MSE being the mean of the squared errors against both sources.

    The errors are averaged, not the decibels, as the field's evaluators do: a copy of one source stays finite.

    Games it: averaging, which is its optimum.

    Args:
        fused, infrared, visible: uint8 H×W of one size.

    Returns:
        0 … ∞ (all three images equal); more is counted better.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused, infrared=infrared, visible=visible)
    f = fused.astype(np.float64)
    error = np.mean([((f - source) ** 2).mean() for source in (infrared, visible)])
    return float(10 * np.log10(255.0**2 / error)) if error > 0 else float("inf")


def _vif(source: np.ndarray, fused: np.ndarray) -> float:
    told = held = 0.0
    s, f = source.astype(np.float64), fused.astype(np.float64)
    for size in (17, 9, 5, 3):
        if size < 17:
            s, f = _inside(s, size)[::2, ::2], _inside(f, size)[::2, ::2]
        mean_s, mean_f = _inside(s, size), _inside(f, size)
        var_s = np.maximum(_inside(s * s, size) - mean_s * mean_s, 0)
        var_f = np.maximum(_inside(f * f, size) - mean_f * mean_f, 0)
        covariance = _inside(s * f, size) - mean_s * mean_f
        gain = covariance / (var_s + _TINY)
        rest = var_f - gain * covariance
        flat_s, flat_f = var_s < _TINY, var_f < _TINY
        gain[flat_s | flat_f] = 0
        rest[flat_s] = var_f[flat_s]
        rest[flat_f] = 0
        var_s[flat_s] = 0
        negative = gain < 0
        rest[negative] = var_f[negative]
        gain[negative] = 0
        told += float(np.log10(1 + gain**2 * var_s / (np.maximum(rest, _TINY) + _VIF_NOISE)).sum())
        held += float(np.log10(1 + var_s / _VIF_NOISE).sum())
    return told / held if held > 0 else 0.0


def _inside(image: np.ndarray, size: int) -> np.ndarray:
    """Gaussian-filtered image where the whole window lies inside it."""
    kernel = cv2.getGaussianKernel(size, size / 5)
    half = size // 2
    return cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel)[half:-half, half:-half]


def _sobel(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strength, and orientation in [−π/2, π/2]."""
    x, y = (cv2.Sobel(image, cv2.CV_64F, *order, ksize=3, borderType=cv2.BORDER_CONSTANT) for order in ((1, 0), (0, 1)))
    vertical = x == 0
    angle = np.arctan(-y / np.where(vertical, 1.0, x))
    return np.hypot(x, y), np.where(vertical, np.pi / 2, angle)
