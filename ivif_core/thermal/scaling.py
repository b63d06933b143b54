"""Infrared counts -> intensity. Every way is stateless or has explicit state, and none flickers."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from ivif_core.errors import ConfigError, InputError
from ivif_core.imaging.colour import luminance
from ivif_core.thermal.clahe import LocalContrast
from ivif_core.thermal.pixel_repair import PixelRepair
from ivif_core.thermal.radiometry import Radiometry
from ivif_core.thermal.range_tracker import RangeTracker, sample

MODES = ("fixed", "percentile", "plateau")

STEP = 0.75
"""Most grey levels that an adapting scaling moves a count in one frame; under 1, lest rounding makes it 2."""


ALL_COUNTS = np.arange(65536, dtype=np.float32)[None, :]

WIDE_LUT = int(cv2.__version__.split(".")[0]) >= 5
"""OpenCV 5 looks 16-bit values up, twice as fast as NumPy; earlier ones only 8-bit values."""


class ThermalScaling(Protocol):
    """Turns counts (uint16) or values (float32) H×W into uint8 intensity H×W."""

    def __call__(self, counts: np.ndarray) -> np.ndarray: ...

    def reset(self) -> None:
        """Forget what earlier frames taught; called when the stream starts anew."""


def check_counts(counts: np.ndarray) -> np.ndarray:
    """Return `counts` if it is H×W of integers or floats (H×W×1 is squeezed).

    Raises:
        InputError: another type or shape, or no pixel.
    """
    if not isinstance(counts, np.ndarray) or counts.dtype.kind not in "uif":
        raise InputError(f"infrared: expected an array of numbers, got {getattr(counts, 'dtype', type(counts))}")
    if counts.ndim == 3 and counts.shape[2] == 1:
        counts = counts[:, :, 0]
    if counts.ndim != 2 or counts.size == 0:
        raise InputError(f"infrared: expected H×W, got shape {counts.shape}")
    return counts


def linear_map(counts: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8 of `counts` with `low` -> 0, `high` -> 255, linear between, clipped outside (NaN -> 0)."""
    if counts.dtype == np.uint16:
        return look_up(linear_map(ALL_COUNTS, low, high)[0], counts)
    return cv2.convertScaleAbs(position(counts, low, high), alpha=255.0)


