"""Twins: two copies of one picture in which an object stands out and is hidden, with a caption each.

Mean and standard deviation of their levels are the same in both, so that tone does not tell them apart, and each is
blurred, noisy or striped by chance, so that such a thing says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from ivif_core.scene.canvas import Label
from ivif_core.training.captions import KINDS, NOUNS, overlay
from ivif_core.training.staged import WARM, Staged

NAMES: dict[int, tuple[str, ...]] = {
    Label.PERSON: ("people", "pedestrians", "persons"),
    Label.CAR: ("cars", "vehicles"),
    WARM: ("warm things", "hot things"),
}
SHOWN = (
    "{} stand out",
    "bright {}",
    "{} are bright",
    "{} are easy to see",
    "{} are visible",
    "{} against a dim background",
)
HIDDEN = (
    "{} are hidden",
    "no {}",
    "without {}",
    "{} cannot be seen",
    "{} are invisible",
    "{} have vanished",
)
PLACES = ("", " of a street", " of a road", " of a scene")
LEAST = 30
"""Pixels of an object that a crop must show to be spoken of."""
SCALE = 100.0
"""Of likeness where twins are told apart; published CLIPs end their training at it."""


@dataclass(frozen=True)
class Twins:
    """One picture three times, float32 size×size in [0, 1], with captions.

    Attributes:
        source: infrared or visible, unedited, with its kind as caption; toned as the twins are, and spoilt by chance
            as each of them, so that only the edit and the kind lead from it to them.
        first, second: what the captions say of the object.
    """

    source: np.ndarray
    first: np.ndarray
    second: np.ndarray
    captions: tuple[str, str, str]


class ContentTwins(Dataset[dict[str, Tensor]]):
    """Items are `images` 3×1×size×size in [0, 1] and `texts`, 3 captions' tokens; see `Twins`.

    Keys are (index, seed), as those of `ivif_core.data.batches`.
    """

    def __init__(self, staged: Sequence[Staged], size: int, tokenize: Callable[[list[str]], Tensor]) -> None:
        self.size, self.tokenize = size, tokenize
        self.places = [(entry, found) for entry in staged if (found := objects(entry.labels))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, key: tuple[int, tuple[int, ...]]) -> dict[str, Tensor]:
        index, seed = key
        entry, found = self.places[index]
        twins = make_twins(entry, found, self.size, np.random.default_rng(seed))
        images = np.stack([twins.source, twins.first, twins.second])[:, None]
        return {"images": torch.from_numpy(images), "texts": self.tokenize(list(twins.captions))}


def objects(labels: np.ndarray) -> list[tuple[int, int, int, int, int]]:
    """(label, left, top, width, height) of each person, car and warm thing of some size."""
    found = []
    for label in NAMES:
        _, _, boxes, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8))
        for left, top, width, height, area in boxes[1:].tolist():
            if area >= LEAST:
                found.append((int(label), left, top, width, height))
    return found


def make_twins(
    entry: Staged, found: Sequence[tuple[int, int, int, int, int]], size: int, random: np.random.Generator
) -> Twins:
    """A crop around one of the objects, edited twice."""
    labels_here = sorted({place[0] for place in found})
    label = Label.PERSON if Label.PERSON in labels_here and random.random() < 0.4 else int(random.choice(labels_here))
    box = [place for place in found if place[0] == label]
    infrared, visible, labels = crop_around(entry, box[random.integers(len(box))], size, random)
    kind = str(random.choice(list(KINDS)))
    source = infrared if kind == "infrared" else visible
    share = random.choice([0.0, 1.0, random.uniform(0.2, 0.8)])
    base = np.maximum(infrared, visible) if random.random() < 0.2 else share * infrared + (1 - share) * visible

    others = [other for other in NAMES if other != label and (labels == other).sum() >= LEAST]
    other = int(random.choice(others)) if others else None
    if other is not None and random.random() < 0.5:  # the other object stays, is hidden or stands out in both
        base = edit(base, labels == other, str(random.choice(["hide", "brighten"])), random)
    if other is not None and random.random() < 0.3:  # which of both stands out
        first, second = (
            edit(edit(base, labels == a, "show", random), labels == b, "hide", random)
            for a, b in ((label, other), (other, label))
        )
        said = say(label, SHOWN, random), say(other, SHOWN, random)
    else:
        first, second = (edit(base, labels == label, how, random) for how in ("show", "hide"))
        said = say(label, SHOWN, random), say(label, HIDDEN, random)
    spots = scatter(size, random) if random.random() < 0.25 else None
    pair = [image if spots is None else np.maximum(image, spots) for image in (first, second)]
    source, first, second = (spoil_by_chance(image, random) for image in tone_alike([source, *pair], random))
    noun = str(random.choice(NOUNS))
    place = str(random.choice(PLACES))
    of_kind = f"{random.choice(KINDS[kind])} {noun}{place}"
    shown, other_said = (_article(f"{noun}{place}, {words}") for words in said)
    return Twins(source, first, second, (_article(of_kind), shown, other_said))


def edit(image: np.ndarray, mask: np.ndarray, how: str, random: np.random.Generator) -> np.ndarray:
    """Make an object stand out or hide it.

    Args:
        image: float32 H×W in [0, 1].
        mask: bool H×W, where the object is.
        how: 'hide' fills it from its surroundings; 'brighten' lifts it over them; 'dim' dims the rest too; 'haze' and
            'blur' take contrast or detail from the rest too; 'show' is one of the last four.

    Returns:
        float32 H×W in [0, 1].
    """
    if how == "show":
        how = str(random.choice(["brighten", "brighten", "dim", "haze", "blur"]))
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    if how == "hide":
        filled = cv2.inpaint((image * 255).round().astype(np.uint8), wide, 3, cv2.INPAINT_TELEA)
        soft = cv2.GaussianBlur(wide.astype(np.float32), (3, 3), 0)
        return (image + soft * (filled.astype(np.float32) / 255 - image)).astype(np.float32)
    rest = image
    if how == "dim":
        rest = image * np.float32(random.uniform(0.3, 0.7))
    elif how == "haze":
        rest = image.mean() + (image - image.mean()) * np.float32(random.uniform(0.2, 0.6))
    elif how == "blur":
        rest = cv2.GaussianBlur(image, (0, 0), random.uniform(1.5, 3))
    around = cv2.dilate(wide, np.ones((7, 7), np.uint8)).astype(bool) & ~wide.astype(bool)
    beside = float(rest[around].mean()) if around.any() else float(rest.mean())
    inside = image[mask]
    level = min(0.95, beside + random.uniform(0.2, 0.5))
    soft = cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0)
    lifted = level + random.uniform(0.3, 1.0) * (image - inside.mean())
    return np.clip(rest + soft * (lifted - rest), 0, 1).astype(np.float32)


def scatter(size: int, random: np.random.Generator) -> np.ndarray:
    """Bright discs, bars and checks that are no object; float32 size×size, 0 elsewhere."""
    spots = np.zeros((size, size), np.float32)
    for _ in range(random.integers(1, 8)):
        x, y = (int(at) for at in random.integers(size, size=2))
        wide, high = (int(length) for length in random.integers(1, size // 6, size=2))
        level = float(random.uniform(0.4, 1.0))
        if random.random() < 0.5:
            cv2.ellipse(spots, (x, y), (wide, wide), 0, 0, 360, level, -1)
        else:
            cv2.rectangle(spots, (x, y), (x + wide, y + high), level, -1)
    if random.random() < 0.5:
        period = int(random.integers(2, 6))
        spots *= np.add.outer(np.arange(size) // period, np.arange(size) // period) % 2
    return cv2.GaussianBlur(spots, (0, 0), random.uniform(0.4, 2.0))


def tone_alike(images: Sequence[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
    """The images with one mean and one standard deviation (up to clipping), drawn here."""
    mean, deviation = random.uniform(0.25, 0.6), random.uniform(0.1, 0.22)
    return [
        np.clip((image - image.mean()) / max(float(image.std()), 1e-3) * deviation + mean, 0, 1).astype(np.float32)
        for image in images
    ]


def spoil_by_chance(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Blur, noise, a grid or stripes (float32 H×W in [0, 1]), each by chance; none of them says anything of content."""
    if random.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.5, 1.5))
    if random.random() < 0.2:
        image = image + random.uniform(0.02, 0.08) * random.standard_normal(image.shape, np.float32)
    image = np.clip(image, 0, 1).astype(np.float32)
    return overlay(image, random)[0] if random.random() < 0.25 else image


