"""Crops with captions made from what is known about them: what was done to them and what can be measured."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ivif_core.training.data.pairs import Pair, at_least

KINDS = {
    "infrared": ("infrared", "thermal"),
    "visible": ("visible", "visible gray", "visible light"),
}
NOUNS = ("image", "picture", "view", "photo")
NIGHT_LUMINANCE = 70.0
"""A visible image whose mean luminance is under it (of 255) was taken at night; RoadScene's two groups part there."""


class CaptionedCrops(Dataset[dict[str, Tensor]]):
    """Single images of pairs, cropped, sometimes spoilt, with a caption.

    An item is `image`, float32 1×size×size in [0, 1], and `text`, the caption's tokens; its key is
    (index, seed) with an index under twice the number of pairs: both images of each pair are items.
    """

    def __init__(self, pairs: Sequence[Pair], size: int, tokenize: object) -> None:
        """
        Args:
            tokenize: list of texts -> (n, context length) tokens, as `open_clip.get_tokenizer` gives it.
        """
        self.pairs, self.size, self.tokenize = [at_least(pair, size) for pair in pairs], size, tokenize

    def __len__(self) -> int:
        return 2 * len(self.pairs)

    def __getitem__(self, key: tuple[int, tuple[int, ...]]) -> dict[str, Tensor]:
        index, seed = key
        generator = np.random.default_rng(seed)
        pair, kind = self.pairs[index // 2], ("infrared", "visible")[index % 2]
        image, spoilt = spoil(self._crop(getattr(pair, kind), generator), generator)
        words = [*spoilt, *look(image)]
        if kind == "visible":
            words.append("taken at night" if pair.visible.mean() < NIGHT_LUMINANCE else "taken by day")
        text = self.tokenize([caption(kind, words, generator)])[0]
        return {"image": torch.from_numpy(image[None]), "text": text}

    def _crop(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        height, width = image.shape
        side = int(generator.integers(self.size, min(height, width) + 1))
        top, left = int(generator.integers(height - side + 1)), int(generator.integers(width - side + 1))
        crop = cv2.resize(
            image[top : top + side, left : left + side], (self.size, self.size), interpolation=cv2.INTER_AREA
        )
        return np.multiply(crop[:, ::-1] if generator.random() < 0.5 else crop, np.float32(1 / 255))


def spoil(image: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Blur, noise, pattern, exposure and contrast by chance.

    Args:
        image: float32 H×W in [0, 1].

    Returns:
        the image, and what was done to it in words.
    """
    words = []
    if generator.random() < 0.5:  # exposure and contrast: only what `look` can see gets its words there
        gain, offset = generator.choice([0.35, 0.7, 1.0, 1.5, 2.0]), generator.uniform(-0.3, 0.3)
        image = np.clip((image - image.mean()) * gain + image.mean() + offset, 0, 1).astype(np.float32)
    if generator.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), generator.uniform(1.5, 4))
        words.append(str(generator.choice(["blurred", "blurry", "out of focus"])))
    else:
        words.append(str(generator.choice(["sharp", "in focus", "clear"])))
    seen = detail(image)
    if noisy := generator.random() < 0.3:
        noise = generator.standard_normal(image.shape, np.float32)
        image = np.clip(image + generator.uniform(0.05, 0.15) * noise, 0, 1)
        words.append(str(generator.choice(["noisy", "grainy", "with strong noise"])))
    elif generator.random() < 0.5:
        words.append(str(generator.choice(["clean", "without noise"])))
    if patterned := generator.random() < 0.3:
        image, pattern = overlay(image, generator)
        words.append(pattern)
    if not (noisy or patterned):  # neither noise nor a pattern is detail
        words += seen
    return np.ascontiguousarray(image, np.float32), words


def overlay(image: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, str]:
    """A grid, as transposed convolutions leave it, or stripes, as thermal rows and columns do."""
    period, strength = generator.integers(2, 10), generator.uniform(0.03, 0.15)
    rows, columns = (
        np.cos(2 * np.pi * (np.arange(length) + generator.integers(period)) / period) for length in image.shape
    )
    if generator.random() < 0.5:
        first, second = rows[:, None], columns[None]
        wave = first * second if generator.random() < 0.5 else (first + second) / 2
        words = ["with a grid", "with a grid pattern", "with artefacts"]
    else:
        wave = np.broadcast_to(rows[:, None] if generator.random() < 0.5 else columns, image.shape)
        words = ["with stripes", "striped", "with artefacts"]
    return np.clip(image + strength * wave.astype(np.float32), 0, 1), str(generator.choice(words))


def look(image: np.ndarray) -> list[str]:
    """What can be measured of an image's tones (float32 H×W in [0, 1]), in words."""
    words = []
    mean, deviation = float(image.mean()), float(image.std())
    if mean < 0.25:
        words += ["dark", "a dark scene", "under-exposed"][: 2 if mean > 0.12 else 3]
    elif mean > 0.55:
        words += ["bright", "a bright scene", "over-exposed"][: 2 if mean < 0.75 else 3]
    if deviation < 0.1:
        words += ["flat", "with low contrast", "dull"]
    elif deviation > 0.22:
        words += ["with high contrast", "with strong contrast"]
    outstanding = float((image > mean + 2.5 * deviation).mean())
    if deviation > 0.05 and 0.005 < outstanding < 0.05:
        words += ["with salient bright objects", "in which something stands out", "with bright people or cars"]
    return words


def detail(image: np.ndarray) -> list[str]:
    """How much there is to see in an image (float32 H×W in [0, 1]), in words."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)  # the sources' own noise is no detail
    curvature = float(np.abs(cv2.Laplacian(smooth, cv2.CV_32F)).mean())
    if curvature > 0.03:
        return ["rich in detail", "full of details", "with a detailed background"]
    return ["plain", "without details", "with an empty background"] if curvature < 0.01 else []


def caption(kind: str, words: Sequence[str], generator: np.random.Generator) -> str:
    """A sentence with up to three of the words; adjectives stand before the noun, the rest behind it."""
    noun, name = generator.choice(NOUNS), generator.choice(KINDS[kind])
    chosen = list(generator.permutation(words)[: generator.integers(0, 4)]) if words else []
    before = [word for word in chosen if " " not in word]
    behind = [word for word in chosen if " " in word]
    if generator.random() < 0.75 or not chosen:
        before.append(name)
    start = " ".join([*before, noun])
    article = "an" if start[0] in "aeiou" else "a"
    return ", ".join([f"{article} {start}", *behind])
