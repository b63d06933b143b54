from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.thermal.telemetry import LEAST_HEIGHT, MOST_ROWS, telemetry_rows


def scene(rng, size=(120, 160), low=29000.0, span=800.0) -> np.ndarray:
    smooth = cv2.GaussianBlur(rng.random(size), (0, 0), 6)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return (low + span * smooth + rng.normal(0, 3, size)).astype(np.uint16)


def lepton_rows(rng, count: int, width: int) -> np.ndarray:
    """Words as in the Lepton's datasheet: a few counters, serial numbers and temperatures, the rest reserved zeros."""
    rows = np.zeros((count, width), np.uint16)
    rows[:, : width // 4] = rng.integers(0, 65536, (count, width // 4))
    return rows


@pytest.mark.parametrize(("size", "rows"), [((60, 80), 3), ((120, 160), 2), ((120, 160), 4), ((512, 640), 1)])
@pytest.mark.parametrize(("low", "span"), [(29000, 800), (7800, 60), (2000, 3000)])
def test_telemetry_at_either_end(rng, size, rows, low, span):
    image, telemetry = scene(rng, size, low, span), lepton_rows(rng, rows, size[1])
    assert telemetry_rows(image) == (0, 0)
    assert telemetry_rows(np.vstack([telemetry, image])) == (rows, 0)
    assert telemetry_rows(np.vstack([image, telemetry])) == (0, rows)
    assert telemetry_rows(np.vstack([telemetry, image, telemetry[:1]])) == (rows, 1)


def test_float_images_and_rows_of_nan(rng):
    kelvin = scene(rng).astype(np.float32) / 100
    padding = np.full((2, 160), np.nan, np.float32)
    assert telemetry_rows(kelvin) == (0, 0)
    assert telemetry_rows(np.vstack([padding, kelvin])) == (2, 0)


def test_what_must_not_be_suspected(rng):
    sky = scene(rng)
    sky[:40] -= 2000  # a straight horizon, but of a part of the scene
    hot = scene(rng)
    hot[:3, :50] += 5000  # something hot that touches the edge
    for image in (
        sky,
        hot,
        np.full((120, 160), 7000, np.uint16),
        np.zeros((120, 160), np.uint16),
        np.full((120, 160), np.nan, np.float32),
        rng.integers(0, 65536, (120, 160), np.uint16),
        scene(rng)[: LEAST_HEIGHT - 1],
        scene(rng, (LEAST_HEIGHT, 160)),
        (scene(rng) >> 8).astype(np.uint8),
        np.zeros((1, 1), np.uint16),
    ):
        assert telemetry_rows(image) == (0, 0)
    assert MOST_ROWS < LEAST_HEIGHT / 2


def test_real_counts(shared):
    for path in sorted((shared / "data" / "flir_raw16" / "infrared16").glob("*.png")):
        counts = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert telemetry_rows(counts) == (0, 0), path.name
        assert telemetry_rows(np.vstack([counts, lepton_rows(np.random.default_rng(0), 2, counts.shape[1])])) == (0, 2)
