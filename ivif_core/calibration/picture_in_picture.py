"""What hand-held FLIR cameras note of how their thermal picture lies in the RGB one, as a registration.

Radiometric JPEGs hold Real2IR, OffsetX and OffsetY (`exiftool -Real2IR -OffsetX -OffsetY file.jpg`). FLIR does not
document them. Found by looking: Real2IR is the RGB width over that of the thermal view; the offsets are where the
thermal view's middle lies from RGB's, in thermal pixels, right and down, at the distance that the camera was focused
on. A camera that was zoomed in notes all three times its zoom.
"""

from __future__ import annotations

import numpy as np

from ivif_core.errors import ConfigError
from ivif_core.registration.base import Size

SPREAD = 1.07
"""The scale is looked for within this factor of the noted one."""


def picture_in_picture(
    real2ir: float, offset_x: float, offset_y: float, infrared_size: Size, visible_size: Size
) -> np.ndarray:
    """The 3×3 matrix, infrared -> visible pixels, that the three numbers describe.

    Raises:
        ConfigError: numbers that no camera notes.
    """
    if not np.isfinite([real2ir, offset_x, offset_y]).all() or not 0.5 <= real2ir <= 20:
        raise ConfigError(
            "picture in picture: expected Real2IR (0.5 to 20), OffsetX and OffsetY (thermal pixels), "
            f"got {real2ir:g} {offset_x:g} {offset_y:g}"
        )
    scale = visible_size[0] / (real2ir * infrared_size[0])
    middle_in, middle_out = (np.array(infrared_size) - 1) / 2, (np.array(visible_size) - 1) / 2
    move = middle_out - scale * (middle_in - [offset_x, offset_y])
    return np.array([[scale, 0, move[0]], [0, scale, move[1]], [0, 0, 1]])


def scales_around(real2ir: float) -> tuple[float, float]:
    """Range of the thermal view's width, as a share of the visible one, to look in."""
    return 1 / (SPREAD * real2ir), SPREAD / real2ir
