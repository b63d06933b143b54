"""Train a small CLIP on real pairs, so that the language-driven loss runs where no model hub is reachable.

It is no OpenAI CLIP: it has seen nothing but street scenes and knows the words of `ivif_core.training.captions` only.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import open_clip
import torch
from torch import Tensor
from torch.nn import functional

from ivif_core.training.captions import CaptionedCrops
from ivif_core.training.checkpoint import write_tensors
from ivif_core.training.content import ContentTwins, twin_loss
from ivif_core.training.content_questions import answer_content, held_out
from ivif_core.training.data.batches import batches
from ivif_core.training.data.pairs import Pair, split
from ivif_core.training.losses.clip import FrozenClip, register_architecture
from ivif_core.training.recipe import RunRecipe, find_recipe, load_recipe
from ivif_core.training.run import Run, start
from ivif_core.training.staged import stage
from ivif_core.training.taught_pairs import open_pairs

QUESTIONS = {
    "infrared or visible": ("an infrared image", "a visible image"),
    "dark or bright": ("a dark image", "a bright image"),
    "blurred or sharp": ("a blurred image", "a sharp image"),
    "noisy or clean": ("a noisy image", "a clean image"),
    "flat or contrasty": ("an image, with low contrast", "an image, with high contrast"),
    "grid or clean": ("an image, with a grid", "a clean image"),
    "detail or grid": ("an image, rich in detail", "an image, with a grid"),
}


@dataclass(frozen=True, kw_only=True)
class PocketClipRecipe(RunRecipe):
    """Attributes:
    architecture: open_clip model configuration (JSON), beside the recipe.
    rate, warm_up: peak of AdamW's cosine schedule and the steps up to it.
    staged: rendered streets, and as many real ones with rendered people in them; content is learnt on them.
    twins: pictures of them a step, each of them three times; see `ivif_core.training.content`. 0 teaches no content.
    twin_weight: of what they are taught by, beside the contrastive loss.
    """

    architecture: str
    rate: float = 1e-3
    warm_up: int = 50
    staged: int = 0
    twins: int = 0
    twin_weight: float = 4.0


def train_pocket_clip(recipe: PocketClipRecipe, why: str = "") -> Path:
    """Train and write `clip.pt` (weights as open_clip takes them) into the run folder; returns its path.

    Args:
        why: said once the data are read.
    """
    fabric = start(recipe)
    training, validation = split(open_pairs(recipe, fabric), recipe.validation_share)
    if why and fabric.is_global_zero:
        print(why, file=sys.stderr)
    name = register_architecture(recipe.architecture)
    tokenize = open_clip.get_tokenizer(name)
    crops = CaptionedCrops(training, recipe.crop, tokenize)

    clip = open_clip.create_model(name, output_dict=True)
    normalisation = open_clip.get_model_preprocess_cfg(clip)
    mean, std = (torch.tensor(normalisation[key], device=fabric.device).view(3, 1, 1) for key in ("mean", "std"))
    optimizer = torch.optim.AdamW(clip.parameters(), recipe.rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=recipe.steps, pct_start=min(0.5, recipe.warm_up / recipe.steps)
    )
    clip, optimizer = fabric.setup(clip, optimizer)
    contrast = open_clip.ClipLoss(
        gather_with_grad=True, rank=fabric.global_rank, world_size=fabric.world_size, local_loss=True
    )

    run = Run(recipe, fabric, "pocket_clip", {"model": clip, "optimizer": optimizer, "schedule": schedule})
    twins = None
    if recipe.twins:
        staged = ContentTwins(stage(training, recipe.staged, recipe.seed), recipe.crop, tokenize)
        rank, processes = fabric.global_rank, fabric.world_size
        left = range(run.step, recipe.steps)
        twins = batches(staged, recipe.twins, recipe.seed, left, rank=rank, processes=processes, workers=recipe.workers)
    for batch in run.batches(crops):
        images, texts = batch["image"], batch["text"]
        if twins:  # one pass for both
            content = fabric.to_device(next(twins))
            images = torch.cat([images, content["images"].flatten(0, 1)])
            texts = torch.cat([texts, content["texts"].flatten(0, 1)])
        features = clip((images - mean) / std, texts)
        captioned = {key: features[key][: len(batch["image"])] for key in ("image_features", "text_features")}
        loss, parts = contrast(**captioned, logit_scale=features["logit_scale"]), {"scale": features["logit_scale"]}
        if twins:
            seen, said = (
                features[key][len(batch["image"]) :].unflatten(0, (-1, 3))
                for key in ("image_features", "text_features")
            )
            parts["twins"] = twin_loss(seen, said)
            loss = loss + recipe.twin_weight * parts["twins"]
        run.learn(loss, parts, largest_gradient=1.0)
        run.images("crops", batch["image"])

    weights = Path(recipe.output) / "clip.pt"
    if fabric.is_global_zero:
        write_tensors(weights, clip.state_dict())
        pairs, frozen = validation or training, FrozenClip(recipe.architecture, str(weights))
        content = answer_content(frozen, held_out(pairs)) if twins else {}
        for question, share in (answer(frozen, pairs) | content).items():
            run.scalar(f"validation/{question}", share)
            print(f"{question}: {share:.3f} right")
    fabric.barrier()
    return weights


@torch.no_grad()
def answer(clip: FrozenClip, pairs: Sequence[Pair]) -> dict[str, float]:
    """Share of right answers to each of the `QUESTIONS` on the middle of each image (chance: 0.5)."""
    images = [tuple(_square(image, clip.image_size) for image in (pair.infrared, pair.visible)) for pair in pairs]
    generator = torch.Generator().manual_seed(0)
    shares = {}
    for question, texts in QUESTIONS.items():
        directions = torch.stack([clip.embed_texts([text]) for text in texts])
        right = []
        for infrared, visible in images:
            for first, second in _examples(question, infrared, visible, generator):
                likeness = torch.stack([clip.embed_images(image)[0] for image in (first, second)]) @ directions.T
                right += [bool(likeness[0, 0] > likeness[1, 0]), bool(likeness[1, 1] > likeness[0, 1])]
        shares[question] = sum(right) / len(right)
    return shares


def _square(image: np.ndarray, size: int) -> Tensor:
    """The middle of an image (uint8 H×W), as (1, 1, size, size) in [0, 1]."""
    height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = cv2.resize(image[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(middle)[None, None] / 255


def _examples(
    question: str, infrared: Tensor, visible: Tensor, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Pairs of images: the first is what the first text says, the second what the second says."""
    if question == "infrared or visible":
        return [(infrared, visible)]
    pairs = []
    for image in (infrared, visible):
        if question == "dark or bright":
            pairs.append((image * 0.4, (0.4 + image * 0.6)))
        elif question == "blurred or sharp":
            small = functional.avg_pool2d(image, 4)
            pairs.append((functional.interpolate(small, image.shape[-2:], mode="bilinear"), image))
        elif question == "noisy or clean":
            pairs.append(((image + 0.12 * torch.randn(image.shape, generator=generator)).clamp(0, 1), image))
        elif "grid" in question:
            wave = torch.sin(torch.arange(image.shape[-1]) * torch.pi / 2)
            gridded = (image + 0.1 * wave[:, None] * wave).clamp(0, 1)
            pairs.append((image, gridded) if question == "detail or grid" else (gridded, image))
        else:
            pairs.append((0.5 + 0.3 * (image - image.mean()), (0.5 + 2 * (image - image.mean())).clamp(0, 1)))
    return pairs


def main(arguments: Sequence[str]) -> None:
    """`python -m ivif_core.training.train_pocket_clip RECIPE.yaml [key=value …]`"""
    train_pocket_clip(load_pocket_clip_recipe(arguments[0], arguments[1:]))


def load_pocket_clip_recipe(path: str | Path, overrides: Sequence[str] = ()) -> PocketClipRecipe:
    """As `load_recipe`; the architecture's file is found beside the recipe."""
    import dataclasses

    path = find_recipe(path)
    recipe = load_recipe(PocketClipRecipe, path, overrides)
    beside = Path(path).parent / recipe.architecture
    return dataclasses.replace(recipe, architecture=str(beside)) if beside.is_file() else recipe


if __name__ == "__main__":
    main(sys.argv[1:])
