from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import convolve2d

from ivif_core.errors import InputError
from ivif_core.evaluation import metrics

CLOSE = {"rel": 1e-6, "abs": 1e-9}


@pytest.fixture
def triple(rng):
    infrared = rng.integers(0, 256, (43, 47)).astype(np.uint8)
    infrared[:20, :20] = 90  # flat in one source only
    visible = rng.integers(0, 256, (43, 47)).astype(np.uint8)
    visible[10:30, :] = np.arange(47) * 5
    fused = np.where(rng.random((43, 47)) < 0.5, infrared, (infrared.astype(int) + visible) // 2).astype(np.uint8)
    fused[30:, :20] = 10
    return fused, infrared, visible


def window(size, sigma):
    values = [math.exp(-((k - size // 2) ** 2) / (2 * sigma**2)) for k in range(size)]
    plane = np.outer(values, values)
    return plane / plane.sum()


def slow_vif(reference, image):
    r, d = reference.astype(float), image.astype(float)
    told = held = 0.0
    for size in (17, 9, 5, 3):
        kernel = window(size, size / 5)
        if size != 17:
            r, d = (convolve2d(x, kernel, "valid")[::2, ::2] for x in (r, d))
        for y in range(r.shape[0] - size + 1):
            for x in range(r.shape[1] - size + 1):
                a, b = r[y : y + size, x : x + size], d[y : y + size, x : x + size]
                mean_a, mean_b = (kernel * a).sum(), (kernel * b).sum()
                var_a = (kernel * (a - mean_a) ** 2).sum()
                var_b = (kernel * (b - mean_b) ** 2).sum()
                both = (kernel * (a - mean_a) * (b - mean_b)).sum()
                gain = both / var_a if var_a > 1e-9 and var_b > 1e-9 else 0.0
                rest = var_b if gain <= 0 else var_b - gain * both
                gain = max(gain, 0.0)
                told += math.log(1 + gain**2 * var_a / (max(rest, 0.0) + 2))
                held += math.log(1 + var_a / 2)
    return told / held


def slow_qabf(fused, sources):
    def sobel(image):
        padded = np.pad(image.astype(float), 1)
        across, upwards = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
        found = {}
        for y in range(image.shape[0]):
            for x in range(image.shape[1]):
                patch = padded[y : y + 3, x : x + 3]
                sx, sy = float((patch * across).sum()), float((patch * upwards).sum())
                found[y, x] = math.hypot(sx, sy), math.atan(sy / sx) if sx else math.pi / 2
        return found

    of_fused = sobel(fused)
    top = bottom = 0.0
    for source in sources:
        for at, (g, angle) in sobel(source).items():
            gf, angle_f = of_fused[at]
            kept = gf / g if g > gf else g / gf if gf > g else gf
            turned = 1 - abs(angle - angle_f) / (math.pi / 2)
            q = 0.9994 / (1 + math.exp(-15 * (kept - 0.5))) * 0.9879 / (1 + math.exp(-22 * (turned - 0.8)))
            top += q * g
            bottom += g
    return top / bottom


def slow_ssim(a, b):
    kernel = window(11, 1.5)
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11].astype(float), b[y : y + 11, x : x + 11].astype(float)
            mean_p, mean_q = (kernel * p).sum(), (kernel * q).sum()
            var_p, var_q = (kernel * (p - mean_p) ** 2).sum(), (kernel * (q - mean_q) ** 2).sum()
            both = (kernel * (p - mean_p) * (q - mean_q)).sum()
            c1, c2 = 2.55**2, 7.65**2
            values.append(
                (2 * mean_p * mean_q + c1) * (2 * both + c2) / ((mean_p**2 + mean_q**2 + c1) * (var_p + var_q + c2))
            )
    return sum(values) / len(values)


def test_vif_by_slow_loops(triple):
    fused, infrared, visible = triple
    expected = slow_vif(infrared, fused) + slow_vif(visible, fused)
    assert metrics.visual_information_fidelity(fused, infrared, visible) == pytest.approx(expected, **CLOSE)


def test_vif_of_a_copy_is_one_and_of_a_flat_source_nothing(triple):
    source, flat = triple[2], np.full((43, 47), 3, np.uint8)
    assert metrics.visual_information_fidelity(source, source, flat) == pytest.approx(1, rel=1e-6)
    assert metrics.visual_information_fidelity(flat, source, source) == pytest.approx(0, abs=1e-9)


def test_vif_needs_room_for_four_scales():
    small = np.zeros((40, 60), np.uint8)
    with pytest.raises(InputError, match=r"^fused: VIF needs at least 41×41, got \(40, 60\)"):
        metrics.visual_information_fidelity(small, small, small)


def test_qabf_by_slow_loops(triple):
    fused, infrared, visible = triple
    assert metrics.qabf(fused, infrared, visible) == pytest.approx(slow_qabf(fused, (infrared, visible)), **CLOSE)


def test_qabf_of_a_ramp_at_half_slope():
    ramp = np.tile(np.arange(0, 120, 4, dtype=np.uint8), (40, 1))[:, :30]
    inner = 0.9994 / 2 * 0.9879 / (1 + math.exp(-22 * 0.2))
    got = metrics.qabf(ramp // 2, ramp, ramp)
    assert got == pytest.approx(inner, rel=1e-6)  # the whole image, its border too, is halved


def test_qabf_is_undefined_without_edges():
    black = np.zeros((9, 9), np.uint8)
    assert math.isnan(metrics.qabf(black, black, black))


def test_ssim_by_slow_loops(triple):
    fused, infrared, visible = triple
    expected = slow_ssim(infrared, fused) + slow_ssim(visible, fused)
    assert metrics.ssim(fused, infrared, visible) == pytest.approx(expected, **CLOSE)
    assert metrics.ssim(fused, fused, fused) == pytest.approx(2, **CLOSE)
    with pytest.raises(InputError, match="SSIM needs at least 11×11"):
        metrics.ssim(fused[:10], fused[:10], fused[:10])


def test_psnr_averages_the_errors():
    grey = np.full((8, 8), 100, np.uint8)
    expected = 10 * math.log10(255**2 / ((10**2 + 20**2) / 2))
    assert metrics.psnr(grey, grey + 10, grey - 20) == pytest.approx(expected, **CLOSE)
    assert metrics.psnr(grey, grey, grey) == math.inf


def test_ssim_is_that_of_scikit_image(triple):
    similarity = pytest.importorskip("skimage.metrics").structural_similarity
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    fused, infrared, visible = triple
    expected = similarity(infrared, fused, **settings) + similarity(visible, fused, **settings)
    assert metrics.ssim(fused, infrared, visible) == pytest.approx(expected, **CLOSE)
