from __future__ import annotations

import numpy as np
import pytest

from ivif_core.errors import InputError
from ivif_core.evaluation.metrics import temporal_stability


@pytest.fixture
def scene(rng):
    """Four frames of both sources."""
    return [rng.integers(0, 256, (4, 12, 15)).astype(np.uint8) for _ in range(2)]


def test_by_slow_loops(scene, rng):
    infrared, visible = scene
    fused = rng.integers(0, 256, infrared.shape).astype(np.uint8)
    total, count = 0, 0
    for t in range(1, 4):
        for y in range(12):
            for x in range(15):
                f, i, v = (abs(int(s[t, y, x]) - int(s[t - 1, y, x])) for s in (fused, infrared, visible))
                total += max(f - max(i, v), 0)
                count += 1
    assert temporal_stability(fused, infrared, visible) == pytest.approx(total / count, rel=1e-6)


def test_choosing_or_averaging_alike_in_every_frame_is_steady(scene):
    infrared, visible = scene
    for fused in (np.maximum(*scene), infrared, ((infrared.astype(int) + visible) // 2).astype(np.uint8)):
        assert temporal_stability(fused, infrared, visible) < 0.5  # rounding of the mean


def test_pumping_of_a_still_scene_is_seen_in_full():
    still = np.full((6, 8, 8), 100, np.uint8)
    pumping = still + np.array([0, 5] * 3, np.uint8)[:, None, None]
    assert temporal_stability(pumping, still, still) == 5
    assert temporal_stability(list(pumping), list(still), list(still)) == 5


def test_errors_name_the_argument(scene):
    infrared, visible = scene
    with pytest.raises(InputError, match=r"^visible: expected 4 frames as in fused, got 3"):
        temporal_stability(infrared, infrared, visible[:3])
    with pytest.raises(InputError, match=r"^fused: expected at least two frames, got 1"):
        temporal_stability(infrared[:1], infrared[:1], visible[:1])
    with pytest.raises(InputError, match=r"^infrared: expected the shape of the first fused frame, \(12, 15\)"):
        temporal_stability(infrared, infrared[:, 1:], visible)
    with pytest.raises(InputError, match=r"^fused: expected the shape of the first fused frame"):
        temporal_stability([infrared[0], infrared[1, 2:]], infrared[:2], visible[:2])
