"""What looks wrong about a pair at first sight: warnings for people, never a refusal."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from ivif_core.imaging.crop import UNCROPPED, Crop
from ivif_core.imaging.plausibility import is_coloured, low_aligned_bits
from ivif_core.thermal.byte_order import looks_swapped
from ivif_core.thermal.telemetry import telemetry_rows


class Suspicion(NamedTuple):
    """A line about one camera."""

    camera: Literal["thermal", "rgb"]
    line: str


def suspicions(infrared: np.ndarray, visible: np.ndarray, crop: Crop = UNCROPPED["infrared"]) -> list[Suspicion]:
    """One for each thing that looks wrong.

    Args:
        infrared, visible: as stored or sent: H×W or H×W×C, uint8, uint16 or float.
        crop: what is left out of the thermal image anyway.
    """
    thermal = _telemetry(infrared, crop), _colours(infrared, visible), _byte_order(crop.apply(infrared, "thermal"))
    found = [Suspicion("thermal", line) for line in thermal if line]
    bits = low_aligned_bits(visible)
    if bits:
        found.append(
            Suspicion(
                "rgb",
                f"16-bit RGB images use {bits} bits only and come out dark: have the driver shift them up by "
                f"{16 - bits}, or send 8 bits",
            )
        )
    return found


def _byte_order(counts: np.ndarray) -> str:
    swapped = counts.ndim == 2 and counts.dtype == np.uint16 and looks_swapped(counts)
    return "thermal bytes look swapped: the driver states a wrong is_bigendian" if swapped else ""


def _telemetry(infrared: np.ndarray, crop: Crop) -> str:
    top, bottom = telemetry_rows(crop.apply(infrared, "thermal"))
    if not top and not bottom:
        return ""
    where = " and ".join(f"the {side} {rows}" for side, rows in (("first", top), ("last", bottom)) if rows)
    remedy = [crop.top + top, crop.bottom + bottom, crop.left, crop.right]
    return f"{where} rows of the thermal image look like telemetry, not image: set thermal_crop: {remedy}"


def _colours(infrared: np.ndarray, visible: np.ndarray) -> str:
    if _is_coloured(infrared):
        if not _is_coloured(visible):
            return (
                "are the cameras swapped? The thermal image is in colour and the RGB image is grey "
                "(or is the thermal one in false colour?)"
            )
        return (
            "the thermal image is in false colour, whose brightness is not temperature: set the camera to white-hot, "
            "or to 16-bit counts"
        )
    if visible.ndim == 2 and visible.dtype == np.uint16 and infrared.dtype == np.uint8:
        return "are the cameras swapped? The RGB image is grey of 16 bits and the thermal one of 8"
    return ""


def _is_coloured(image: np.ndarray) -> bool:
    return is_coloured((image // 257).astype(np.uint8) if image.dtype == np.uint16 else image)
