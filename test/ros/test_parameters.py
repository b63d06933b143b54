from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy")
from rclpy.parameter import Parameter

from ivif_core.errors import ConfigError
from ivif_ros.parameters import PARAMETERS, Settings

VALUES = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.sampled_from([1e308, -1e308, 5e-324, -273.15])
    | st.text(max_size=5)
    | st.lists(st.floats(), max_size=9)
)

CONFIG = Path(__file__).resolve().parents[2] / "config" / "fusion.yaml"


def flatten(tree: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in tree.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def test_parameter_file_holds_every_parameter_with_its_default():
    values = flatten(yaml.safe_load(CONFIG.read_text())["/**"]["ros__parameters"])
    assert values == {parameter.name: parameter.default for parameter in PARAMETERS}
    assert all(type(values[p.name]) is type(p.default) for p in PARAMETERS)


def test_every_parameter_is_described_and_its_default_is_allowed():
    for parameter in PARAMETERS:
        assert parameter.description.endswith(".")
        assert parameter.read(parameter.default) == parameter.default
        assert parameter.descriptor().description == parameter.description


def test_a_whole_number_serves_where_a_float_is_expected():
    settings = Settings.from_values({"slop": 1, "thermal_scaling.low": 20000})
    assert settings["slop"] == 1.0 and isinstance(settings["slop"], float)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("slop", -0.1, "outside"),
        ("slop", "soon", "expected float"),
        ("vividness", 1.5, "outside [0, 1]"),
        ("queue_size", 2.5, "expected int"),
        ("backend", "abacus", "not one of auto"),
        ("autostart", 1, "expected bool"),
        ("registration.homography", [1.0, 0.0], "nine"),
        ("registration.homography", "identity", "list of numbers"),
    ],
)
def test_a_bad_value_is_refused_with_name_and_reason(name, value, told):
    values = {name: value, "registration.mode": "homography"}
    with pytest.raises(ConfigError) as refused:
        Settings.from_values(values)
    assert told in str(refused.value)
    assert name.split(".")[0] in str(refused.value)


def test_values_that_do_not_fit_one_another_are_refused():
    with pytest.raises(ConfigError, match="thermal scaling"):
        Settings.from_values({"thermal_scaling.mode": "fixed", "thermal_scaling.low": 9, "thermal_scaling.high": 3})


def test_depth_needs_calibrated_cameras():
    with pytest.raises(ConfigError, match=r"registration\.depth: mode resize"):
        Settings.from_values({"registration.depth": True})
    settings = Settings.from_values({"registration.depth": True, "registration.mode": "camera_info"})
    with pytest.raises(ConfigError, match=r"registration\.depth: mode none"):
        settings.with_changes([Parameter("registration.mode", value="none")], only_live=True)
    with pytest.raises(ConfigError, match="rotation"):
        Settings.from_values({"registration.mode": "camera_info", "registration.rotation": [1.0] * 9})


def test_what_may_not_change_live_is_refused_with_the_way_out():
    settings = Settings.from_values({})
    changes = [Parameter("model", value="/other.onnx"), Parameter("slop", value=0.2)]
    with pytest.raises(ConfigError, match=r"model cannot change .* cleanup"):
        settings.with_changes(changes, only_live=True)
    changed = settings.with_changes(changes, only_live=False)
    assert changed.changed(settings) == {"model", "slop"}


def test_parameters_of_others_are_left_alone():
    settings = Settings.from_values({})
    assert settings.with_changes([Parameter("use_sim_time", value=True)], only_live=True) == settings


def test_the_readme_lists_every_parameter_and_no_other():
    readme = (CONFIG.parents[1] / "README.md").read_text()
    table = readme.partition("<!-- parameters -->")[2].partition("<!-- /parameters -->")[0]
    rows = {row.split("|")[1].strip(" `"): row for row in table.strip().splitlines()[2:]}
    assert list(rows) == [parameter.name for parameter in PARAMETERS]
    for parameter in PARAMETERS:
        assert parameter.description in rows[parameter.name]
        if not isinstance(parameter.default, list):
            shown = '""' if parameter.default == "" else str(parameter.default)
            assert rows[parameter.name].split("|")[2].strip() == f"`{shown}`"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_values_are_taken_or_refused_on_one_line(data):
    parameters = data.draw(st.lists(st.sampled_from(PARAMETERS), min_size=1, max_size=6, unique_by=lambda p: p.name))
    values = {p.name: data.draw(st.sampled_from(p.choices) if p.choices else VALUES) for p in parameters}
    try:
        Settings.from_values(values)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1


def test_the_registration_is_kept_unless_it_changes(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("model: homography\nhomography: [1, 0, 0, 0, 1, 0, 0, 0, 1]\n")
    first = Settings.from_values({"registration.mode": "file", "registration.file": str(path)})
    path.unlink()
    second = first.with_changes([Parameter("slop", value=0.2)], only_live=True)
    assert second.registration is first.registration
    third = second.with_changes([Parameter("registration.mode", value="resize")], only_live=True)
    assert third.registration is not first.registration
    with pytest.raises(ConfigError, match="cannot be read"):
        third.with_changes([Parameter("registration.mode", value="file")], only_live=True)
