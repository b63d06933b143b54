"""The range that a stream of thermal frames occupies, followed without flicker.

A thermal stream changes in three ways, and each asks for another answer:
- something hot or cold enters or leaves: the range follows slowly, `step` grey levels a frame at most, so that the
  background is not seen to jump;
- all counts drift together (the sensor warms, the shutter recalibrates): the range is shifted with them at once, so
  that nothing is seen at all;
- another scene (most of the frame is outside the range): the range starts anew.
"""

from __future__ import annotations

import numpy as np

from ivif_core.errors import ConfigError

SAMPLES = 8_000
"""About as many pixels are looked at in a frame; enough for percentiles, and cheap."""

ALIKE = 0.7
"""Share of pixels that must move by the same amount for the move to be a drift of the camera, not of the scene."""


def sample(counts: np.ndarray) -> np.ndarray:
    """About `SAMPLES` pixels of H×W on a regular grid, 1-D; the same pixels at every frame of one size."""
    stride = max(1, int((counts.size / SAMPLES) ** 0.5))
    return counts[::stride, ::stride].ravel()


def common_drift(before: np.ndarray, now: np.ndarray, span: float) -> float:
    """By how much nearly all values moved together; 0 where they did not.

    Args:
        before, now: 1-D, the same pixels at two times (not finite ones are left out).
        span: width of the range in use; moves that differ by more than it are another scene, not noise.
    """
    if before.shape != now.shape or before.dtype != now.dtype:
        return 0.0
    quantum = 0.0 if now.dtype.kind == "f" else 1.0
    with np.errstate(invalid="ignore"):
        moved = now[::2].astype(np.float64) - before[::2]
    moved = moved[np.isfinite(moved)]
    if moved.size == 0:
        return 0.0
    away = np.abs(moved - np.median(moved))
    # 4.5 median deviations are 3 standard deviations of Gaussian noise; integers tick one by one in a slow drift.
    tolerance = max(4.5 * float(np.median(away)), quantum)
    alike = moved[away <= tolerance]
    return float(alike.mean()) if alike.size >= ALIKE * moved.size and tolerance <= 1.25 * span else 0.0


class RangeTracker:
    """Follows two percentiles over time.

    Attributes:
        low, high: the present range, low < high.
        drift: by how much the last update shifted the range with the camera's drift.
        restarted: the last update began a new range instead of following the old.
    """

    def __init__(self, low_percentile: float, high_percentile: float, smoothing: float, step: float) -> None:
        """
        Args:
            low_percentile, high_percentile: in [0, 100].
            smoothing: share of the old range kept at each update, in [0, 1); 0 takes each by itself.
            step: most that an update may move the range beside drift, in 255ths of it.

        Raises:
            ConfigError: a value out of range.
        """
        if not 0 <= low_percentile < high_percentile <= 100:
            raise ConfigError(
                "thermal scaling: percentiles must be in [0, 100], the low under the high, "
                f"got {low_percentile:g} and {high_percentile:g}"
            )
        if not 0 <= smoothing < 1:
            raise ConfigError(f"thermal scaling: smoothing must be in [0, 1), got {smoothing:g}")
        if not step > 0:
            raise ConfigError(f"thermal scaling: step must be over 0, got {step:g}")
        self._percentiles = (low_percentile, high_percentile)
        self._lost_share = (1 + (low_percentile + 100 - high_percentile) / 100) / 2
        self._smoothing, self._step = smoothing, step
        self.reset()

    def reset(self) -> None:
        self.low, self.high, self.drift, self.restarted = 0.0, 1.0, 0.0, True
        self._before: np.ndarray | None = None

    def update(self, taken: np.ndarray) -> None:
        """Learn from one frame's `sample` (values that are not finite are left out; without any, nothing changes)."""
        finite = taken if taken.dtype.kind != "f" else taken[np.isfinite(taken)]
        self.drift, self.restarted = 0.0, self._before is None
        if finite.size == 0:
            return
        target_low, target_high = self._target(finite)
        if self._smoothing and self._before is not None:
            self.drift = common_drift(self._before, taken, self.high - self.low)
            self.low, self.high = self.low + self.drift, self.high + self.drift
            outside = np.count_nonzero(finite < self.low) + np.count_nonzero(finite > self.high)
            lost = outside > self._lost_share * finite.size
            self.restarted = lost or self.high - self.low < least_span(self.low) / 2
        if self._smoothing == 0 or self.restarted:
            self.restarted = True
            self.low, self.high = target_low, target_high
        else:
            most = self._step / 255 * (self.high - self.low)
            self.low += float(np.clip((1 - self._smoothing) * (target_low - self.low), -most, most))
            self.high += float(np.clip((1 - self._smoothing) * (target_high - self.high), -most, most))
        self._before = taken.copy() if self._smoothing else None

    def _target(self, finite: np.ndarray) -> tuple[float, float]:
        ordered = np.sort(finite)  # a radix sort for 16 bits: faster than selecting
        at = np.asarray(self._percentiles) / 100 * (ordered.size - 1)
        below = at.astype(np.intp)
        above = np.minimum(below + 1, ordered.size - 1)
        values = ordered[below].astype(np.float64)
        low, high = values + (ordered[above] - values) * (at - below)
        return float(low), float(max(high, low + least_span(low)))


def least_span(low: float) -> float:
    """Width of the narrowest range that begins at `low`: counts further apart than rounding takes them."""
    return max(1e-6, abs(low) * 1e-6)
