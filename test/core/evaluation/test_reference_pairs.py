"""Two rendered pairs that lie in the repository, with what independent slow code found for them.

`python -m test.core.evaluation.test_reference_pairs` made them: images by `ivif_core.scene`, figures by the loops of
the metrics' tests, the prepared pair by Pillow and NumPy. The figures are those of the sources' average, which no
student changes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ivif_core.evaluation import metrics
from ivif_core.fusion import prepare
from ivif_core.imaging.files import read_infrared, read_visible, write_image
from ivif_core.registration.base import Resize
from ivif_core.thermal.scaling import FixedScaling

FOLDER = Path(__file__).resolve().parents[2] / "data" / "reference_pairs"
NAMES = ("a", "b")
RANGE = (20000.0, 24000.0)


def slow_prepared(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Registered intensity and visible luminance (uint8 H×W) without OpenCV."""
    counts = np.asarray(Image.open(FOLDER / "infrared" / f"{name}.png")).astype(float)
    colour = np.asarray(Image.open(FOLDER / "visible" / f"{name}.png")).astype(float)
    intensity = np.rint(np.clip((counts - RANGE[0]) / (RANGE[1] - RANGE[0]), 0, 1) * 255)
    luminance = np.rint(colour @ (0.299, 0.587, 0.114))
    return intensity.astype(np.uint8), luminance.astype(np.uint8)


def average(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    return ((infrared.astype(np.uint16) + visible) // 2).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_prepared_as_slow_code_does(name):
    counts, visible = (
        read(FOLDER / camera / f"{name}.png")
        for read, camera in ((read_infrared, "infrared"), (read_visible, "visible"))
    )
    assert counts.dtype == np.uint16 and visible.shape == (*counts.shape, 3)
    pair = prepare(counts, visible, FixedScaling(*RANGE), Resize())
    intensity, luminance = slow_prepared(name)
    for got, expected in ((pair.intensity, intensity), (pair.registered, intensity), (pair.visible_y, luminance)):
        np.testing.assert_allclose(got.astype(int), expected, atol=1)
        assert np.mean(got != expected) < 0.02  # halves that are rounded the other way


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_those_of_the_slow_loops(name):
    expected = json.loads((FOLDER / "figures.json").read_text())[name]
    sources = slow_prepared(name)
    assert set(expected) == {"EN", "SD", "MI", "SCD", "VIF", "Qabf", "SSIM"}
    for figure, value in expected.items():
        got = metrics.METRICS[figure](average(*sources), *sources)
        assert got == pytest.approx(value, rel=1e-6), figure


def make() -> None:
    """Render the pairs and work the figures out, slowly."""
    from ivif_core.scene import Street
    from test.core.evaluation.metrics.test_fidelity import slow_qabf, slow_ssim, slow_vif
    from test.core.evaluation.metrics.test_statistics import slow_bits

    street = Street((96, 72), seed=3, period=12)
    figures = {}
    for name, index in zip(NAMES, (0, 6), strict=True):
        infrared, visible = street.render(index)
        for camera in ("infrared", "visible"):
            (FOLDER / camera).mkdir(parents=True, exist_ok=True)
        write_image(FOLDER / "infrared" / f"{name}.png", infrared.astype(np.uint16) * 12 + 20600)
        write_image(FOLDER / "visible" / f"{name}.png", visible)
        sources = slow_prepared(name)
        fused = average(*sources)
        f, i, v = (image.astype(float).ravel() for image in (fused, *sources))
        figures[name] = {
            "EN": slow_bits(fused, fused),
            "SD": float(np.sqrt(np.mean((f - f.mean()) ** 2))),
            "MI": sum(slow_bits(source, fused) for source in sources),
            "SCD": float(np.corrcoef(f - i, v)[0, 1] + np.corrcoef(f - v, i)[0, 1]),
            "VIF": float(sum(slow_vif(source, fused) for source in sources)),
            "Qabf": float(slow_qabf(fused, sources)),
            "SSIM": float(sum(slow_ssim(source, fused) for source in sources)),
        }
    (FOLDER / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    make()
