"""What looks wrong about a pair at first sight: warnings for people, never a refusal."""

from __future__ import annotations

import numpy as np

from ivif_core.imaging.plausibility import is_coloured

_LOW_BITS = (10, 12, 14)


def pair_warnings(infrared: np.ndarray, visible: np.ndarray) -> list[str]:
    """A line for each thing that looks wrong.

    Args:
        infrared, visible: as stored or sent: H×W or H×W×C, uint8, uint16 or float.
    """
    lines = []
    thermal_colour = _is_coloured(infrared)
    if thermal_colour and not _is_coloured(visible):
        lines.append("the thermal image is in colour and the RGB image is grey: are the cameras swapped?")
    elif visible.ndim == 2 and visible.dtype == np.uint16 and infrared.dtype == np.uint8:
        lines.append("the RGB image is grey of 16 bits and the thermal one of 8: are the cameras swapped?")
    elif thermal_colour:
        lines.append(
            "the thermal image is in false colour, whose brightness is no temperature: set the camera to white-hot, "
            "or to 16-bit counts"
        )
    bits = low_aligned_bits(visible)
    if bits:
        lines.append(
            f"the RGB image uses the lower {bits} of its 16 bits and looks black: have the driver shift them up by "
            f"{16 - bits}, or send 8 bits"
        )
    return lines


def low_aligned_bits(visible: np.ndarray) -> int:
    """10, 12 or 14 where a uint16 image fills only so many of its lower bits; 0: it does not."""
    if visible.dtype != np.uint16 or not visible.size:
        return 0
    largest = int(visible.max())
    fits = [bits for bits in _LOW_BITS if largest < 1 << bits]
    # An image of 16 bits that is dark by itself steps by more than one where it once was 8 bits.
    uses_low_bits = bool((visible & 3).any())
    return fits[0] if fits and largest > 255 and uses_low_bits else 0


def _is_coloured(image: np.ndarray) -> bool:
    return is_coloured((image // 257).astype(np.uint8) if image.dtype == np.uint16 else image)
