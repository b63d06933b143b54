"""Figures of grey values: how much there is in the fused image, and how much of it the sources share."""

from __future__ import annotations

import numpy as np

from ivif_core.evaluation.metrics.checks import check_grey


def entropy(fused: np.ndarray) -> float:
    """EN: −Σ p log₂ p over the 256 grey levels, in bits (Roberts et al., J. Applied Remote Sensing 2008).

    Games it: anything that flattens the histogram — equalisation, noise.

    Args:
        fused: uint8 H×W.

    Returns:
        0 (one level) … 8 (all levels alike); more is counted better.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused)
    share = np.bincount(fused.ravel(), minlength=256) / fused.size
    share = share[share > 0]
    return float(abs((share * np.log2(share)).sum()))


def standard_deviation(fused: np.ndarray) -> float:
    """SD: standard deviation of all pixels (divided by N, not N − 1), in grey levels.

    Games it: stretching contrast until it clips; a black and white image has the most.

    Args:
        fused: uint8 H×W.

    Returns:
        0 … 127.5; more is counted better.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused)
    return float(fused.std(dtype=np.float64))


def spatial_frequency(fused: np.ndarray) -> float:
    """SF: √(mean squared difference of rows + mean squared difference of columns), in grey levels.

    From Eskicioglu and Fisher, IEEE Trans. Communications 1995; each mean is over the differences that exist
    (H−1 × W and H × W−1).

    Games it: noise and over-sharpening.

    Args:
        fused: uint8 H×W.

    Returns:
        0 … 255√2; more is counted better.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused)
    grey = fused.astype(np.float64)
    return float(np.sqrt((np.diff(grey, axis=0) ** 2).mean() + (np.diff(grey, axis=1) ** 2).mean()))


def average_gradient(fused: np.ndarray) -> float:
    """AG: mean of √((gx² + gy²) / 2), in grey levels a pixel; central differences, one-sided at the border.

    From Cui et al., Optics Communications 2015; the gradient is `numpy.gradient`'s.

    Games it: noise and over-sharpening.

    Args:
        fused: uint8 H×W.

    Returns:
        0 … 255; more is counted better.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused)
    gradient_y, gradient_x = np.gradient(fused.astype(np.float64))
    return float(np.sqrt((gradient_x**2 + gradient_y**2) / 2).mean())


def mutual_information(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """MI: I(infrared; fused) + I(visible; fused), in bits, from 256×256 joint histograms (Qu et al. 2002).

    Games it: copying. A source is perfectly informed of itself, so max(infrared, visible) beats every network.

    Args:
        fused, infrared, visible: uint8 H×W of one size.

    Returns:
        0 … 16; more is counted better. Figures in nats are 0.693 of these.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused, infrared=infrared, visible=visible)
    return _shared_bits(infrared, fused) + _shared_bits(visible, fused)


def scd(fused: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> float:
    """SCD: corr(fused − infrared, visible) + corr(fused − visible, infrared), Pearson over all pixels.

    From Aslantas and Bendes, AEÜ 2015: what is left of the fused image without one source should be the other. A
    correlation with a constant image counts 0.

    Games it: adding the sources up, in any proportion and with any clipping of the sum.

    Args:
        fused, infrared, visible: uint8 H×W of one size.

    Returns:
        −2 … 2; more is counted better.

    Raises:
        InputError: wrong type or shape.
    """
    check_grey(fused=fused, infrared=infrared, visible=visible)
    f, i, v = (image.astype(np.float64) for image in (fused, infrared, visible))
    return _correlation(f - i, v) + _correlation(f - v, i)


def _shared_bits(source: np.ndarray, fused: np.ndarray) -> float:
    cells = source.ravel().astype(np.int64) * 256 + fused.ravel()
    joint = np.bincount(cells, minlength=65536).reshape(256, 256) / fused.size
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum())


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 0 else 0.0
