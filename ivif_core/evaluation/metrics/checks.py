"""The one check that every metric makes of its images."""

from __future__ import annotations

import numpy as np

from ivif_core.errors import InputError


def check_grey(**images: np.ndarray) -> None:
    """Refuse anything but uint8 images H×W of one size, at least 2×2; the keywords are the arguments' names.

    Only uint8 is taken, so that no figure is ever of a picture in 0..1: half of the disagreement between published
    figures is of that kind.

    Raises:
        InputError: names the argument, what came and what was expected.
    """
    first, of_size = next(iter(images.items()))
    for name, image in images.items():
        if not isinstance(image, np.ndarray):
            raise InputError(f"{name}: expected a NumPy array of uint8 H×W, got {type(image).__name__}")
        if image.dtype != np.uint8:
            raise InputError(f"{name}: expected uint8 in 0..255, got {image.dtype}")
        if image.ndim != 2 or min(image.shape) < 2:
            raise InputError(f"{name}: expected a grey image H×W of at least 2×2, got shape {image.shape}")
        if image.shape != of_size.shape:
            raise InputError(f"{name}: expected the shape of {first}, {of_size.shape}, got {image.shape}")
