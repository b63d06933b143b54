from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ivif_core.errors import ConfigError
from ivif_core.settings import PARAMETERS, read_parameter_file
from ivif_core.settings.documents import as_yaml, documents, parameter_file, write_documents

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", documents())
def test_the_documents_are_what_the_table_says(name):
    assert (ROOT / name).read_text(encoding="utf-8") == documents()[name], "run python -m ivif_core.settings --write"


def test_the_parameter_file_holds_every_parameter_with_its_default_for_ros_and_for_yaml():
    ours = read_parameter_file(ROOT / "config/fusion.yaml")
    assert list(ours) == [parameter.name for parameter in PARAMETERS]
    for parameter in PARAMETERS:
        assert ours[parameter.name] == parameter.default
        assert type(ours[parameter.name]) is type(parameter.default)
        theirs = yaml.safe_load(parameter_file())["/**"]["ros__parameters"]
        for part in parameter.name.split("."):
            theirs = theirs[part]
        assert theirs == parameter.default and type(theirs) is type(parameter.default)


@pytest.mark.parametrize("value", ["off", "", "3", "1e3", "null", "plain", "a: b", True, 3, 0.5, 1e6, [1.0, 0.0]])
def test_a_default_is_yaml_of_its_value(value):
    assert yaml.safe_load(as_yaml(value)) == value and type(yaml.safe_load(as_yaml(value))) is type(value)


def test_only_what_changed_is_written(tmp_path):
    for name in ("config", "docs"):
        (tmp_path / name).mkdir()
    assert write_documents(tmp_path) == [tmp_path / name for name in documents()]
    assert write_documents(tmp_path) == []
    (tmp_path / "docs/parameters.md").write_text("edited")
    assert write_documents(tmp_path) == [tmp_path / "docs/parameters.md"]
    with pytest.raises(ConfigError, match="checkout"):
        write_documents(tmp_path / "config")


def test_the_command_prints_the_parameter_file():
    done = subprocess.run([sys.executable, "-m", "ivif_core.settings"], capture_output=True, text=True, check=True)
    assert done.stdout == parameter_file()
