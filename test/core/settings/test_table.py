from __future__ import annotations

import pytest

from ivif_core.errors import ConfigError
from ivif_core.settings import BY_NAME, PARAMETERS, Settings, check_names
from ivif_core.settings.table import GROUPS
from test.core.settings.cases import neighbours

NAMES = [parameter.name for parameter in PARAMETERS]


def test_every_parameter_is_described_and_takes_its_default():
    assert len(set(NAMES)) == len(NAMES)
    assert {name.partition(".")[0] for name in NAMES if "." in name} == set(GROUPS)
    for parameter in PARAMETERS:
        assert parameter.description.endswith(".")
        assert parameter.read(parameter.default) == parameter.default


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelt_name_is_refused_with_the_nearest(name):
    for wrong in neighbours(name):
        with pytest.raises(ConfigError, match="no such parameter; the nearest is ") as refused:
            Settings.from_values({wrong: BY_NAME[name].default})
        assert str(refused.value).startswith(wrong)
    with pytest.raises(ConfigError, match=f"nearest is {name}$"):
        check_names([f"{name}x"])


def test_the_last_part_of_a_name_and_strange_names_find_a_nearest_one():
    with pytest.raises(ConfigError, match=r"nearest is thermal_scaling\.clahe$"):
        check_names(["clahe"])
    for strange in ("", "…", "a\nb", "x" * 10_000):
        with pytest.raises(ConfigError) as refused:
            check_names([strange])
        assert len(str(refused.value).splitlines()) == 1 and len(str(refused.value)) < 200


def test_names_of_ros_itself_pass():
    names = ["use_sim_time", "start_type_description_service", "qos_overrides./thermal/image_raw.subscription.depth"]
    assert Settings.from_values(dict.fromkeys(names, 1)) == Settings.from_values()


def test_a_whole_number_serves_where_a_float_is_expected():
    settings = Settings.from_values({"slop": 1, "thermal_scaling.low": 20000, "registration.translation": [0, 0, 1]})
    assert settings["slop"] == 1.0 and isinstance(settings["slop"], float)
    assert settings["registration.translation"] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("value", [10**400, float("nan"), float("-inf"), True, None, "1", [1.0], object()])
def test_what_is_no_finite_number_is_refused(value):
    for name in ("slop", "queue_size", "thermal_scaling.low"):
        with pytest.raises(ConfigError, match=name):
            BY_NAME[name].read(value)
    with pytest.raises(ConfigError, match="homography"):
        BY_NAME["registration.homography"].read([1.0, value])
