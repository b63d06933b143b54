from __future__ import annotations

import numpy as np
import pytest

from ivif_core.errors import ConfigError
from ivif_core.registration.distortion import Distortion
from ivif_core.registration.pinhole import Camera
from test.core.registration.test_camera_info import info

TAKEN = {
    "no model, no D (simulators)": ("", [], [0] * 5),
    "no model, zeros": ("", [0] * 5, [0] * 5),
    "no model, coefficients": ("", [0.1, 0.01, 0, 0, 0], [0.1, 0.01, 0, 0, 0]),
    "no D": ("plumb_bob", [], [0] * 5),
    "four (OpenCV)": ("plumb_bob", [0.1, 0.01, 0, 0], [0.1, 0.01, 0, 0]),
    "eight under another name": ("plumb_bob", [0.1] + [0] * 7, [0.1] + [0] * 7),
    "rational, five": ("rational_polynomial", [0.1] + [0] * 4, [0.1] + [0] * 4),
    "rational, twelve": ("rational_polynomial", [0.1] + [0] * 11, [0.1] + [0] * 11),
    "rational, fourteen (OAK)": ("rational_polynomial", [0.1] + [0] * 13, [0.1] + [0] * 13),
    "capitals": ("PLUMB_BOB", [0.1] * 5, [0.1] * 5),
    "Kalibr": ("radtan", [0.1, 0, 0, 0], [0.1, 0, 0, 0]),
    "RealSense depth": ("Inverse Brown Conrady", [0] * 5, [0] * 5),
    "RealSense colour": ("Modified Brown Conrady", [0.1] * 5, [0.1] * 5),
    "no lens": ("pinhole", [], [0] * 5),
    "named none": ("none", [], [0] * 5),
    "an odd number of zeros": ("plumb_bob", [0] * 6, [0] * 5),
}
FISHEYE = {
    "equidistant": ("equidistant", [0.01, 0, 0, 0], [0.01, 0, 0, 0]),
    "T265": ("equidistant", [0.01, 0, 0, 0, 0], [0.01, 0, 0, 0]),
    "fisheye": ("fisheye", [0.01, 0, 0, 0], [0.01, 0, 0, 0]),
    "no D": ("fisheye", [], [0] * 4),
    "zeros of the other model": ("equidistant", [0] * 5, [0] * 4),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_opencvs_model_takes(case):
    model, given, expected = TAKEN[case]
    lens = Distortion(model, given)
    assert not lens.fisheye and lens.coefficients.tolist() == expected
    camera = Camera.from_camera_info(info(distortion_model=model, d=given))
    assert np.isfinite(camera.rays((64, 48))).all()


@pytest.mark.parametrize("case", FISHEYE)
def test_what_opencvs_fisheye_model_takes(case):
    model, given, expected = FISHEYE[case]
    lens = Distortion(model, given)
    assert lens.fisheye and lens.coefficients.tolist() == expected
    assert np.isfinite(Camera.from_camera_info(info(distortion_model=model, d=given)).rays((64, 48))).all()


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        ("mystery", [], "must be plumb_bob"),
        ("plumb_bob", [0.1] * 6, "takes 4, 5, 8, 12, 14 coefficients, got 6"),
        ("equidistant", [0.1] * 5, "takes 4 coefficients, got 5"),
        ("Inverse Brown Conrady", [0.1] * 5, "takes no distortion"),
        ("plumb_bob", [np.nan] * 5, "finite"),
        ("plumb_bob", [[0.1] * 5], "in a row"),
    ],
)
def test_what_is_refused(model, given, said):
    with pytest.raises(ConfigError, match=said):
        Distortion(model, given)


def test_p_serves_where_k_is_zero_and_there_is_no_distortion():
    projection = [60.0, 0, 31, 0, 0, 61, 25, 0, 0, 0, 1, 0]
    ideal = Camera.from_camera_info(info(k=[0.0] * 9, d=[], p=projection))
    assert ideal.matrix.tolist() == [[60, 0, 31], [0, 61, 25], [0, 0, 1]]
    for changes in ({"d": [], "p": [0.0] * 12}, {"d": [0.1] * 5, "p": projection}):
        with pytest.raises(ConfigError, match="not calibrated"):
            Camera.from_camera_info(info(k=[0.0] * 9, **changes))


@pytest.mark.parametrize("model", ["plumb_bob", "fisheye"])
def test_bending_undoes_straightening(rng, model):
    lens = Distortion(model, [0.05, -0.01, 0.002, 0.001])
    pixels = rng.uniform(0, 60, (40, 1, 2))
    matrix = np.array([[60, 0, 31], [0, 61, 25], [0, 0, 1.0]])
    x, y = lens.bend(*lens.straighten(pixels, matrix)[:, 0].T)
    np.testing.assert_allclose(np.stack([60 * x + 31, 61 * y + 25], axis=-1), pixels[:, 0], atol=1e-3)
