"""The student's work at full resolution, in OpenCV: what it reads of the sources, and its maps applied to them.

`student_maps.onnx` is the student between these two; together they give what `student.onnx` gives, several times faster
on a CPU, since a processor's cache holds a few rows of an image but none of a runtime's whole tensors.
"""

from __future__ import annotations

import cv2
import numpy as np

BLOCK = 8
"""Pixels of a map's cell; the maps are enlarged bilinearly by it."""

SAMPLES = ((1, 1), (3, 3))
"""Pixels of each quarter of a block that are seen beside its mean: how they differ tells detail and noise."""

MAPS = ("infrared_base", "visible_base", "base", "infrared_gain", "visible_gain")

_CELLS = 16
"""Rows of cells at a time: what lies between two steps stays in the cache."""


def statistics(image: np.ndarray) -> np.ndarray:
    """What the student sees of a source: means of the quarters of each 8×8 block, and samples of them.

    Args:
        image: uint8 H×W. Blocks that the lower and right border cut are filled by replication.

    Returns:
        float32 12×⌈H/8⌉×⌈W/8⌉ in [0, 1]: four means, the four first samples, the four second ones; quarters row by row.
    """
    height, width = _cells(image.shape)
    below, right = height * BLOCK - image.shape[0], width * BLOCK - image.shape[1]
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    means = cv2.resize(image.astype(np.float32), (2 * width, 2 * height), interpolation=cv2.INTER_AREA)  # not rounded
    quarter = BLOCK // 2
    views = [means, *(image[row::quarter, column::quarter] for row, column in SAMPLES)]
    result = np.empty((len(views), 2, 2, height, width), np.float32)
    for view, out in zip(views, result, strict=True):
        np.multiply(view.reshape(height, 2, width, 2).transpose(1, 3, 0, 2), np.float32(1 / 255), out=out)
    return result.reshape(-1, height, width)


class Skeleton:
    """Applies maps to sources of one size; keeps its buffers, so one caller at a time.

    With the maps enlarged bilinearly,

        fused = base + stronger(infrared_gain · (infrared − infrared_base), visible_gain · (visible − visible_base))

    where of two details with one sign the stronger counts, and of two with opposite signs their sum.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        """
        Args:
            shape: H×W of the sources.
        """
        self.shape = shape
        cells = _cells(shape)[1]
        self._enlarged = np.empty((len(MAPS), (_CELLS + 2) * BLOCK, (cells + 2) * BLOCK), np.float32)
        self._rows = np.empty((3, _CELLS * BLOCK, shape[1]), np.float32)
        self._fused = np.empty(shape, np.uint8)

    def apply(self, infrared: np.ndarray, visible: np.ndarray, maps: np.ndarray) -> np.ndarray:
        """
        Args:
            infrared, visible: uint8 H×W.
            maps: float32 5×(⌈H/8⌉+2)×(⌈W/8⌉+2) in the order of `MAPS`, a cell wider than the image on each side;
                bases in [0, 1].

        Returns:
            Fused luminance, uint8 H×W; valid until the next call.
        """
        bases = 255 * maps[:3]
        cells = _cells(self.shape)[0]
        for top in range(0, cells, _CELLS):
            count = min(_CELLS, cells - top)
            window = slice(top, top + count + 2)
            self._apply_rows(infrared, visible, [*bases[:, window], *maps[3:, window]], top * BLOCK)
        return self._fused

    def _apply_rows(self, infrared: np.ndarray, visible: np.ndarray, maps: list[np.ndarray], top: int) -> None:
        rows = slice(top, min(top + (len(maps[0]) - 2) * BLOCK, self.shape[0]))
        count, width = rows.stop - rows.start, self.shape[1]
        enlarged = []
        for one, buffer in zip(maps, self._enlarged, strict=True):
            buffer = buffer[: len(one) * BLOCK]
            cv2.resize(one, buffer.shape[::-1], dst=buffer, interpolation=cv2.INTER_LINEAR)
            enlarged.append(buffer[BLOCK : BLOCK + count, BLOCK : BLOCK + width])
        infrared_base, visible_base, base, infrared_gain, visible_gain = enlarged
        first, second, stronger = self._rows[:, :count]
        for source, lower, gain, detail in (
            (infrared, infrared_base, infrared_gain, first),
            (visible, visible_base, visible_gain, second),
        ):
            cv2.subtract(source[rows], lower, dst=detail, dtype=cv2.CV_32F)
            cv2.multiply(detail, gain, dst=detail)
        cv2.max(first, second, dst=stronger)
        weaker = cv2.min(first, second, dst=first)
        cv2.max(stronger, 0.0, dst=stronger)
        cv2.min(weaker, 0.0, dst=weaker)
        cv2.add(stronger, weaker, dst=stronger)
        cv2.add(stronger, base, dst=self._fused[rows], dtype=cv2.CV_8U)


def _cells(shape: tuple[int, ...]) -> tuple[int, int]:
    return -(-shape[0] // BLOCK), -(-shape[1] // BLOCK)
