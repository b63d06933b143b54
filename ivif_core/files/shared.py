"""Files that come with the package beside its code: parameter files, launch files, recipes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ivif_core.errors import IvifError

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = "share/ivif_ros"


def share_file(name: str) -> Path:
    """A file of `config/`, `launch/` or `recipes/`, such as 'config/fusion.yaml'.

    It is looked for in the source tree, beside the installed code (`pip`, with or without `--user` and `--target`;
    colcon), in the Python prefix and in the ament prefixes.

    Raises:
        IvifError: it is in none of them.
    """
    for folder in share_folders():
        if (folder / name).is_file():
            return folder / name
    places = ", ".join(map(str, share_folders()))
    raise IvifError(f"{name} is in none of {places}; reinstall the package")


def share_folders() -> list[Path]:
    """Where `config/`, `launch/` and `recipes/` may lie; the first comes first."""
    if (_ROOT / "package.xml").is_file():
        return [_ROOT, _ROOT / "training"]
    ament = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    # lib/python3.x/site-packages lies in the prefix; with --target the code lies there itself.
    prefixes = [*_ROOT.parents[2:3], _ROOT, Path(sys.prefix), *ament]
    return list(dict.fromkeys(prefix / _PACKAGE for prefix in prefixes))
