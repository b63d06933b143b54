from __future__ import annotations

import base64
import math
import re

import cv2
import numpy as np
import pytest

from ivif_core.evaluation.report.examples import choose, example
from ivif_core.evaluation.scenes import Evaluation


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.3, 0.9, 0.5], {1: "best", 2: "median", 0: "worst"}),
        ([0.1, 0.2, 0.3, 0.4, 0.5, math.nan], {4: "best", 2: "median", 0: "worst"}),
        ([0.1, 0.2], {1: "best", 0: "worst"}),
        ([0.1], {0: "the only image"}),
        ([math.nan, math.nan], {0: "best", 1: "worst"}),
    ],
)
def test_choice_by_the_first_set(values, expected):
    figures = {"first": {f"i{k}": {"Qabf": value} for k, value in enumerate(values)}, "second": {}}
    assert choose(Evaluation({}, figures)) == {f"i{k}": label for k, label in expected.items()}


def test_images_of_an_example_are_those_of_the_files(measured):
    html = example(measured, "d", "best")
    found = re.findall(r'<img alt="([^"]+)" src="data:image/jpeg;base64,([^"]+)"', html)
    assert [title for title, _ in found] == ["thermal", "RGB", "&lt;b&gt;mean", "max"]
    files = [measured.scenes["d"].infrared, measured.scenes["d"].visible, *measured.scenes["d"].fused.values()]
    for (_, data), file in zip(found, files, strict=True):
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert np.abs(shown.astype(int) - cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)).mean() < 4  # JPEG


def test_a_large_image_is_made_smaller(measured, tmp_path):
    scene = measured.scenes["d"]
    for path in (scene.infrared, scene.visible, *scene.fused.values()):
        cv2.imwrite(str(tmp_path / f"{path.parent.name}.png"), cv2.resize(cv2.imread(str(path)), (2000, 1000)))
    large = type(scene)("d", tmp_path / "infrared.png", tmp_path / "visible.png", {"one": tmp_path / "mean.png"})
    figures = {"one": {"d": {"Qabf": 0.5}}}
    html = example(Evaluation({"d": large}, figures), "d", "best")
    found = re.findall(r'alt="([^"]+)" src="data:image/jpeg;base64,([^"]+)"', html)
    assert [title for title, _ in found] == ["thermal", "RGB", "fused"]
    for _, data in found:
        assert cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR).shape == (480, 960, 3)
