from __future__ import annotations

from pathlib import Path

import pytest

from ivif_core.errors import IvifError
from ivif_core.files import shared
from ivif_core.files.shared import share_file


def test_files_of_the_source_tree():
    assert share_file("config/fusion.yaml").is_file() and share_file("recipes/teacher.yaml").is_file()
    with pytest.raises(IvifError, match=r"config/none\.yaml is in none of .*reinstall"):
        share_file("config/none.yaml")


@pytest.mark.parametrize(
    ("code", "share"),
    [
        ("venv/lib/python3.12/site-packages", "venv/share/ivif_ros"),  # pip, --user, colcon
        ("usr/local/lib/python3.12/dist-packages", "usr/local/share/ivif_ros"),
        ("target", "target/share/ivif_ros"),  # pip --target
        ("elsewhere/lib/python3.12/site-packages", "ament/share/ivif_ros"),
    ],
)
def test_files_of_an_installed_package(tmp_path, monkeypatch, code, share):
    (tmp_path / share / "recipes").mkdir(parents=True)
    (tmp_path / share / "recipes" / "teacher.yaml").touch()
    monkeypatch.setattr(shared, "_ROOT", tmp_path / code)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'other'}:{tmp_path / 'ament'}")
    assert share_file("recipes/teacher.yaml") == tmp_path / share / "recipes" / "teacher.yaml"


def test_a_root_with_few_parents_is_no_fault(monkeypatch):
    monkeypatch.setattr(shared, "_ROOT", Path("/"))
    assert shared.share_folders()
