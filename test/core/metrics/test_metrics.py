from __future__ import annotations

import json

import numpy as np
import pytest

from ivif_core import colour, metrics
from ivif_core.image_files import find_images, read_infrared, read_visible


def test_measure_gives_every_figure_by_its_name(rng):
    images = [rng.integers(0, 256, (48, 50)).astype(np.uint8) for _ in range(3)]
    figures = metrics.measure(*images)
    assert list(figures) == list(metrics.METRICS)
    assert figures["EN"] == metrics.entropy(images[0])
    assert figures["Qabf"] == metrics.qabf(*images)
    assert all(isinstance(value, float) for value in figures.values())


def test_figures_of_the_reference_table(shared):
    """Eight images whose figures were cross-checked against the evaluator that the field uses most."""
    rows = json.loads((shared / "metrics_reference.json").read_text())["rows"]
    assert len(rows) == 8
    for row in rows:
        folder = shared / "data" / row["set"]
        infrared = read_infrared(find_images(folder / "infrared")[row["name"]])
        visible = colour.luminance(read_visible(find_images(folder / "visible")[row["name"]]))
        if row["fused"] == "average":
            fused = ((infrared.astype(np.uint16) + visible) // 2).astype(np.uint8)
        elif row["fused"] == "maximum":
            fused = np.maximum(infrared, visible)
        else:
            fused = read_infrared(find_images(folder / row["fused"])[row["name"]])
        for name in ("EN", "SD", "SF", "AG", "MI", "SCD", "VIF", "Qabf"):
            got = metrics.METRICS[name](fused, infrared, visible)
            assert got == pytest.approx(row[name], rel=1e-3), (row["set"], row["name"], name)
