from __future__ import annotations

import cv2
import numpy as np

from ivif_core.registration.blending import StandIn
from ivif_core.registration.drift import DriftWatch


def scene(rng):
    visible = cv2.GaussianBlur(rng.random((180, 320)), (0, 0), 3)
    visible = ((visible - visible.min()) / np.ptp(visible) * 255).astype(np.uint8)
    return 255 - visible // 2, visible


def test_shift_is_noticed_and_still_cameras_are_not(rng):
    watch = DriftWatch()
    for _ in range(2 * watch.LEARN):
        watch.add(*scene(rng), None)
    assert watch.warning == ""
    assert watch.score > 0.5
    for _ in range(watch.RECENT):
        infrared, visible = scene(rng)
        watch.add(np.roll(infrared, 12, axis=1), visible, None)
    assert "calibrate anew" in watch.warning


def test_only_what_both_see_counts(rng):
    infrared, visible = scene(rng)
    outside = np.zeros(visible.shape, bool)
    outside[:, 160:] = True
    infrared[:, 160:] = 0
    watch = DriftWatch()
    watch.add(infrared, visible, StandIn(outside))
    inner = watch.score
    watch.add(infrared, visible, None)
    assert inner > 0.9 > watch.score


def test_scenes_without_common_edges_say_nothing(rng):
    watch = DriftWatch()
    for _ in range(2 * watch.LEARN):
        watch.add(scene(rng)[0], scene(rng)[1], None)
    assert watch.warning == ""
