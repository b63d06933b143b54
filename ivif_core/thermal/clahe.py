"""Contrast-limited adaptive histogram equalisation (CLAHE) that does not flicker in a stream.

K. Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994. `cv2.createCLAHE` takes each
frame by itself, so that a hot object changes the grey of the wall beside it at once. Here the tiles' curves follow the
stream slowly.
"""

from __future__ import annotations

import cv2
import numpy as np

from ivif_core.errors import ConfigError


class LocalContrast:
    """CLAHE on 8×8 tiles whose curves move by at most `step` grey levels a frame."""

    TILES = 8

    def __init__(self, clip_limit: float = 2.0, smoothing: float = 0.95, step: float = 0.4) -> None:
        """
        Args:
            clip_limit: largest gain, as in `cv2.createCLAHE`; over 0.
            smoothing: share of the old curves kept at each frame, in [0, 1); 0 takes each frame by itself.
            step: most grey levels that smoothing may move a level in one frame.
        """
        if not (np.isfinite(clip_limit) and clip_limit > 0 and 0 <= smoothing < 1):
            raise ConfigError(f"local contrast: clip limit {clip_limit:g} or smoothing {smoothing:g} out of range")
        self.clip_limit, self.smoothing, self.step = clip_limit, smoothing, step
        self.reset()

    def reset(self) -> None:
        """Forget the stream."""
        self._curves: np.ndarray | None = None  # float32 [tile row, level, tile column]
        self._grid: tuple[np.ndarray, ...] | None = None
        self._shape: tuple[int, int] | None = None

    def __call__(self, intensity: np.ndarray) -> np.ndarray:
        """uint8 H×W -> uint8 H×W."""
        if self._grid is None or intensity.shape != self._shape:
            self.reset()
            self._shape = intensity.shape
            self._grid = _grid(intensity.shape, self.TILES)
        curves = tile_curves(intensity, self.TILES, self.clip_limit)
        if self._curves is not None and self.smoothing:
            moves = np.clip((1 - self.smoothing) * (curves - self._curves), -self.step, self.step)
            curves = self._curves + moves
        self._curves = curves
        column, upper, lower, weight = self._grid
        # Rows of the atlas are (tile row, level), its columns tile columns: one remap looks a level up in a tile row
        # and goes between tile columns linearly. Two of them, blended, go between tile rows too.
        atlas, level = curves.reshape(-1, self.TILES), intensity.astype(np.float32)
        above = cv2.remap(atlas, column, level + upper, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        below = cv2.remap(atlas, column, level + lower, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return cv2.convertScaleAbs(above + (below - above) * weight)


def tile_curves(intensity: np.ndarray, tiles: int, clip_limit: float) -> np.ndarray:
    """float32 [tiles, 256, tiles]: the grey level that each tile (row, column) gives each level.

    The image is padded by mirroring to a multiple of `tiles`; what is cut off a histogram is spread over all levels.
    """
    height, width = intensity.shape
    padded = cv2.copyMakeBorder(intensity, 0, -height % tiles, 0, -width % tiles, cv2.BORDER_REFLECT)
    tall, wide = padded.shape[0] // tiles, padded.shape[1] // tiles
    limit = max(clip_limit * tall * wide / 256, 1)
    histograms = np.empty((tiles, 256, tiles), np.float32)
    for row in range(tiles):
        for column in range(tiles):
            tile = padded[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide]
            histograms[row, :, column] = cv2.calcHist([tile], [0], None, [256], [0, 256]).ravel()
    clipped = np.minimum(histograms, limit)
    clipped += (tall * wide - clipped.sum(axis=1, keepdims=True)) / 256
    return np.cumsum(clipped, axis=1) * np.float32(255 / (tall * wide))


def _grid(shape: tuple[int, int], tiles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per pixel: tile column (fractional), first atlas row of the tile above and of that below, and weight below."""
    height, width = shape
    across = np.clip((np.arange(width) + 0.5) / -(-width // tiles) - 0.5, 0, tiles - 1)
    down = np.clip((np.arange(height) + 0.5) / -(-height // tiles) - 0.5, 0, tiles - 1)
    upper = np.floor(down)
    rows = (upper * 256, np.minimum(upper + 1, tiles - 1) * 256, down - upper)
    above, below, weight = (np.repeat(values[:, None], width, axis=1).astype(np.float32) for values in rows)
    return np.repeat(across[None, :], height, axis=0).astype(np.float32), above, below, weight
