"""The constant offset between two cameras' clocks, from what moves in both pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from ivif_core.errors import InputError

STEP = 0.005
"""Seconds between samples of the compared signals."""
SEGMENTS = 5
"""The recording is cut in so many parts to see how far they agree."""


@dataclass(frozen=True)
class TimeOffset:
    """Result of `estimate_offset`.

    Attributes:
        seconds: to be added to infrared stamps (the node's `thermal_time_offset`).
        uncertainty: standard error, s, from how far parts of the recording differ.
        correlation: of the two signals at that offset, at most 1.
        runner_up: highest correlation at an offset that is clearly another.
    """

    seconds: float
    uncertainty: float
    correlation: float
    runner_up: float

    @property
    def is_sure(self) -> bool:
        """Clear enough to use: the signals agree, nowhere else as well, and in all parts alike."""
        return self.correlation > 0.4 and self.correlation > 1.2 * self.runner_up and self.uncertainty < 0.02


def motion_energy(frames: Iterable[tuple[float, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """How much the picture changes: times in the middle between frames (s), and the rate of change there.

    Args:
        frames: (stamp in s, image uint8 H×W or H×W×3, or uint16 or float H×W), in order.

    Raises:
        InputError: fewer than three frames.
    """
    times, energies, before = [], [], None
    for stamp, image in frames:
        grey = cv2.resize(image, (96, 72), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = np.asarray(cv2.GaussianBlur(grey.mean(axis=2) if grey.ndim == 3 else grey, (0, 0), 1.0))
        if before is not None and stamp > before[0]:
            change = small - before[1]
            # Without the common change: exposure and the sensor's drift are no motion.
            times.append((stamp + before[0]) / 2)
            energies.append(float(np.abs(change - np.median(change)).mean()) / (stamp - before[0]))
        before = (stamp, small)
    if len(times) < 2:
        raise InputError(f"time offset: expected at least three frames with growing stamps, got {len(times) + 1}")
    return np.array(times), np.array(energies)


def estimate_offset(
    infrared: tuple[np.ndarray, np.ndarray], visible: tuple[np.ndarray, np.ndarray], largest: float = 1.0
) -> TimeOffset:
    """The offset at which two motion signals agree best.

    Args:
        infrared, visible: times (s) and values, as `motion_energy` gives them.
        largest: largest offset looked for, s.

    Raises:
        InputError: the recordings overlap by less than ten times `largest`, or one of them shows no motion.
    """
    begin = max(infrared[0][0], visible[0][0])
    end = min(infrared[0][-1], visible[0][-1])
    if end - begin < 10 * largest:
        raise InputError(
            f"time offset: the cameras overlap by {max(end - begin, 0):.1f} s; an offset up to {largest:g} s needs "
            f"{10 * largest:g} s, with motion that both see"
        )
    grid = np.arange(begin, end, STEP)
    slower = max(float(np.median(np.diff(times))) for times, _ in (infrared, visible))
    first, second = (_signal(grid, *signal, slower) for signal in (infrared, visible))
    lags = round(largest / STEP)
    whole = _correlations(first, second, lags)
    peak = int(np.argmax(whole))
    seconds = _refined(whole, peak, lags)
    near = round(max(3 * slower, 0.1) / STEP)
    others = np.r_[whole[: max(peak - near, 0)], whole[peak + near + 1 :]]
    bounds = np.linspace(0, len(grid), SEGMENTS + 1).astype(int)
    parts = []
    for start, stop in pairwise(bounds):
        part = _correlations(first[start:stop], second[start:stop], lags)
        parts.append(_refined(part, int(np.argmax(part)), lags))
    error = float(np.std(parts, ddof=1) / SEGMENTS**0.5)
    return TimeOffset(seconds, error, float(whole[peak]), float(others.max(initial=-1.0)))


def _signal(grid: np.ndarray, times: np.ndarray, energy: np.ndarray, slower: float) -> np.ndarray:
    """Logarithm of motion on a grid, both cameras smoothed alike, without its slow part."""
    if np.ptp(energy) == 0:
        raise InputError("time offset: one camera shows no motion")
    values = np.interp(grid, times, np.log(energy + 0.05 * float(np.median(energy)) + 1e-9))
    values = _smooth(values, slower)
    return np.asarray(values - _smooth(values, 30 * slower))


def _smooth(values: np.ndarray, seconds: float) -> np.ndarray:
    sigma = max(seconds / STEP, 0.5)
    return np.asarray(cv2.GaussianBlur(values[None, :], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[0])


def _correlations(first: np.ndarray, second: np.ndarray, lags: int) -> np.ndarray:
    """Correlation coefficient of first(t − lag) and second(t) for lags from −lags to lags."""
    found = np.full(2 * lags + 1, -1.0)
    for lag in range(-lags, lags + 1):
        a, b = (first[: len(first) - lag], second[lag:]) if lag >= 0 else (first[-lag:], second[: len(second) + lag])
        if len(a) > 20 and a.std() > 0 and b.std() > 0:
            found[lag + lags] = np.corrcoef(a, b)[0, 1]
    return found


def _refined(correlations: np.ndarray, peak: int, lags: int) -> float:
    """Seconds of the vertex of the parabola through the peak and its neighbours."""
    if 0 < peak < len(correlations) - 1:
        before, top, after = correlations[peak - 1 : peak + 2]
        curve = before - 2 * top + after
        if curve < 0:
            return float((peak - lags + 0.5 * (before - after) / curve) * STEP)
    return (peak - lags) * STEP
