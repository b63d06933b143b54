"""Infrared counts -> intensity. Every way is stateless or has explicit state, and none flickers."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from ivif_core.errors import ConfigError, InputError


class ThermalScaling(Protocol):
    """Turns counts (uint16) or values (float32) H×W into uint8 intensity H×W."""

    def __call__(self, counts: np.ndarray) -> np.ndarray: ...

    def reset(self) -> None:
        """Forget what earlier frames taught; called when the stream starts anew."""


class FixedScaling:
    """`low` becomes 0 and `high` 255, linear between, clipped outside. No state."""

    def __init__(self, low: float, high: float) -> None:
        if not low < high:
            raise ConfigError(f"thermal scaling: low must be under high, got {low:g} and {high:g}")
        self.low, self.high = float(low), float(high)

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        scale = 255.0 / (self.high - self.low)
        return cv2.convertScaleAbs(np.clip(counts, self.low, self.high), alpha=scale, beta=-self.low * scale)

    def reset(self) -> None:
        """Nothing to forget."""


class PercentileScaling:
    """A range from percentiles of the frames, smoothed over time so that one frame's content does not flicker."""

    def __init__(self, low: float = 1.0, high: float = 99.0, smoothing: float = 0.95) -> None:
        """
        Args:
            low, high: percentiles that become 0 and 255.
            smoothing: share of the old range kept at each frame, in [0, 1); 0 takes each frame by itself.
        """
        if not (0 <= low < high <= 100 and 0 <= smoothing < 1):
            raise ConfigError(f"thermal scaling: percentiles {low:g}, {high:g} or smoothing {smoothing:g} out of range")
        self.low, self.high, self.smoothing = low, high, smoothing
        self._range: tuple[float, float] | None = None

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        low, high = np.percentile(counts[::2, ::2], [self.low, self.high])
        if self._range is not None:
            low = self.smoothing * self._range[0] + (1 - self.smoothing) * low
            high = self.smoothing * self._range[1] + (1 - self.smoothing) * high
        self._range = (low, high)
        return FixedScaling(low, max(high, low + 1e-6))(counts)

    def reset(self) -> None:
        self._range = None


def to_intensity(infrared: np.ndarray, scaling: ThermalScaling) -> np.ndarray:
    """Infrared as uint8 intensity: uint8 as it is, float times 255, counts through `scaling`.

    Args:
        infrared: H×W (H×W×1 is squeezed): uint8 intensity, float intensity in [0, 1] or uint16 counts.

    Raises:
        InputError: wrong type or shape, or float intensity outside [0, 1].
    """
    if not isinstance(infrared, np.ndarray):
        raise InputError(f"infrared: expected an array, got {type(infrared).__name__}")
    if infrared.ndim == 3 and infrared.shape[2] == 1:
        infrared = infrared[:, :, 0]
    if infrared.ndim != 2 or 0 in infrared.shape:
        raise InputError(f"infrared: expected H×W, got shape {infrared.shape}")
    if infrared.dtype == np.uint8:
        return infrared
    if infrared.dtype == np.uint16:
        return scaling(infrared)
    if np.issubdtype(infrared.dtype, np.floating):
        low, high = float(infrared.min()), float(infrared.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN fails too
            raise InputError(f"infrared: expected float intensity in [0, 1], got [{low:g}, {high:g}]; scale it first")
        return np.rint(infrared * 255).astype(np.uint8)
    raise InputError(f"infrared: expected uint8, uint16 or float, got {infrared.dtype}")
