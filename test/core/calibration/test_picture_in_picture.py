"""What the numbers mean, and what they are worth on real frames of hand-held cameras, against points picked by hand.

Run as a program for the figures: python -m test.core.calibration.test_picture_in_picture
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from ivif_core.calibration.fitting import fit, residuals, transform
from ivif_core.calibration.picture_in_picture import picture_in_picture, scales_around
from ivif_core.calibration.targetless import Pair, calibrate, chance_score
from ivif_core.cli.commands.calibrate import CLEAR
from ivif_core.errors import ConfigError
from ivif_core.imaging import colour
from ivif_core.imaging.files import find_images, read_infrared, read_visible
from ivif_core.thermal.scaling import PercentileScaling, to_intensity

HAND = json.loads((Path(__file__).parent / "flir_points.json").read_text())["pairs"]
ZOOM = {"FLIR_T640": 1.6}
"""The T640 notes 1.6 times the Real2IR of the T650sc, whose optics are the same; the points say so too."""
BLURRED = ("FLIR0803", "FLIR0809")
"""The hand moved: RGB of the first is smeared over some 90 px, thermal of the second by its louvre's pitch."""


def frame(folder: Path, name: str) -> tuple[Pair, tuple[float, float, float]]:
    """Scaled infrared and luminance, and what the camera notes, without its zoom."""
    infrared = read_infrared(find_images(folder / "infrared16")[name])
    visible = colour.luminance(read_visible(find_images(folder / "visible")[name]))
    noted = json.loads((folder / "camera.json").read_text())[name]
    hints = tuple(noted[key] / ZOOM.get(name, 1.0) for key in ("real2ir", "offset_x", "offset_y"))
    return (to_intensity(infrared, PercentileScaling(smoothing=0)), visible), hints


def registered(folder: Path, name: str) -> dict[str, float]:
    """Scores and, where points were picked, median distances from them, px of the RGB image."""
    pair, hints = frame(folder, name)
    said = picture_in_picture(*hints, *(image.shape[::-1] for image in pair))
    search = {"scales": scales_around(hints[0])}
    found = calibrate([pair], **search)
    figures = {"score": found.score, "by chance": chance_score([pair], **search)}
    if name in HAND:
        points = [np.array([entry[kind] for entry in HAND[name]]) for kind in ("infrared", "visible")]
        ways = {"as noted": said, "searched": found.matrix, "fit of the points": fit(*points, "similarity")}
        figures |= {way: float(np.median(residuals(matrix, *points))) for way, matrix in ways.items()}
    return {key: round(value, 3) for key, value in figures.items()}


def test_numbers_mean_width_and_middle():
    matrix = picture_in_picture(2.0, 30, -10, (320, 240), (1280, 960))
    left, right = transform(matrix, np.array([[-0.5, 0], [319.5, 0]]))
    assert right[0] - left[0] == pytest.approx(1280 / 2.0)
    middle = transform(matrix, np.array([[159.5, 119.5]]))[0]
    one_pixel = 640 / 320
    np.testing.assert_allclose(middle, [639.5 + 30 * one_pixel, 479.5 - 10 * one_pixel])
    low, high = scales_around(2.0)
    assert low < 0.5 < high


@pytest.mark.parametrize("numbers", [(0, 0, 0), (float("nan"), 0, 0), (2, float("inf"), 0), (-1.7, 2, 3)])
def test_numbers_that_no_camera_notes(numbers):
    with pytest.raises(ConfigError, match="Real2IR"):
        picture_in_picture(*numbers, (320, 240), (1280, 960))


@pytest.mark.parametrize(("name", "limit"), [("FLIR0800", 8), ("FLIR0806", 12), ("FLIR_T640", 6), ("FLIR_B60", 4)])
def test_frames_that_can_be_registered(shared, name, limit):
    figures = registered(shared / "data" / "flir_raw16", name)
    assert figures["searched"] < limit
    assert figures["score"] > CLEAR * figures["by chance"]


@pytest.mark.parametrize("name", BLURRED)
def test_frames_of_a_moving_hand_are_refused(shared, name):
    figures = registered(shared / "data" / "flir_raw16", name)
    assert figures["score"] < CLEAR * figures["by chance"]


def main() -> None:
    folder = Path(os.environ.get("IVIF_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data" / "flir_raw16"
    for name in (*HAND, *BLURRED):
        print(json.dumps({"frame": name, **registered(folder, name)}), flush=True)


if __name__ == "__main__":
    main()
