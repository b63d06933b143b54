"""Registration from parameters, and the YAML file that holds one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ivif_core.errors import ConfigError, one_line, shown
from ivif_core.files.writing import write_text
from ivif_core.files.yaml_files import read_yaml
from ivif_core.registration.base import Homography, Registration, Resize, Size, Unregistered
from ivif_core.registration.camera_info import CameraInfos
from ivif_core.registration.pinhole import MOST_PIXELS, Camera, Pinhole

MODES = ("none", "resize", "homography", "file", "camera_info")


def make_registration(
    mode: str = "resize",
    *,
    homography: Sequence[float] = (),
    file: str | os.PathLike[str] = "",
    rotation: Sequence[float] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
    translation: Sequence[float] = (0, 0, 0),
    distance: float = 10.0,
) -> Registration:
    """The registration that parameters name.

    Args:
        mode: 'none' (the same grid already), 'resize' (the same view), 'homography', 'file', or 'camera_info' (cameras
            are told later, by `CameraInfos.set_info`).
        homography: nine numbers, row by row, from infrared to visible pixels.
        file: YAML as `load_registration` reads it.
        rotation, translation, distance: of 'camera_info', as of `Pinhole`.

    Raises:
        ConfigError: an unknown mode, no invertible matrix, or a file that cannot be used.
    """
    if mode == "none":
        return Unregistered()
    if mode == "resize":
        return Resize()
    if mode == "homography":
        return Homography(np.asarray(homography, np.float64))
    if mode == "file":
        if not str(file):
            raise ConfigError("registration file: no path given; `ivif calibrate` makes such a file")
        return load_registration(file)
    if mode == "camera_info":
        return CameraInfos(rotation, translation, distance)
    raise ConfigError(f"registration: mode must be one of {', '.join(MODES)}, got '{mode}'")


def load_registration(path: str | os.PathLike[str]) -> Registration:
    """Read a registration file.

    A mapping with `model: homography`, `homography` (nine numbers) and, so that it fits other resolutions of the same
    view too, `infrared_size` and `visible_size` ([width, height]). Or with `model: pinhole`, `infrared` and `visible`
    (each in the layout of camera_calibration, or the path of such a file, seen from this one), `rotation` (nine
    numbers) and `translation` (m) from the visible camera's frame to the infrared one's, and `distance` (m) of the
    scene. Other keys (how it was made) are for the reader.

    Raises:
        ConfigError: the file cannot be read or does not hold a registration.
    """
    content = read_yaml(path)
    model = content.get("model")
    if model == "homography":
        return Homography(
            numbers(content, "homography", 9, path),
            infrared_size=_size(content, "infrared_size", path),
            visible_size=_size(content, "visible_size", path),
        )
    if model == "pinhole":
        infrared, visible = (_camera(content, name, path) for name in ("infrared", "visible"))
        rotation, translation = numbers(content, "rotation", 9, path), numbers(content, "translation", 3, path)
        return Pinhole(infrared, visible, rotation, translation, float(numbers(content, "distance", 1, path)[0]))
    raise ConfigError(f"{one_line(path)}: expected 'model: homography' or 'model: pinhole', got {shown(model)}")


def save_homography(path: str | os.PathLike[str], homography: Homography, notes: dict[str, object]) -> None:
    """Write a registration file; `notes` say how it was made.

    Raises:
        InputError: the file cannot be written.
    """
    content: dict[str, object] = {"model": "homography"}
    content["homography"] = [float(f"{value:.10g}") for value in homography.matrix.ravel()]
    for key in ("infrared_size", "visible_size"):
        if getattr(homography, key) is not None:
            content[key] = [int(pixels) for pixels in getattr(homography, key)]
    write_text(Path(path), yaml.safe_dump({**content, **notes}, sort_keys=False, allow_unicode=True))


def save_pinhole(path: str | os.PathLike[str], pinhole: Pinhole, notes: dict[str, object]) -> None:
    """Write a registration file with both cameras in it; `notes` say how it was made.

    Raises:
        OutputError: the file cannot be written.
    """
    content: dict[str, object] = {
        "model": "pinhole",
        "infrared": pinhole.infrared.as_yaml(),
        "visible": pinhole.visible.as_yaml(),
        "rotation": [float(f"{value:.10g}") for value in pinhole.rotation.ravel()],
        "translation": [float(f"{value:.6g}") for value in pinhole.translation],
        "distance": float(f"{pinhole.distance:.4g}"),
    }
    write_text(Path(path), yaml.safe_dump({**content, **notes}, sort_keys=False, allow_unicode=True))


def numbers(content: dict[Any, Any], key: str, count: int, path: str | os.PathLike[str]) -> np.ndarray:
    """The `count` finite numbers under `key`, nested or flat, as a flat array.

    Raises:
        ConfigError: anything else is there.
    """
    try:
        values = np.asarray(content.get(key), np.float64).ravel()
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.size != count or not np.isfinite(values).all():
        raise ConfigError(f"{one_line(path)}: {key}: expected {count} finite numbers, got {shown(content.get(key))}")
    return values


def _camera(content: dict[Any, Any], name: str, path: str | os.PathLike[str]) -> Camera:
    given = content.get(name)
    if isinstance(given, str):
        path = Path(path).parent / given
        given = read_yaml(path)
    if not isinstance(given, dict):
        raise ConfigError(
            f"{one_line(path)}: {name}: expected a camera in the layout of camera_calibration, or its file's path"
        )
    return Camera.from_yaml(given, path)


def _size(content: dict[Any, Any], key: str, path: str | os.PathLike[str]) -> Size | None:
    if key not in content:
        return None
    width, height = numbers(content, key, 2, path)
    if not all(1 <= pixels <= MOST_PIXELS and pixels % 1 == 0 for pixels in (width, height)):
        raise ConfigError(
            f"{one_line(path)}: {key}: expected [width, height] in pixels, at most {MOST_PIXELS}, got "
            f"{shown(content[key])}"
        )
    return int(width), int(height)
