"""Frames to learn from: large parts of pairs, and a window of each in which pixels are looked at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ivif_core.training.data.pairs import Pair

SEAM = 24
"""Pixels at the right and lower border that are left out: teachers with strided convolutions leave a seam there."""


class Frames(Dataset[dict[str, Tensor]]):
    """Random parts of pairs, of one size, mirrored at random.

    A whole frame costs a student little, and shows it the surroundings that its teacher saw. An item is a mapping of
    `infrared`, `visible` and `teacher` to float32 1×height×width in [0, 1], and `relight`: whether it may be put in
    another light (a recorded view is in one already, where its teacher saw it). Its key is (index of the pair, seed).
    """

    def __init__(
        self, pairs: Sequence[Pair], size: tuple[int, int], views: Sequence[Pair] = (), views_share: float = 0.0
    ) -> None:
        """
        Args:
            pairs: with a teacher each.
            size: height and width; smaller pairs are enlarged.
            views: further views, with what the teacher made of each.
            views_share: share of the items that are one of these.
        """
        self.size = size
        self.pairs, self.views = ([self._stack(pair) for pair in found] for found in (pairs, views))
        self.views_share = views_share if views else 0.0

    def _stack(self, pair: Pair) -> np.ndarray:
        """3×H×W, at least as large as a part."""
        assert pair.teacher is not None, "a pair with a teacher"
        images = [image[:-SEAM, :-SEAM] for image in (pair.infrared, pair.visible, pair.teacher)]
        height, width = images[0].shape
        scale = max(self.size[0] / height, self.size[1] / width)
        if scale > 1:
            new = max(self.size[1], round(width * scale)), max(self.size[0], round(height * scale))
            images = [cv2.resize(image, new, interpolation=cv2.INTER_LINEAR) for image in images]
        return np.stack(images)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: tuple[int, tuple[int, ...]]) -> dict[str, Tensor]:
        index, seed = key
        random = np.random.default_rng(seed)
        is_view = random.random() < self.views_share
        images = self.views[int(random.integers(len(self.views)))] if is_view else self.pairs[index]
        top, left = (
            int(random.integers(have - want + 1)) for have, want in zip(images.shape[1:], self.size, strict=True)
        )
        part = images[:, top : top + self.size[0], left : left + self.size[1]]
        if random.random() < 0.5:
            part = part[:, :, ::-1]
        infrared, visible, teacher = torch.from_numpy(np.multiply(part, np.float32(1 / 255))).split(1)
        return {"infrared": infrared, "visible": visible, "teacher": teacher, "relight": torch.tensor(not is_view)}
