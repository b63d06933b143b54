"""What both cameras have in common, and what each makes of the light or heat that reaches it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Size = tuple[int, int]

COLDEST, HOTTEST = 1.0, 34.0
"""°C that become 0 and 255 in the thermal image."""


@dataclass(frozen=True)
class View:
    """A pinhole camera that looks along z (metres; x right, y up, z forward) from `position`."""

    size: Size
    position: tuple[float, float, float] = (2.7, 1.7, 0.0)
    focal: float = 0.92  # image widths
    horizon: float = 0.47  # image heights from the top

    @property
    def pixels_per_metre(self) -> float:
        """At one metre's distance."""
        return self.focal * self.size[0]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points N×3 in front of the camera -> N×2 pixels."""
        relative = np.asarray(points, np.float64) - self.position
        depth = np.maximum(relative[:, 2], 0.05)
        u = self.size[0] / 2 + self.pixels_per_metre * relative[:, 0] / depth
        v = self.size[1] * self.horizon - self.pixels_per_metre * relative[:, 1] / depth
        return np.stack([u, v], axis=1)

    def rays(self) -> np.ndarray:
        """Directions H×W×3 of all pixels, of unit depth."""
        u, v = np.meshgrid(np.arange(self.size[0]) + 0.5, np.arange(self.size[1]) + 0.5)
        x = (u - self.size[0] / 2) / self.pixels_per_metre
        y = (self.size[1] * self.horizon - v) / self.pixels_per_metre
        return np.stack([x, y, np.ones_like(x)], axis=2).astype(np.float32)

    def scaled(self, factor: float) -> View:
        """The same view in more or fewer pixels."""
        width, height = (max(1, round(length * factor)) for length in self.size)
        return View((width, height), self.position, self.focal, self.horizon)


def fractal_noise(random: np.random.Generator, shape: tuple[int, int], octaves: int = 5, start: int = 4) -> np.ndarray:
    """Value noise that tiles, float32 in about [-1, 1]: octaves of halving strength, the first with `start` cells."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cells = random.standard_normal((start << octave, start << octave)).astype(np.float32)
        cells = np.pad(cells, 2, mode="wrap")
        grown = cv2.resize(cells, None, fx=width / (start << octave), fy=height / (start << octave))
        top, left = (grown.shape[0] - height) // 2, (grown.shape[1] - width) // 2
        total += grown[top : top + height, left : left + width] * 0.5**octave
    return total / 2


class NoiseBank:
    """Gaussian noise made once; each frame takes another window of it."""

    def __init__(self, random: np.random.Generator, size: Size, channels: int, strength: float) -> None:
        width, height = size
        self._size = size
        shape = (height + 61, width + 67) + ((channels,) if channels > 1 else ())
        self._noise = strength * random.standard_normal(shape, np.float32)

    def window(self, random: np.random.Generator) -> np.ndarray:
        top, left = random.integers(0, 61), random.integers(0, 67)
        return self._noise[top : top + self._size[1], left : left + self._size[0]]


class VisibleCamera:
    """Glare in the lens, exposure, a film-like curve and the noise of a night shot."""

    def __init__(self, random: np.random.Generator, size: Size) -> None:
        # In the root of the signal the noise of photons is the same everywhere.
        self._noise = NoiseBank(random, size, 3, 0.017)
        width, height = size
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        self._exposure = (-1.9 * (1 - 0.22 * (x**2 + y**2)))[:, :, None].astype(np.float32).repeat(3, 2)

    def develop(self, radiance: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Linear BGR float32 H×W×3 -> uint8."""
        signal = cv2.exp(cv2.multiply(self._with_glare(radiance), self._exposure))
        level = cv2.sqrt(1.0 - signal)
        return cv2.convertScaleAbs(cv2.add(level, self._noise.window(random)), alpha=255.0)

    @staticmethod
    def _with_glare(radiance: np.ndarray) -> np.ndarray:
        height, width = radiance.shape[:2]
        small = cv2.resize(radiance, (max(8, width // 4), max(8, height // 4)), interpolation=cv2.INTER_AREA)
        near = cv2.GaussianBlur(small, (0, 0), 0.006 * width / 4)
        middle = cv2.GaussianBlur(small, (0, 0), 0.02 * width / 4)
        tiny = cv2.resize(small, (max(4, width // 16), max(4, height // 16)), interpolation=cv2.INTER_AREA)
        wide = cv2.resize(cv2.GaussianBlur(tiny, (0, 0), 0.07 * width / 16), small.shape[1::-1])
        streak = cv2.GaussianBlur(small, (0, 0), sigmaX=0.05 * width / 4, sigmaY=0.6)
        glare = 0.09 * near + 0.04 * middle + 0.028 * wide + 0.010 * streak
        return cv2.addWeighted(radiance, 0.86, cv2.resize(glare, (width, height)), 1.0, 0.0)


class ThermalCamera:
    """A soft lens, detector noise and the stripes that columns of an uncooled detector leave."""

    def __init__(self, random: np.random.Generator, size: Size) -> None:
        self._noise = NoiseBank(random, size, 1, 0.14)
        columns = random.standard_normal((1, size[0])).astype(np.float32)
        self._stripes = np.repeat(0.10 * columns, size[1], axis=0)
        self._blur = 0.0011 * size[0]

    def develop(self, celsius: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Temperatures float32 H×W -> uint8."""
        seen = cv2.GaussianBlur(celsius, (0, 0), self._blur) + self._stripes + self._noise.window(random)
        scale = 255.0 / (HOTTEST - COLDEST)
        return cv2.convertScaleAbs(np.clip(seen, COLDEST, HOTTEST), alpha=scale, beta=-COLDEST * scale)
