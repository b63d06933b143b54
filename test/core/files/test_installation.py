"""What the hints tell to install, from where the user stands."""

from __future__ import annotations

import re
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

from ivif_core.files import installation
from ivif_core.files.installation import PACKAGES, install_command, pip_install

ROOT = Path(__file__).resolve().parents[3]


class Installed:
    """A distribution as pip or colcon leave it."""

    def __init__(self, requires=None, url=None):
        self.requires, self._url = requires, url

    def read_text(self, name):
        return self._url if name == "direct_url.json" else None


@pytest.fixture
def outside(monkeypatch, tmp_path):
    """The package lies in no clone."""
    monkeypatch.setattr(
        installation.ivif_core, "__file__", str(tmp_path / "site-packages" / "ivif_core" / "__init__.py")
    )


def standing(monkeypatch, found):
    left_by_a_build = [Installed()] if found.read_text("direct_url.json") else []
    monkeypatch.setattr(metadata, "distributions", lambda **_: [*left_by_a_build, found])


def test_in_a_clone(monkeypatch):
    standing(monkeypatch, Installed(url=f'{{"dir_info": {{"editable": true}}, "url": "file://{ROOT}"}}'))
    assert install_command("video").endswith(f"{ROOT}[video]'") and " -e " in install_command("video")
    standing(monkeypatch, Installed())
    assert install_command("video").endswith(f"{ROOT}[video]'")


def test_in_a_colcon_workspace_the_packages_themselves(monkeypatch, outside):
    standing(monkeypatch, Installed(requires=["numpy>=1.22", 'av>=12; extra == "video"']))
    assert install_command("video").endswith(" 'av>=12'")
    standing(monkeypatch, Installed(requires=None))  # Humble's setuptools reads no [project]
    assert install_command("video").endswith(" av")
    assert "ivif_ros" not in install_command("ray")


def test_from_a_wheel_at_an_address(monkeypatch, outside):
    standing(monkeypatch, Installed(url='{"archive_info": {}, "url": "https://example.org/ivif_ros-0.2.0.whl"}'))
    assert install_command("ray").endswith("'ivif_ros[ray] @ https://example.org/ivif_ros-0.2.0.whl'")


def test_a_system_that_keeps_its_python_to_itself(monkeypatch, tmp_path):
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    assert pip_install("av") == "pip install av"
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    assert pip_install("av") == "pip install --break-system-packages av"
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")  # in a virtual environment pip may do as it likes
    assert pip_install("av") == "pip install av"


def test_the_table_has_the_extras_that_pyproject_has():
    text = (ROOT / "pyproject.toml").read_text()
    for extra, packages in PACKAGES.items():
        (listed,) = re.findall(
            rf"^{extra} = \[(.*?)\n?\]", text.replace("ros-rclpy[fastrtps]", "ros-rclpy"), re.M | re.S
        )
        names = [re.split("[<>=!]", name)[0] for name in re.findall(r'"([^"]+)"', listed)]
        assert names == [package.replace("[fastrtps]", "") for package in packages]


def test_no_message_tells_to_install_by_a_name_that_is_in_no_index():
    for path in [*ROOT.glob("ivif_core/**/*.py"), *ROOT.glob("ivif_ros/**/*.py")]:
        if path.name != "installation.py":
            assert not re.search(r"pip install ['\"\w]", path.read_text()), path
