"""Batches of training crops whose order and randomness depend on (seed, step) only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ivif_core.training.data.pairs import Pair, at_least


@dataclass(frozen=True)
class Affine:
    """A random affine map as published: degrees of rotation and shear, shift as a share of the side, zoom."""

    rotation: float = 5.0
    shift: float = 0.1
    zoom: tuple[float, float] = (1.0, 1.5)
    shear: float = 5.0


class Crops(Dataset[dict[str, Tensor]]):
    """Random square crops, the same of all images of a pair, with a random mirror.

    An item is a mapping of `infrared`, `visible` and, where the pairs have one, `teacher` to float32 1×size×size in
    [0, 1]; its key is (index of the pair, seed). Pairs smaller than the crop are enlarged.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        size: int,
        *,
        affine: Affine | None = None,
        noise: float = 0.0,
        minimum_contrast: float = 0.0,
    ) -> None:
        """
        Args:
            affine: warp the crops by such a map too.
            noise: standard deviation of the noise added to infrared and visible, on the scale [0, 1].
            minimum_contrast: crops where both sources' standard deviations are under it are drawn again.
        """
        self.pairs, self.size, self.affine = [at_least(pair, size) for pair in pairs], size, affine
        self.noise, self.minimum_contrast = noise, minimum_contrast

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: tuple[int, tuple[int, ...]]) -> dict[str, Tensor]:
        index, seed = key
        generator = np.random.default_rng(seed)
        pair = self.pairs[index]
        images = {"infrared": pair.infrared, "visible": pair.visible}
        if pair.teacher is not None:
            images["teacher"] = pair.teacher
        for _ in range(10):
            crops = self._crop(images, generator)
            if max(crops["infrared"].std(), crops["visible"].std()) >= self.minimum_contrast:
                break
        if self.noise:
            for name in ("infrared", "visible"):
                noise = generator.standard_normal(crops[name].shape, np.float32)
                crops[name] = np.clip(crops[name] + self.noise * noise, 0, 1)
        return {name: torch.from_numpy(np.ascontiguousarray(crop)[None]) for name, crop in crops.items()}

    def _crop(self, images: dict[str, np.ndarray], generator: np.random.Generator) -> dict[str, np.ndarray]:
        height, width = images["visible"].shape
        top = int(generator.integers(height - self.size + 1))
        left = int(generator.integers(width - self.size + 1))
        window = slice(top, top + self.size), slice(left, left + self.size)
        crops = {name: np.multiply(image[window], np.float32(1 / 255)) for name, image in images.items()}
        if self.affine:
            matrix = _affine_matrix(self.affine, self.size, generator)
            crops = {
                name: cv2.warpAffine(
                    crop, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
                )
                for name, crop in crops.items()
            }
        if generator.random() < 0.5:
            crops = {name: crop[:, ::-1] for name, crop in crops.items()}
        return crops


def _affine_matrix(affine: Affine, size: int, generator: np.random.Generator) -> np.ndarray:
    angle, shear = np.deg2rad(generator.uniform(-1, 1, 2) * (affine.rotation, affine.shear))
    linear = generator.uniform(*affine.zoom) * np.array(
        [[np.cos(angle), -np.sin(angle) + np.tan(shear) * np.cos(angle)], [np.sin(angle), np.cos(angle)]]
    )
    centre = np.full(2, (size - 1) / 2)
    shift = centre - linear @ centre + generator.uniform(-affine.shift, affine.shift, 2) * size
    return np.column_stack([linear, shift])


class StepSampler(Sampler[list[tuple[int, tuple[int, ...]]]]):
    """For every step from `first` on, the keys of this process's share of the batch.

    Pairs come in a new random order each epoch. Which pairs and which seeds make up the batch of a step does not
    depend on the number of processes.
    """

    def __init__(self, length: int, batch: int, seed: int, steps: range, rank: int = 0, processes: int = 1) -> None:
        self.length, self.batch, self.seed, self.steps = length, batch, seed, steps
        share = batch // processes
        self.slots = range(rank * share, (rank + 1) * share)

    def __iter__(self) -> Iterator[list[tuple[int, tuple[int, ...]]]]:
        for step in self.steps:
            places = [step * self.batch + slot for slot in self.slots]
            yield [(self._index(place), (self.seed, 1, place)) for place in places]

    def __len__(self) -> int:
        return len(self.steps)

    def _index(self, place: int) -> int:
        epoch, offset = divmod(place, self.length)
        return int(np.random.default_rng((self.seed, 0, epoch)).permutation(self.length)[offset])


def batches(
    crops: Dataset[dict[str, Tensor]],
    batch: int,
    seed: int,
    steps: range,
    *,
    rank: int = 0,
    processes: int = 1,
    workers: int = 0,
) -> Iterator[dict[str, Tensor]]:
    """Batches for the given steps: name -> float32 (batch / processes)×1×size×size in [0, 1].

    Args:
        crops: has a length, and keys as those of `Crops`.
    """
    sampler = StepSampler(len(cast(Sized, crops)), batch, seed, steps, rank, processes)
    return iter(DataLoader(crops, batch_sampler=sampler, num_workers=workers, pin_memory=torch.cuda.is_available()))