def say(label: int, phrasings: Sequence[str], random: np.random.Generator) -> str:
    """One of the phrasings, of one of the names of the label."""
    return str(random.choice(phrasings)).format(random.choice(NAMES[label]))


def twin_loss(images: Tensor, texts: Tensor) -> Tensor:
    """Edits move an image's embedding as captions move the text's, and each twin is told from the other.

    The first is 1 − cos, mean of three directions, that between the twins counting twice; the second is the cross
    entropy of the twins' captions the right way round against the wrong one, at `SCALE`.

    Args:
        images, texts: unit embeddings (B, 3, D) of source, first and second of each `Twins`.

    Returns:
        scalar, at least 0.
    """
    pairs = ((1, 2), (1, 2), (1, 0), (2, 0))
    moved, meant = (torch.stack([side[:, a] - side[:, b] for a, b in pairs]) for side in (images, texts))
    directions = 1 - functional.cosine_similarity(moved, meant, dim=-1)
    return directions.mean() + functional.softplus(-SCALE * (moved[0] * meant[0]).sum(-1)).mean()


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def crop_around(
    entry: Staged, box: tuple[int, int, int, int, int], size: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Square crops around an object that is a fifth to four fifths of them; infrared, visible in [0, 1], labels."""
    _, left, top, wide, high = box
    height, width = entry.labels.shape
    longer = max(wide, high)
    side = int(np.clip(longer / random.uniform(0.2, 0.8), min(48, height, width), min(height, width)))
    starts = []
    for at, length, limit in ((top, high, height), (left, wide, width)):
        low, high_end = sorted((at + length - side, at))  # all of the object is inside, where it fits
        starts.append(int(np.clip(random.integers(low, high_end + 1), 0, limit - side)))
    window = np.s_[starts[0] : starts[0] + side, starts[1] : starts[1] + side]
    step = -1 if random.random() < 0.5 else 1
    shrink = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    images = [
        cv2.resize(image[window][:, ::step], (size, size), interpolation=shrink).astype(np.float32) / 255
        for image in (entry.pair.infrared, entry.pair.visible)
    ]
    labels = cv2.resize(
        np.ascontiguousarray(entry.labels[window][:, ::step]), (size, size), interpolation=cv2.INTER_NEAREST
    )
    return images[0], images[1], labels
