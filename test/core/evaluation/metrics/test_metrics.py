from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ivif_core.evaluation import metrics
from ivif_core.imaging import colour
from ivif_core.imaging.files import find_images, read_infrared, read_visible


def test_measure_gives_every_figure_by_its_name(rng):
    images = [rng.integers(0, 256, (48, 50)).astype(np.uint8) for _ in range(3)]
    figures = metrics.measure(*images)
    assert list(figures) == list(metrics.METRICS)
    assert figures["EN"] == metrics.entropy(images[0])
    assert figures["Qabf"] == metrics.qabf(*images)
    assert all(isinstance(value, float) for value in figures.values())


RANGES = {
    "EN": (0, 8),
    "SD": (0, 127.5),
    "SF": (0, 255 * math.sqrt(2)),
    "AG": (0, 255),
    "MI": (0, 16),
    "SCD": (-2, 2),
    "VIF": (0, math.inf),
    "Qabf": (0, 0.9994 * 0.9879),
    "SSIM": (-2, 2),
    "PSNR": (0, math.inf),
    "noise_gain": (0, math.inf),
    "overshoot": (0, 1),
    "glare_detail": (0, math.inf),
}

pictures = st.tuples(st.integers(41, 48), st.integers(41, 48)).flatmap(
    lambda shape: st.tuples(*[arrays.arrays(np.uint8, shape, fill=st.sampled_from([0, 90, 255]))] * 3)
)


@given(pictures)
@settings(max_examples=60)
def test_figures_keep_to_their_ranges_and_take_the_sources_in_either_order(images):
    """Flat, black and saturated images among them; and none makes NumPy complain."""
    fused, infrared, visible = images
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = metrics.measure(fused, infrared, visible)
        swapped = metrics.measure(fused, visible, infrared)
    assert figures.keys() == RANGES.keys()
    for name, value in figures.items():
        low, high = RANGES[name]
        assert math.isnan(value) or low - 1e-9 <= value <= high + 1e-9, name
        if name != "glare_detail":  # only the visible camera is blinded
            assert swapped[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name


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
