"""The student's work at full resolution, in OpenCV: what it reads of the sources, and its maps applied to them.

`student_maps.onnx` is the student between these two; together they give what `student.onnx` gives, several times faster
on a CPU, since a processor's cache holds a few rows of an image but none of a runtime's whole tensors.
"""

from __future__ import annotations

import cv2
import numpy as np

from ivif_core.imaging.stripes import parts_of, run_parts

BLOCK = 8
"""Sources are filled up to whole blocks; the student thinks in them."""

CELL = 4
"""Pixels of a map's cell, a quarter of a block; the maps are enlarged bilinearly by it."""

SAMPLES = ((0, 1), (1, 3), (2, 0), (3, 2))
"""Pixels of each cell that are seen beside its mean: how far they are from it tells detail and noise."""

STATISTICS = ("mean", "activity")
MAPS = ("offset", "infrared_gain", "visible_gain")

REDUCED_ABOVE = ((4, 2100), (2, 800))
"""Reductions, and the longer side of a frame above which the student sees it reduced so."""

_ROWS = 128
"""Rows of pixels at a time: what lies between two steps stays in the cache."""


def reduction_of(shape: tuple[int, ...]) -> int:
    """By how much the student sees a frame of H×W smaller: 1, 2 or 4, so that it thinks at the scene's scale.

    A larger frame shows the same scene in more pixels; seen reduced, it costs and looks the same.
    """
    longer = max(shape[:2])
    return next((by for by, side in REDUCED_ABOVE if longer > side), 1)


def statistics(image: np.ndarray, reduction: int = 1) -> np.ndarray:
    """What the student sees of a source: the mean of each cell, and how far samples are from it.

    Args:
        image: uint8 H×W. Blocks that the lower and right border cut are filled by replication.
        reduction: r, a power of two; the image is first made so many times smaller, and cells have 4r×4r of its pixels.

    Returns:
        float32 2×h×w in [0, 1] with h = 2⌈H/8r⌉, w = 2⌈W/8r⌉: mean, and mean absolute difference of the samples.
    """
    height, width = _cells(image.shape, reduction)
    cell = CELL * reduction
    below, right = height * cell - image.shape[0], width * cell - image.shape[1]
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    for _ in range(reduction.bit_length() - 1):
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    result = np.empty((len(STATISTICS), height, width), np.float32)
    mean, activity = result
    cv2.resize(image.astype(np.float32), (width, height), dst=mean, interpolation=cv2.INTER_AREA)  # not rounded
    activity[:] = 0
    for row, column in SAMPLES:
        activity += cv2.absdiff(image[row::CELL, column::CELL].astype(np.float32), mean)
    mean *= np.float32(1 / 255)
    activity *= np.float32(1 / (255 * len(SAMPLES)))
    return result


class Skeleton:
    """Applies maps to sources of one size; keeps its buffers, so one caller at a time.

    With the maps enlarged bilinearly,

        fused = offset + infrared_gain · infrared + visible_gain · visible
    """

    def __init__(self, shape: tuple[int, int], reduction: int = 1, threads: int | None = None) -> None:
        """
        Args:
            shape: H×W of the sources; `maps_shape` is that of the maps that belong to them.
            reduction: as in `statistics`.
            threads: None: one a core.
        """
        self.shape, self.reduction = shape, reduction
        self._cell = CELL * reduction
        self._step = _ROWS // self._cell
        rows, cells = _cells(shape, reduction)
        self.maps_shape = (len(MAPS), rows + 2, cells + 2)
        self._parts = parts_of(rows, self._step, threads, shape[0] * shape[1])
        enlarged = (len(MAPS), (self._step + 2) * self._cell, (cells + 2) * self._cell)
        scaled = (2, self._step * self._cell, shape[1])
        self._buffers = [(np.empty(enlarged, np.float32), np.empty(scaled, np.float32)) for _ in self._parts]
        self._fused = np.empty(shape, np.uint8)

    def apply(self, infrared: np.ndarray, visible: np.ndarray, maps: np.ndarray) -> np.ndarray:
        """
        Args:
            infrared, visible: uint8 H×W.
            maps: float32 3×(h+2)×(w+2) in the order of `MAPS`, for `statistics` of 2×h×w, a cell wider than the image
                on each side; the offset in [0, 1] luminance.

        Returns:
            Fused luminance, uint8 H×W; valid until the next call.
        """
        offset = 255 * maps[:1]
        cells = _cells(self.shape, self.reduction)[0]

        def apply_part(part: range) -> None:
            buffers = self._buffers[self._parts.index(part)]
            for top in part:
                window = slice(top, min(top + self._step, cells) + 2)
                self._apply_rows(infrared, visible, [*offset[:, window], *maps[1:, window]], top * self._cell, buffers)

        run_parts(apply_part, self._parts)
        return self._fused

    def _apply_rows(
        self,
        infrared: np.ndarray,
        visible: np.ndarray,
        maps: list[np.ndarray],
        top: int,
        buffers: tuple[np.ndarray, np.ndarray],
    ) -> None:
        cell = self._cell
        rows = slice(top, min(top + (len(maps[0]) - 2) * cell, self.shape[0]))
        count, width = rows.stop - rows.start, self.shape[1]
        enlarged = []
        for one, buffer in zip(maps, buffers[0], strict=True):
            buffer = buffer[: len(one) * cell]
            cv2.resize(one, buffer.shape[::-1], dst=buffer, interpolation=cv2.INTER_LINEAR)
            enlarged.append(buffer[cell : cell + count, cell : cell + width])
        offset, *gains = enlarged
        first, second = buffers[1][:, :count]
        cv2.multiply(infrared[rows], gains[0], dst=first, dtype=cv2.CV_32F)
        cv2.multiply(visible[rows], gains[1], dst=second, dtype=cv2.CV_32F)
        cv2.add(first, second, dst=first)
        cv2.add(first, offset, dst=self._fused[rows], dtype=cv2.CV_8U)


def _cells(shape: tuple[int, ...], reduction: int) -> tuple[int, int]:
    """Rows and columns of cells in whole blocks."""
    rows, columns = (-(-side // (BLOCK * reduction)) * (BLOCK // CELL) for side in shape[:2])
    return rows, columns
