"""Figures of the student's evaluation against the core's metrics and closed forms."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from ivif_core.evaluation.metrics import glare_detail
from ivif_core.fusion import Fuser
from ivif_core.training.data.pairs import Pair
from ivif_core.training.evaluate_student import figures, glare_ratios, reach, teacher_nearness
from ivif_core.training.reference_network import write_yardstick


def pair(seed, size=96):
    random = np.random.default_rng(seed)
    infrared, visible = (random.integers(0, 200, (size, size), dtype=np.uint8) for _ in range(2))
    visible[20:60, 30:80] = 255
    return Pair(str(seed), infrared, visible, teacher=infrared // 2)


def test_pooled_glare_of_one_pair_is_the_core_figure():
    one = pair(0)
    fused = one.infrared // 2
    assert np.median(glare_ratios(fused, one)) == pytest.approx(glare_detail(fused, one.infrared, one.visible))
    assert figures(lambda _: fused, [one])["glare_detail"] == pytest.approx(0.5, abs=0.02)


def test_the_teacher_itself_is_nearest():
    pairs = [pair(1), pair(2)]
    assert teacher_nearness(lambda one: one.teacher, pairs) == (pytest.approx(1), pytest.approx(1))
    similarity, edges = teacher_nearness(lambda one: one.visible, pairs)
    assert similarity < 0.5 and edges < 0.5


def test_shipped_student_does_not_reach_beyond_its_field():
    random = np.random.default_rng(3)
    one = Pair("far", *(random.integers(0, 255, (320, 336), dtype=np.uint8) for _ in range(2)))
    with Fuser(None, "onnxruntime", vividness=1.0) as fuser:
        assert reach(fuser, one) == 0


def test_yardstick_has_five_convolutions_at_full_resolution(tmp_path):
    session = onnxruntime.InferenceSession(str(write_yardstick(tmp_path / "y.onnx")))
    fused = session.run(None, {"sources": np.zeros((1, 2, 33, 47), np.float32)})[0]
    assert fused.shape == (1, 1, 33, 47)
