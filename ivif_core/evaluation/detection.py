"""What a machine sees: objects that a stock detector finds in either source, and how many of them in a fused image.

People judge a fused image by how it looks, a robot by what its detector finds. The detector is given as an ONNX file in
the layout of YOLOX (Ge et al., 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from ivif_core.backends.onnxruntime import OnnxRuntimeRunner
from ivif_core.errors import ModelError
from ivif_core.models import read_metadata

STREET_CLASSES = (0, 1, 2, 3, 5, 7)
"""COCO's person, bicycle, car, motorcycle, bus and truck."""
PERSON = 0
_STRIDES, _FILL = (8, 16, 32), 114


@dataclass(frozen=True)
class Detection:
    """One object.

    Attributes:
        kind: class number.
        score: in [0, 1].
        box: left, top, right, bottom, pixels.
    """

    kind: int
    score: float
    box: tuple[float, float, float, float]


class Detector:
    """A YOLOX file: `images` 1×3×S×S, BGR 0..255, filled up with 114; 1×cells×(5 + classes) out, not decoded."""

    def __init__(self, path: str | Path, classes: Sequence[int] = STREET_CLASSES, *, threads: int | None = 1) -> None:
        """
        Args:
            classes: numbers of the classes that count.

        Raises:
            ModelError: not an ONNX file, or of another layout.
        """
        self.classes = tuple(classes)
        read_metadata(path)  # refuses what could run for ever
        self._runner = OnnxRuntimeRunner(path, threads=threads)
        self._runner.open()
        shape = self._runner.inputs["images"].shape if self._runner.inputs.keys() == {"images"} else None
        if shape is None or len(shape) != 4 or shape[1] != 3 or shape[2] is None or shape[2] != shape[3]:
            raise ModelError(f"{path}: expected one input, images 1×3×S×S (YOLOX), got {self._runner.inputs}")
        self.side = shape[2]
        grids, strides = [], []
        for stride in _STRIDES:
            y, x = np.mgrid[: self.side // stride, : self.side // stride]
            grids.append(np.stack([x.ravel(), y.ravel()], axis=1))
            strides.append(np.full((x.size, 1), stride))
        self._grid, self._stride = np.concatenate(grids), np.concatenate(strides)

    def __call__(self, image: np.ndarray, least_score: float) -> list[Detection]:
        """Objects of one image, best first, each once.

        Args:
            image: uint8 H×W×3 BGR or H×W grey.
            least_score: objectness times class score.

        Raises:
            ModelError: what the network gives is not of the layout.
        """
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        scale = self.side / max(image.shape[:2])
        size = int(image.shape[1] * scale), int(image.shape[0] * scale)
        canvas = np.full((self.side, self.side, 3), _FILL, np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        (output,) = self._runner.run({"images": canvas.transpose(2, 0, 1)[None].astype(np.float32)}).values()
        if output.ndim != 3 or output.shape[1] != len(self._grid) or output.shape[2] <= 5 + max(self.classes):
            raise ModelError(f"{self._runner.model}: expected 1×{len(self._grid)}×(5 + classes), got {output.shape}")
        centre = (output[0, :, :2] + self._grid) * self._stride
        half = np.exp(output[0, :, 2:4]) * self._stride / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1) / scale
        scores = output[0, :, 4:5] * output[0, :, 5:]
        found = [
            Detection(kind, float(scores[cell, kind]), (float(x0), float(y0), float(x1), float(y1)))
            for kind in self.classes
            for cell in np.flatnonzero(scores[:, kind] >= least_score)
            for x0, y0, x1, y1 in [boxes[cell]]
        ]
        return without_doubles(found)

    def close(self) -> None:
        """Free the model's memory."""
        self._runner.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def overlap(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    sides = [min(first[i + 2], second[i + 2]) - max(first[i], second[i]) for i in (0, 1)]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared) if shared else 0.0


def without_doubles(found: Sequence[Detection], most: float = 0.45) -> list[Detection]:
    """Best first, without those that overlap a better one of their class by `most` or more."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda detection: -detection.score):
        if all(other.kind != one.kind or overlap(other.box, one.box) < most for other in kept):
            kept.append(one)
    return kept


@dataclass
class Finding:
    """Counts over images.

    Attributes:
        objects, found: by class: how many there are in either source, and how many of them are found.
        false: found where neither source shows it.
        images: how many were looked at.
    """

    objects: dict[int, int]
    found: dict[int, int]
    false: int = 0
    images: int = 0

    def share(self, kind: int | None = None) -> float:
        """Of the objects (of one class) that are found; NaN where there is none."""
        kinds = self.objects.keys() if kind is None else {kind}
        there = sum(self.objects.get(one, 0) for one in kinds)
        return sum(self.found.get(one, 0) for one in kinds) / there if there else float("nan")

    def add(self, objects: Sequence[Detection], seen: Sequence[Detection]) -> None:
        """Count one image: what either source shows, and what is seen in it."""
        self.images += 1
        for one in objects:
            self.objects[one.kind] = self.objects.get(one.kind, 0) + 1
            self.found[one.kind] = self.found.get(one.kind, 0) + is_among(one, seen)
        self.false += sum(not is_among(one, objects) for one in seen)


def is_among(one: Detection, others: Sequence[Detection]) -> bool:
    """Whether an object of that class is there, at an overlap of at least a half."""
    return any(other.kind == one.kind and overlap(one.box, other.box) >= 0.5 for other in others)


def objects_of(
    detector: Detector, infrared: np.ndarray, visible: np.ndarray, least_score: float = 0.5
) -> list[Detection]:
    """What either source alone shows."""
    return without_doubles([*detector(infrared, least_score), *detector(visible, least_score)])
