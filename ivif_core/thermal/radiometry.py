"""Counts <-> temperature of what the thermal camera sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ivif_core.errors import ConfigError

ZERO_CELSIUS = 273.15
"""0 °C in kelvin."""

KINDS = ("none", "linear", "planck")


class Radiometry(Protocol):
    """A monotone relation of counts (or float values) and temperature."""

    def celsius(self, counts: np.ndarray | float) -> np.ndarray:
        """Temperature, °C, float64 of the same shape; NaN where there is none."""

    def counts(self, celsius: np.ndarray | float) -> np.ndarray:
        """Counts of a temperature in °C, float64 of the same shape."""


@dataclass(frozen=True)
class LinearRadiometry:
    """°C = counts · scale + offset.

    FLIR TLinear: 0.01 or 0.1 and −273.15. Optris: 0.1 and −100. Float kelvin: 1 and −273.15; float Celsius: 1 and 0.
    """

    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.scale, self.offset]).all() and self.scale > 0):
            raise ConfigError(f"radiometry linear: scale must be over 0, got {self.scale:g} and offset {self.offset:g}")

    def celsius(self, counts: np.ndarray | float) -> np.ndarray:
        return np.asarray(counts, np.float64) * self.scale + self.offset

    def counts(self, celsius: np.ndarray | float) -> np.ndarray:
        return (np.asarray(celsius, np.float64) - self.offset) / self.scale


@dataclass(frozen=True)
class PlanckRadiometry:
    """FLIR's calibration: T = B / ln(R1 / (R2 (S + O)) + F) kelvin, S the count of the object's own radiation.

    What the camera counts is ε S + (1 − ε) S(reflected temperature); the air between is taken as clear. Constants as
    in the metadata of a radiometric JPEG (`PlanckR1` and so on in exiftool).

    Attributes:
        R1, R2, B, F, O: the camera's constants.
        emissivity: ε of what is looked at, in (0, 1].
        reflected_celsius: apparent temperature of what it mirrors.
    """

    R1: float
    R2: float
    B: float
    F: float
    O: float  # noqa: E741 - the maker's name
    emissivity: float = 1.0
    reflected_celsius: float = 20.0

    def __post_init__(self) -> None:
        values = [self.R1, self.R2, self.B, self.F, self.O, self.emissivity, self.reflected_celsius]
        if not np.isfinite(values).all() or min(self.R1, self.R2, self.B) <= 0:
            raise ConfigError(f"radiometry planck: expected finite constants, R1, R2 and B over 0, got {values}")
        if not 0 < self.emissivity <= 1 or self.reflected_celsius <= -ZERO_CELSIUS:
            raise ConfigError(
                f"radiometry planck: expected an emissivity in (0, 1] and a reflected temperature over −273.15 °C, "
                f"got {self.emissivity:g} and {self.reflected_celsius:g}"
            )

    def celsius(self, counts: np.ndarray | float) -> np.ndarray:
        counts = np.asarray(counts, np.float64)
        if self.emissivity < 1:
            counts = (counts - (1 - self.emissivity) * self._signal(self.reflected_celsius)) / self.emissivity
        with np.errstate(divide="ignore", invalid="ignore"):
            kelvin = self.B / np.log(self.R1 / (self.R2 * (counts + self.O)) + self.F)
        return np.where(kelvin > 0, kelvin - ZERO_CELSIUS, np.nan)

    def counts(self, celsius: np.ndarray | float) -> np.ndarray:
        return self.emissivity * self._signal(celsius) + (1 - self.emissivity) * self._signal(self.reflected_celsius)

    def _signal(self, celsius: np.ndarray | float) -> np.ndarray:
        kelvin = np.asarray(celsius, np.float64) + ZERO_CELSIUS
        return self.R1 / (self.R2 * (np.exp(self.B / kelvin) - self.F)) - self.O


def make_radiometry(
    kind: str = "none",
    *,
    scale: float = 0.01,
    offset: float = -ZERO_CELSIUS,
    planck: tuple[float, ...] = (),
    emissivity: float = 1.0,
    reflected_celsius: float = 20.0,
) -> Radiometry | None:
    """The radiometry that parameters name.

    Args:
        kind: 'none', 'linear' (uses `scale`, `offset`) or 'planck' (uses the rest).
        planck: R1, R2, B, F, O.

    Raises:
        ConfigError: an unknown kind or a value out of range.
    """
    if kind == "none":
        return None
    if kind == "linear":
        return LinearRadiometry(scale, offset)
    if kind == "planck":
        if len(planck) != 5:
            raise ConfigError(f"radiometry planck: expected five constants R1, R2, B, F, O, got {len(planck)}")
        return PlanckRadiometry(*planck, emissivity=emissivity, reflected_celsius=reflected_celsius)
    raise ConfigError(f"radiometry: kind must be one of {', '.join(KINDS)}, got '{kind}'")