def look_up(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`table` (uint8 [65536]) at every count (uint16)."""
    return cv2.LUT(counts, table) if WIDE_LUT else np.take(table, counts)


def position(counts: np.ndarray, low: float, high: float) -> np.ndarray:
    """float32 of `counts`: where each lies between `low` (0) and `high` (1), clipped (NaN -> 0)."""
    with np.errstate(over="ignore", invalid="ignore"):
        place = np.subtract(counts, np.float32(low), dtype=np.float32)
        place *= np.float32(1 / (high - low))
    return np.fmin(np.fmax(place, 0, out=place), 1, out=place)


class FixedScaling:
    """`low` becomes 0 and `high` 255, linear between, clipped outside. No state."""

    def __init__(self, low: float, high: float) -> None:
        if not (np.isfinite([low, high]).all() and low < high):
            raise ConfigError(f"thermal scaling: low must be under high, both finite, got {low:g} and {high:g}")
        self.low, self.high = float(low), float(high)

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        return linear_map(check_counts(counts), self.low, self.high)

    def reset(self) -> None:
        """Nothing to forget."""


class TemperatureScaling:
    """A fixed range in °C: `low` becomes 0 and `high` 255, linear in temperature between. No state."""

    def __init__(self, low: float, high: float, radiometry: Radiometry) -> None:
        self._linear = FixedScaling(low, high)
        self.radiometry = radiometry
        self._table = self._linear(radiometry.celsius(ALL_COUNTS))[0]

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        counts = check_counts(counts)
        if counts.dtype == np.uint16:
            return look_up(self._table, counts)
        return self._linear(self.radiometry.celsius(counts))

    def reset(self) -> None:
        """Nothing to forget."""


class PercentileScaling:
    """A linear range from percentiles of the frames, smoothed over time so that one frame's content does not flicker.

    With smoothing, a still background moves at most one grey level a frame (see `thermal_range`).
    """

    def __init__(self, low: float = 1.0, high: float = 99.0, smoothing: float = 0.95, step: float = STEP) -> None:
        """
        Args:
            low, high: percentiles that become 0 and 255.
            smoothing: share of the old range kept at each frame, in [0, 1); 0 takes each frame by itself.
            step: most grey levels that smoothing may move a count in one frame.
        """
        self._tracker = RangeTracker(low, high, smoothing, step)

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        counts = check_counts(counts)
        self._tracker.update(sample(counts))
        return linear_map(counts, self._tracker.low, self._tracker.high)

    def reset(self) -> None:
        self._tracker.reset()


class PlateauScaling:
    """Plateau histogram equalisation, as thermal cameras do themselves.

    Grey levels go where pixels are, but counts that very many pixels share (sky, wall) weigh no more than the plateau,
    so that the rest keeps contrast and noise is not blown up.
    V. E. Vickers, "Plateau equalization algorithm for real-time display of high-quality infrared imagery", Optical
    Engineering 35(7), 1996. The curve follows the scene by at most `step` grey levels a frame.
    """

    BINS = 256
    TABLE = 4096

    def __init__(
        self,
        low: float = 0.2,
        high: float = 99.8,
        smoothing: float = 0.95,
        plateau: float = 3.0,
        step: float = STEP,
    ) -> None:
        """
        Args:
            low, high: percentiles between which levels are spread; outside is clipped.
            smoothing: share of the old curve kept at each frame, in [0, 1); 0 takes each frame by itself.
            plateau: a bin counts at most this many times its fair share (pixels / bins). Large: full equalisation;
                near 0: every bin that is not empty counts alike.
            step: most grey levels that smoothing may move a count in one frame.
        """
        if not (np.isfinite(plateau) and plateau > 0):
            raise ConfigError(f"thermal scaling: plateau must be over 0, got {plateau:g}")
        self._tracker = RangeTracker(low, high, smoothing, step)
        self.plateau, self.smoothing, self.step = float(plateau), smoothing, step
        self._curve: np.ndarray | None = None  # grey level at BINS + 1 counts from the tracker's low to its high
        self._knots = np.zeros(self.BINS + 1)

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        counts = check_counts(counts)
        tracker, taken = self._tracker, sample(counts)
        tracker.update(taken)
        knots = np.linspace(tracker.low, tracker.high, self.BINS + 1)
        curve = equalisation_curve(taken, tracker.low, tracker.high, self.BINS, self.plateau)
        if self._curve is not None and not tracker.restarted:
            old = np.interp(knots, self._knots + tracker.drift, self._curve)
            curve = old + np.clip((1 - self.smoothing) * (curve - old), -self.step, self.step)
        self._knots, self._curve = knots, curve
        if counts.dtype == np.uint16:
            first, last = np.clip([np.floor(tracker.low), np.ceil(tracker.high)], 0, 65535).astype(int)
            table = np.full(65536, 255, np.uint8)
            table[:first] = 0
            table[first : last + 1] = np.rint(np.interp(np.arange(first, last + 1), knots, curve))
            return look_up(table, counts)
        table = np.interp(np.linspace(0, self.BINS, self.TABLE), np.arange(self.BINS + 1), curve)
        index = position(counts, tracker.low, tracker.high)
        index *= self.TABLE - 1
        return np.take(np.rint(table).astype(np.uint8), index.astype(np.uint16))

    def reset(self) -> None:
        self._tracker.reset()
        self._curve = None


def equalisation_curve(taken: np.ndarray, low: float, high: float, bins: int, plateau: float) -> np.ndarray:
    """Grey level, float64 [bins + 1] from 0 to 255, at equally spaced counts from `low` to `high`.

    Args:
        taken: 1-D finite counts; those outside [low, high] are left out.
        plateau: most that a bin may count, in multiples of (counts inside / bins).
    """
    taken = taken.astype(np.float64)  # a range may lie outside of what float32 holds
    index = ((taken[(taken >= low) & (taken <= high)] - low) * (bins / (high - low))).astype(np.intp)
    histogram = np.bincount(np.minimum(index, bins - 1), minlength=bins).astype(np.float64)
    if index.size == 0:
        return np.linspace(0.0, 255.0, bins + 1)
    clipped = np.minimum(histogram, plateau * index.size / bins)
    return np.concatenate([[0.0], np.cumsum(clipped)]) * (255.0 / clipped.sum())


def to_intensity(infrared: np.ndarray, scaling: ThermalScaling) -> np.ndarray:
    """The uint8 intensity alone that `scaled` gives."""
    return scaled(infrared, scaling)[1]


def scaled(infrared: np.ndarray, scaling: ThermalScaling) -> tuple[np.ndarray, np.ndarray]:
    """Counts and intensity of any infrared image: the one contract for all that read one.

    Args:
        infrared: uint8 H×W (H×W×1 is squeezed) is intensity already; uint8 H×W×3 (BGR) is a thermal image in colour,
            of which the luminance is taken; all other numbers (counts, °C, kelvin; NaN where dead) go through
            `scaling`.

    Returns:
        Counts without bad pixels and uint8 intensity, both h×w; the same array where nothing is scaled.

    Raises:
        InputError: no numbers, another shape, or no pixel.
    """
    if isinstance(infrared, np.ndarray) and infrared.dtype == np.uint8 and infrared.shape[2:] == (3,) and infrared.size:
        infrared = luminance(infrared)
    infrared = check_counts(infrared)
    if infrared.dtype == np.uint8:
        return infrared, infrared
    if infrared.dtype != np.uint16:
        infrared = infrared.astype(np.float32, copy=False)
    intensity = scaling(infrared)
    repaired = scaling.counts if isinstance(scaling, ThermalChain) else None
    return infrared if repaired is None else repaired, intensity


class ThermalChain:
    """Repair of bad pixels, a scaling, and local contrast on top.

    Attributes:
        counts: the last frame, repaired.
    """

    def __init__(self, scaling: ThermalScaling, repair: PixelRepair, contrast: LocalContrast | None = None) -> None:
        self.scaling, self.repair, self.contrast = scaling, repair, contrast
        self.counts: np.ndarray | None = None

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        self.counts = self.repair(check_counts(counts))
        intensity = self.scaling(self.counts)
        return intensity if self.contrast is None else self.contrast(intensity)

    def reset(self) -> None:
        self.scaling.reset()
        self.repair.reset()
        if self.contrast is not None:
            self.contrast.reset()


class SingleImages:
    """A scaling that starts anew at every image, for images that are no stream. No state, so no repair of bad pixels.

    The first frame of a stream through the chain gives the same, except for those.
    """

    def __init__(self, chain: ThermalChain) -> None:
        self._scaling, self._contrast = chain.scaling, chain.contrast

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        self._scaling.reset()
        intensity = self._scaling(check_counts(counts))
        if self._contrast is None:
            return intensity
        self._contrast.reset()
        return self._contrast(intensity)

    def reset(self) -> None:
        """Nothing to forget."""


def make_scaling(
    mode: str = "percentile",
    *,
    low: float = 0.0,
    high: float = 65535.0,
    low_percentile: float = 1.0,
    high_percentile: float = 99.0,
    smoothing: float = 0.95,
    plateau: float = 3.0,
    clahe: float = 0.0,
    radiometry: Radiometry | None = None,
) -> ThermalChain:
    """The scaling that parameters name, with repair of bad pixels before it.

    Args:
        mode: 'fixed' (uses `low`, `high`), 'percentile' (uses the percentiles and `smoothing`) or 'plateau' (those and
            `plateau`).
        low, high: °C where there is `radiometry`, else counts (or the float image's unit), that become 0 and 255.
        low_percentile, high_percentile: percentiles of the frame that become 0 and 255.
        smoothing: share of the old range kept at each frame, in [0, 1); 0 takes each frame by itself.
        plateau: see `PlateauScaling`.
        clahe: clip limit of local contrast on top; 0: none.
        radiometry: what counts mean; only a fixed range uses it.

    Raises:
        ConfigError: an unknown mode or a value out of range.
    """
    if not clahe >= 0:
        raise ConfigError(f"thermal scaling: clahe must be a clip limit over 0, or 0 for none, got {clahe:g}")
    # With local contrast, whose gain is up to clahe + 1, both may together move a count by STEP.
    step = STEP / 2 / (1 + clahe) if clahe else STEP
    scaling: ThermalScaling
    if mode == "fixed":
        scaling = FixedScaling(low, high) if radiometry is None else TemperatureScaling(low, high, radiometry)
    elif mode == "percentile":
        scaling = PercentileScaling(low_percentile, high_percentile, smoothing, step)
    elif mode == "plateau":
        scaling = PlateauScaling(low_percentile, high_percentile, smoothing, plateau, step)
    else:
        raise ConfigError(f"thermal scaling: mode must be one of {', '.join(MODES)}, got '{mode}'")
    return ThermalChain(scaling, PixelRepair(), LocalContrast(clahe, smoothing, STEP / 2) if clahe else None)
