from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.evaluation.comparison import compare
from ivif_core.evaluation.report import report_page
from ivif_core.evaluation.scenes import evaluate, find_scenes


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """Two sets over four scenes whose names try to break out of HTML."""
    root = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(4)
    for name in ("infrared", "visible", "mean", "max"):
        (root / name).mkdir()
    for k, stem in enumerate(("a", "b'\"<script>alert(1)<", "c&amp;", "d")):
        infrared, visible = (cv2.blur(random.integers(0, 256, (60, 80)).astype(np.uint8), (3, 3)) for _ in range(2))
        # Flat on the left, so that some of the scenes have a noise gain.
        infrared[:, : 12 * k], visible[:, : 12 * k] = random.integers(40, 44, (2, 60, 12 * k))
        mean = ((infrared.astype(int) + visible) // 2).astype(np.uint8)
        for name, image in zip(
            ("infrared", "visible", "mean", "max"),
            (infrared, visible, mean, np.maximum(infrared, visible)),
            strict=True,
        ):
            cv2.imwrite(str(root / name / f"{stem}.png"), image)
    sets = {"<b>mean": root / "mean", "max": root / "max"}
    return evaluate(find_scenes(sets, root / "infrared", root / "visible"), workers=1)


@pytest.fixture(scope="session")
def page(measured) -> str:
    return report_page(measured, compare(measured))
