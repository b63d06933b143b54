"""Radiometric photos as a folder of pairs that every other tool reads: temperatures of 16 bits, visible pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ivif_core.errors import InputError, OutputError
from ivif_core.files.outputs import place_folder
from ivif_core.files.writing import printable, temporary_folder, write_text
from ivif_core.imaging.files import write_image
from ivif_core.offline.radiometric_photo import RadiometricPhoto, read_photo
from ivif_core.settings import Settings
from ivif_core.settings.documents import parameters_as_yaml
from ivif_core.thermal.radiometry import ZERO_CELSIUS

STEPS = (0.01, 0.1)
"""Kelvin a count: the first reaches up to 382 °C, the second what any camera measures."""


def write_photos(photos: dict[str, Path], folder: Path, settings: Settings, *, fail: bool = False) -> list[str]:
    """Write `infrared/<stem>.png` (uint16, as FLIR's TLinear), `visible/<stem>.png` and `<stem>.yaml`, the parameters.

    Args:
        photos: stem -> file.
        folder: must not exist; it appears when all are written.
        fail: stop at the first that is broken.

    Returns:
        Why photos were left out.

    Raises:
        InputError: all are broken, or one is, and `fail`.
    """
    failed: list[str] = []
    with temporary_folder(folder) as temporary:
        for name in ("infrared", "visible"):
            (temporary / name).mkdir()
        for stem, path in photos.items():
            try:
                photo = read_photo(path, settings.maximum_megapixels)
                counts, step = to_counts(photo.celsius)
                write_image(temporary / "infrared" / f"{stem}.png", counts, sweep_folder=False)
                write_image(temporary / "visible" / f"{stem}.png", photo.visible, sweep_folder=False)
                write_text(temporary / f"{stem}.yaml", _parameters(photo, path, step))
            except OutputError:
                raise
            except InputError as error:
                failed.append(str(error))
                if fail or len(failed) == len(photos):
                    raise
        place_folder(temporary, folder, made_by="ivif extract", overwrite=False)
    return failed


def to_counts(celsius: np.ndarray) -> tuple[np.ndarray, float]:
    """uint16 counts of temperatures, and kelvin a count; 0 where there is none."""
    kelvin = np.nan_to_num(celsius.astype(np.float64), nan=-ZERO_CELSIUS) + ZERO_CELSIUS
    step = next((step for step in STEPS if kelvin.max() <= step * 65535), STEPS[-1])
    return np.clip(np.rint(kelvin / step), 0, 65535).astype(np.uint16), step


def _parameters(photo: RadiometricPhoto, path: Path, step: float) -> str:
    values: dict[str, object] = {
        "radiometry.kind": "linear",
        "radiometry.scale": step,
        "radiometry.offset": -ZERO_CELSIUS,
    }
    if photo.registration is not None:
        values |= {
            "registration.mode": "homography",
            "registration.homography": [float(f"{value:.10g}") for value in photo.registration.matrix.ravel()],
        }
    notes = ", ".join(f"{name} {value:g}" for name, value in photo.notes.items())
    return f"# {printable(path.name)!a}, as its camera notes it: {notes}\n{parameters_as_yaml(values)}"
