from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.thermal.byte_order import looks_swapped


def scene(rng, low, span, noise):
    smooth = cv2.GaussianBlur(rng.random((120, 160)), (0, 0), 8)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return np.clip(low + span * smooth + rng.normal(0, noise, smooth.shape), 0, 65535).astype(np.uint16)


@pytest.mark.parametrize(("low", "span", "noise"), [(7000, 400, 4), (29000, 3000, 30), (0, 60000, 20), (8000, 60, 1)])
def test_swapped_bytes_are_seen(rng, low, span, noise):
    counts = scene(rng, low, span, noise)
    assert not looks_swapped(counts)
    assert looks_swapped(counts.byteswap())


def test_what_must_not_be_suspected(rng):
    eight = scene(rng, 0, 255, 0)
    for counts in (
        np.full((50, 60), 7000, np.uint16),
        eight,
        eight << 8,  # eight bits in the high byte
        scene(rng, 100, 16000, 5) << 2,  # fourteen bits, aligned high
        rng.integers(0, 65536, (50, 60), np.uint16),
        np.zeros((1, 1), np.uint16),
    ):
        assert not looks_swapped(counts)


def test_real_counts(shared):
    for path in sorted((shared / "data" / "flir_raw16" / "infrared16").glob("*.png")):
        counts = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert not looks_swapped(counts), path.name
        assert looks_swapped(counts.byteswap()), path.name
