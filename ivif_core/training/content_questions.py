"""What the pocket CLIP knows of content, asked on held-out pictures of equal mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ivif_core.imaging.colour import luminance
from ivif_core.scene import Street
from ivif_core.scene.canvas import Label
from ivif_core.training.content import LEAST, crop_around, edit, objects, tone_alike
from ivif_core.training.data.pairs import Pair
from ivif_core.training.losses.clip import FrozenClip
from ivif_core.training.staged import SIZE, WARM, Staged, stage

FRAMES = 24
"""Of the project's own street, evenly over its loop; as many held-out real pairs get people of other streets."""
OBJECTS = 4
"""Of a kind in a frame, at most."""
SEED = 77
"""Of the streets that these people come from; trainings take their recipe's seed."""
PERSON, CAR = int(Label.PERSON), int(Label.CAR)
QUESTIONS: dict[str, tuple[tuple[int, str], tuple[int, str], tuple[str, str]]] = {
    "people stand out or are hidden": (
        (PERSON, "brighten"),
        (PERSON, "hide"),
        ("an image of a street, people stand out", "an image of a street, people are hidden"),
    ),
    "bright people or nobody": (
        (PERSON, "brighten"),
        (PERSON, "hide"),
        ("an image of a street, bright people", "an image of a street, no people"),
    ),
    "cars stand out or are hidden": (
        (CAR, "brighten"),
        (CAR, "hide"),
        ("an image of a street, cars stand out", "an image of a street, cars are hidden"),
    ),
    "warm things stand out or are hidden": (
        (WARM, "brighten"),
        (WARM, "hide"),
        ("an image of a street, warm things stand out", "an image of a street, warm things are hidden"),
    ),
    "people or cars stand out": (
        (PERSON, "brighten"),
        (CAR, "brighten"),
        ("an image of a street, people stand out", "an image of a street, cars stand out"),
    ),
}
"""Name -> edit of the first picture, of the second (label, how), and what is said of each."""


def held_out(pairs: Sequence[Pair], count: int = FRAMES) -> list[Staged]:
    """`count` frames of the street that is shown by `ivif demo`, then as many of the pairs with people in them who are
    in no training; without pairs, the street alone."""
    street = Street(SIZE)
    frames = []
    for index in np.linspace(0, street.period, count, endpoint=False, dtype=int).tolist():
        infrared, visible, labels = street.render_labelled(index)
        frames.append(Staged(Pair(f"frame{index}", infrared, luminance(visible)), labels))
    return frames + stage(pairs, count, SEED)[count:] if pairs else frames


@torch.no_grad()
def answer_content(clip: FrozenClip, staged: Sequence[Staged]) -> dict[str, float]:
    """Share of right answers to each of the `QUESTIONS` (chance: 0.5), around every object asked for."""
    shares = {}
    for question, (first, second, texts) in QUESTIONS.items():
        pairs = examples(staged, first, second, clip.image_size)
        if not pairs:
            continue
        seen = clip.embed_images(torch.from_numpy(np.stack(pairs).reshape(-1, 1, *pairs[0][0].shape)))
        likeness = seen @ torch.stack([clip.embed_texts([text]) for text in texts]).T
        first_seen, second_seen = likeness.unflatten(0, (-1, 2)).unbind(1)
        right = torch.stack([first_seen[:, 0] > second_seen[:, 0], second_seen[:, 1] > first_seen[:, 1]])
        shares[question] = float(right.float().mean())
    return shares


def examples(
    staged: Sequence[Staged], first: tuple[int, str], second: tuple[int, str], size: int
) -> list[list[np.ndarray]]:
    """Crops around objects of the first edit's label, edited in the one and the other way; equal mean and deviation."""
    random, found = np.random.default_rng(0), []
    for entry in staged:
        for place in [place for place in objects(entry.labels) if place[0] == first[0]][:OBJECTS]:
            infrared, visible, labels = crop_around(entry, place, size, random)
            if (labels == second[0]).sum() < LEAST:
                continue
            share = np.float32(random.uniform())
            base = share * infrared + (1 - share) * visible
            found.append(
                tone_alike([edit(base, labels == label, how, random) for label, how in (first, second)], random)
            )
    return found
