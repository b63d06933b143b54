from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.backends import EngineOptions
from ivif_core.errors import ConfigError
from ivif_core.registration.base import Resize, Unregistered
from ivif_core.settings import PARAMETERS, Settings
from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import ApproximatePairing
from ivif_core.thermal.scaling import PercentileScaling

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([1e308, -1e308, 5e-324, -273.15, 10**400, [10**400] * 9])
    | st.text(max_size=5)
    | st.lists(st.floats() | st.integers(), max_size=9)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"slop": -0.1}, "slop: -0.1 is outside [0, 10]"),
        ({"slop": 20}, "slop: 20.0 is outside [0, 10]"),
        ({"slop": "soon"}, "slop: expected a finite number, got 'soon'"),
        ({"vividnes": 1}, "vividnes: no such parameter; the nearest is vividness"),
        ({"queue_size": 3.7}, "queue_size: expected a whole number, got 3.7"),
        ({"on_missing": "bogus"}, "on_missing: 'bogus' is not one of pause"),
        ({"backend": "abacus"}, "backend: 'abacus' is not one of auto"),
        ({"autostart": 1}, "autostart: expected true or false, got 1"),
        ({"model": "a\0b"}, "model: expected text without NUL"),
        ({"registration.file": "\ud800"}, "registration.file: expected text without NUL"),
        ({"model": 3}, "model: expected text in quotes, got 3"),
        ({"registration.mode": "homography", "registration.homography": [1.0, 0.0]}, "nine"),
        ({"registration.mode": "file"}, "registration file: no path given"),
        ({"thermal_scaling.mode": "fixed", "thermal_scaling.low": 9, "thermal_scaling.high": 3}, "low must be under"),
        ({"hot_spots.mode": "celsius"}, "needs radiometry"),
        ({"registration.depth": True}, "registration.depth: mode resize"),
        ({"registration.mode": "camera_info", "registration.rotation": [1.0] * 9}, "rotation"),
    ],
)
def test_what_is_wrong_or_does_not_fit_is_refused_with_its_name(values, told):
    with pytest.raises(ConfigError) as refused:
        Settings.from_values(values)
    assert told in str(refused.value)


def test_the_parts_are_what_the_values_say(tmp_path):
    values = {"slop": 0.2, "queue_size": 7, "thermal_time_offset": -0.1, "maximum_megapixels": 2}
    made = Settings.from_values(values)
    pairing = made.pairing()
    assert type(pairing) is ApproximatePairing and made.maximum_megapixels == 2.0
    assert (pairing.slop, pairing.queue_size, pairing.infrared_offset) == (0.2, 7, -0.1)
    nearest = Settings.from_values({**values, "pairing": "nearest", "hold_thermal": 1}).pairing()
    assert isinstance(nearest, NearestPairing) and (nearest.hold, nearest.slop) == (1.0, 0.2)
    assert isinstance(made.recorded_registration(), Resize)
    assert isinstance(Settings.from_values({"registration.mode": "none"}).recorded_registration(), Unregistered)
    named = {"model": "a.onnx", "registration.file": "b.yaml"}
    assert Settings.from_values(named).files() == [Path("a.onnx"), Path("b.yaml")] and made.files() == []
    assert made.not_default() == values and Settings.from_values(made.not_default()) == made


def test_the_engine_is_built_for_what_the_values_say_offline_too(tmp_path):
    values = {"engine.precision": "fp32", "engine.maximum_width": 320, "engine.maximum_height": 240}
    gpus = {"engine.library": "tensorrt-rtx", "engine.compute_capabilities": "8.6 8.9"}
    made = Settings.from_values({**values, **gpus, "engine.cache": str(tmp_path)}).engine()
    sizes = EngineOptions(optimum=(240, 320), maximum=(240, 320), precision="fp32", cache=tmp_path)
    assert made == replace(sizes, library="tensorrt-rtx", compute_capabilities=("8.6", "8.9"))
    assert Settings.from_values().engine() == EngineOptions()


def test_the_fuser_is_given_all_of_it(monkeypatch, tmp_path):
    given_engine = []
    create = "ivif_core.fusion.backends.create"

    def refuse(name, model, **options):
        given_engine.append((name, options["engine"], options["threads"], options["wait_for_engine"]))
        raise ConfigError("seen")

    monkeypatch.setattr(create, refuse)
    made = Settings.from_values({"backend": "tensorrt", "threads": 2, "engine.cache": str(tmp_path)})
    with pytest.raises(ConfigError, match="seen"):
        made.fuser()
    assert given_engine == [("tensorrt", made.engine(), 2, True)]


def test_cameras_that_only_topics_tell_are_refused_offline():
    made = Settings.from_values({"registration.mode": "camera_info"})
    for make in (made.recorded_registration, made.fuser):
        with pytest.raises(ConfigError, match="model: pinhole"):
            make()


@pytest.mark.parametrize("mode", ["percentile", "plateau", "fixed"])
@pytest.mark.parametrize("clahe", [0.0, 2.0])
def test_single_images_are_scaled_as_if_each_were_the_first(mode, clahe):
    made = Settings.from_values({"thermal_scaling.mode": mode, "thermal_scaling.clahe": clahe})
    images = np.random.default_rng(0).integers(20000, 24000, (3, 40, 50)).astype(np.uint16)
    with made.fuser(is_stream=False) as fuser:
        scaled = [fuser.scaling(image + step * 5000) for step, image in enumerate(images)]
    for step, image in enumerate(images):
        np.testing.assert_array_equal(scaled[step], made.scaling()(image + step * 5000))
    if mode == "percentile" and not clahe:  # what `Fuser` does by itself
        np.testing.assert_array_equal(scaled[2], PercentileScaling(smoothing=0.0)(images[2] + 10000))


def test_what_may_not_change_live_is_refused_with_the_way_out():
    made = Settings.from_values()
    changes = {"model": "/other.onnx", "slop": 0.2}
    with pytest.raises(ConfigError, match=r"model cannot change .* cleanup"):
        made.with_changes(changes, only_live=True)
    assert made.with_changes(changes).changed(made) == {"model", "slop"}
    assert made.with_changes({"use_sim_time": True}, only_live=True) == made
    with pytest.raises(ConfigError, match=r"registration\.depth: mode none"):
        Settings.from_values({"registration.depth": True, "registration.mode": "camera_info"}).with_changes(
            {"registration.mode": "none"}, only_live=True
        )


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_values_are_taken_or_refused_on_one_line(data):
    parameters = data.draw(st.lists(st.sampled_from(PARAMETERS), min_size=1, max_size=6, unique_by=lambda p: p.name))
    values = {p.name: data.draw(st.sampled_from(p.choices) if p.choices else VALUES) for p in parameters}
    try:
        Settings.from_values(values)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 400


def test_the_registration_is_kept_unless_it_changes(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("model: homography\nhomography: [1, 0, 0, 0, 1, 0, 0, 0, 1]\n")
    first = Settings.from_values({"registration.mode": "file", "registration.file": str(path)})
    path.unlink()
    second = first.with_changes({"slop": 0.2}, only_live=True)
    assert second.registration is first.registration
    third = second.with_changes({"registration.mode": "resize"}, only_live=True)
    assert third.registration is not first.registration
    with pytest.raises(ConfigError, match="cannot be read"):
        third.with_changes({"registration.mode": "file"}, only_live=True)
