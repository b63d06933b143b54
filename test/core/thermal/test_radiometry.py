from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest

from ivif_core.errors import ConfigError
from ivif_core.thermal.radiometry import LinearRadiometry, PlanckRadiometry, make_radiometry

T650 = (15607.8017578125, 0.014284121803939342, 1410.300048828125, 1.0, -4178)


def planck_loop(counts, constants, emissivity=1.0, reflected_kelvin=293.15):
    """FLIR's formula, pixel by pixel."""
    R1, R2, B, F, O = constants  # noqa: E741
    reflected = R1 / (R2 * (math.exp(B / reflected_kelvin) - F)) - O
    temperatures = []
    for count in counts:
        signal = (float(count) - (1 - emissivity) * reflected) / emissivity
        temperatures.append(B / math.log(R1 / (R2 * (signal + O)) + F) - 273.15)
    return temperatures


@pytest.mark.parametrize("emissivity", [1.0, 0.95, 0.5])
def test_planck_is_the_makers_formula(emissivity):
    counts = np.arange(12000, 30000, 371, dtype=np.uint16)
    planck = PlanckRadiometry(*T650, emissivity=emissivity, reflected_celsius=20)
    expected = planck_loop(counts, T650, emissivity)
    np.testing.assert_allclose(planck.celsius(counts), expected, rtol=1e-12)
    np.testing.assert_allclose(planck.counts(planck.celsius(counts)), counts, rtol=1e-9)


def test_planck_without_temperature_is_nan():
    assert np.isnan(PlanckRadiometry(*T650).celsius(np.array([0.0, 4178.0]))).all()


def test_linear_kinds():
    assert LinearRadiometry(0.01, -273.15).celsius(29315) == pytest.approx(20.0)
    assert LinearRadiometry(0.1, -273.15).celsius(2931.5) == pytest.approx(20.0)
    assert make_radiometry("linear", scale=0.1, offset=-100).celsius(np.uint16(1250)) == pytest.approx(25.0)  # Optris
    assert LinearRadiometry(0.1, -100).counts(25.0) == pytest.approx(1250)


def test_real_scenes_have_plausible_temperatures(shared):
    folder = shared / "data" / "flir_raw16"
    cameras = json.loads((folder / "camera.json").read_text())
    assert len(cameras) == 6
    for name, camera in cameras.items():
        counts = cv2.imread(str(folder / "infrared16" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        constants = [camera["planck"][key] for key in ("R1", "R2", "B", "F", "O")]
        reflected, emissivity = camera["reflected_temperature_K"], camera["emissivity"]
        planck = make_radiometry(
            "planck", planck=tuple(constants), emissivity=emissivity, reflected_celsius=reflected - 273.15
        )
        celsius = planck.celsius(counts)
        chosen = counts.ravel()[::97]
        np.testing.assert_allclose(
            celsius.ravel()[::97], planck_loop(chosen, constants, emissivity, reflected), atol=1e-9
        )
        assert -70 < celsius.min() < celsius.max() < 160, name
        assert -10 < np.median(celsius) < 50, name


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"kind": "kelvin"}, "none, linear, planck"),
        ({"kind": "linear", "scale": 0}, "scale"),
        ({"kind": "planck"}, "five constants"),
        ({"kind": "planck", "planck": T650, "emissivity": 0}, "emissivity"),
        ({"kind": "planck", "planck": (0, *T650[1:])}, "R1"),
        ({"kind": "planck", "planck": T650, "reflected_celsius": -300}, "reflected"),
    ],
)
def test_bad_parameters_are_named(parameters, said):
    with pytest.raises(ConfigError, match=said):
        make_radiometry(**parameters)


def test_none_is_none():
    assert make_radiometry() is None
