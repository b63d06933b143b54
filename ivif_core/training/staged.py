"""Pairs of which it is known what each pixel shows: rendered streets, and real streets with rendered people in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ivif_core.imaging.colour import luminance
from ivif_core.scene.busy import BusyStreet
from ivif_core.scene.canvas import Label
from ivif_core.training.data.pairs import Pair

WARM = 4
"""A label beside those of `Label`: something warm in a real picture; nobody knows what it is."""
SIZE = (320, 240)
FRAMES_A_STREET = 12
WARMER = 40
"""Levels by which a warm thing is over its surroundings in infrared."""
LEAST_AREA = 60
"""Pixels of a person who is cut out, and of a warm thing."""


@dataclass(frozen=True)
class Staged:
    """A pair and `labels`, uint8 H×W of `Label` or `WARM`."""

    pair: Pair
    labels: np.ndarray


@dataclass(frozen=True)
class Cutout:
    """A rendered person: both luminances uint8 h×w, and `alpha` float32 h×w in [0, 1]."""

    infrared: np.ndarray
    visible: np.ndarray
    alpha: np.ndarray


def stage(pairs: Sequence[Pair], count: int, seed: int) -> list[Staged]:
    """`count` rendered frames, and as many of the pairs, each with one to three people of those frames in it.

    The same seed gives the same people and houses; another seed shares none of them.
    """
    frames = rendered(count, seed)
    people = [cutout for frame in frames for cutout in cut_out(frame)]
    random = np.random.default_rng([seed, 3])
    chosen = random.integers(len(pairs), size=count).tolist() if len(pairs) and people else []
    return frames + [put_into(pairs[index], people, random, f"staged{at}") for at, index in enumerate(chosen)]


def rendered(count: int, seed: int) -> list[Staged]:
    """Frames of several busy streets."""
    frames = []
    for start in range(0, count, FRAMES_A_STREET):
        street = BusyStreet(SIZE, seed=1000 * (seed + 1) + start)
        for index in range(min(FRAMES_A_STREET, count - start)):
            infrared, visible, labels = street.render_labelled(index)
            frames.append(Staged(Pair(f"street{start + index}", infrared, luminance(visible)), labels))
    return frames


def cut_out(frame: Staged) -> list[Cutout]:
    """The people of a frame who are large enough and touch neither its border nor each other."""
    mask = (frame.labels == Label.PERSON).astype(np.uint8)
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(mask)
    height, width = mask.shape
    found = []
    for part in range(1, count):
        left, top, wide, high, area = boxes[part]
        inside = left > 1 and top > 1 and left + wide < width - 1 and top + high < height - 1
        if area < LEAST_AREA or not inside or not 1.8 < high / wide < 4.5:
            continue
        box = np.s_[top - 1 : top + high + 1, left - 1 : left + wide + 1]
        alpha = cv2.GaussianBlur((parts[box] == part).astype(np.float32), (3, 3), 0)
        found.append(Cutout(frame.pair.infrared[box], frame.pair.visible[box], alpha))
    return found


def put_into(pair: Pair, people: Sequence[Cutout], random: np.random.Generator, name: str) -> Staged:
    """A pair with one to three people before it, a fifth to three fifths of the picture tall; warm things labelled."""
    infrared, visible = pair.infrared.astype(np.float32), pair.visible.astype(np.float32)
    labels = np.where(warm_things(pair.infrared), WARM, Label.STREET).astype(np.uint8)
    height, width = labels.shape
    for _ in range(random.integers(1, 4)):
        person = people[int(random.integers(len(people)))]
        high = height * random.uniform(0.2, 0.6)
        size = (max(2, round(high * person.alpha.shape[1] / person.alpha.shape[0])), round(high))
        if size[0] >= width:
            continue
        left = int(random.integers(width - size[0]))
        top = int(random.integers(height // 8, height - size[1] + 1))
        box = np.s_[top : top + size[1], left : left + size[0]]
        alpha, warm, lit = (
            cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_AREA)
            for part in (person.alpha, person.infrared, person.visible)
        )
        light = random.uniform(0.7, 2.5)  # real streets are lighter than the rendered night
        infrared[box] += alpha * (warm - infrared[box])
        visible[box] += alpha * (light * lit - visible[box])
        labels[box][alpha > 0.5] = Label.PERSON
    images = (np.clip(image, 0, 255).astype(np.uint8) for image in (infrared, visible))
    return Staged(Pair(name, *images), labels)


def warm_things(infrared: np.ndarray) -> np.ndarray:
    """bool H×W: compact blobs, `WARMER` levels over their surroundings in infrared and no larger than 3 % of it."""
    side = max(infrared.shape) // 8 | 1
    over = infrared - cv2.blur(infrared.astype(np.float32), (side, side)) > WARMER
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(over.astype(np.uint8))
    wide, high, areas = boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT], boxes[:, cv2.CC_STAT_AREA]
    kept = (areas >= LEAST_AREA) & (areas <= 0.03 * infrared.size) & (areas > 0.3 * wide * high)
    kept[0] = False  # the surroundings
    return kept[parts]
