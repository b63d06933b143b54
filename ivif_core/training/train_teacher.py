"""Train the teacher by sentences: `ivif train RECIPE.yaml [key=value …]`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor

from ivif_core.errors import ConfigError
from ivif_core.training.data.batches import Affine, Crops
from ivif_core.training.data.pairs import split
from ivif_core.training.losses.clip import FrozenClip
from ivif_core.training.losses.language import LanguageDrivenLoss, LanguageWeights, PatchRecipe, Texts
from ivif_core.training.losses.perceptual import Features, VggFeatures, max_feature_loss, pixel_features
from ivif_core.training.networks.teacher import Teacher, TeacherShape
from ivif_core.training.recipe import MOST_STEPS, Ranges, RunRecipe, find_recipe, load_recipe
from ivif_core.training.run import CHECKPOINT, Run, start
from ivif_core.training.staged import stage
from ivif_core.training.taught_pairs import WIDTHS, open_pairs


@dataclass(frozen=True, kw_only=True)
class ClipRecipe:
    """Attributes:
    model: architecture that open_clip knows, or a JSON file of one (found beside the recipe too).
    pretrained: tag or local file of its weights.
    recipe: recipe of `ivif_core.training.train_pocket_clip` that makes `pretrained` first where that file is not there.
    """

    model: str = "ViT-B-32-quickgelu"
    pretrained: str = "openai"
    recipe: str | None = None


@dataclass(frozen=True, kw_only=True)
class PerceptualRecipe:
    """Attributes:
    features: 'vgg19', or 'pixels' (luminance and gradients) where its weights cannot be had.
    weight: 0 leaves the part out.
    weights: torchvision's tag or a local file of VGG-19.
    layers: of VGG-19.
    """

    features: str = "vgg19"
    weight: float = 10.0
    weights: str = "IMAGENET1K_V1"
    layers: tuple[str, ...] = ("conv2_1", "conv3_1", "conv4_2")


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe(RunRecipe):
    """Attributes:
    rate: Adam's, after a warm-up of `warm_up` steps.
    halve_at: steps at which it is halved.
    noise: standard deviation of the noise on both inputs, on the scale [0, 1].
    minimum_contrast: crops where both standard deviations are under it are drawn again.
    staged: rendered streets with people and cars, and as many real ones with rendered people in them, to learn from
        beside the data; see `ivif_core.training.staged`.
    language_from: step from which the sentence counts; before it only the perceptual part does, so that there is an
        image to steer. 0 as published.
    """

    RANGES: ClassVar[Ranges] = {
        **RunRecipe.RANGES,
        "rate": (0, 10),
        "warm_up": (0, MOST_STEPS),
        "halve_at": (0, MOST_STEPS),
        "noise": (0, 1),
        "minimum_contrast": (0, 1),
        "language_from": (0, MOST_STEPS),
        "patches.count": (1, 4096),
        "patches.side": (0.01, 1),
        "patches.zoom": (0.1, 10),
        "patches.shift": (0, 1),
        "patches.rotation": (0, 180),
        "patches.shear": (0, 80),
        "network.width": WIDTHS,
    }

    rate: float = 5e-4
    warm_up: int = 0
    halve_at: tuple[int, ...] = ()
    noise: float = 0.03
    minimum_contrast: float = 0.05
    staged: int = 0
    language_from: int = 0
    texts: Texts = field(default_factory=Texts)
    clip: ClipRecipe = field(default_factory=ClipRecipe)
    language: LanguageWeights = field(default_factory=LanguageWeights)
    patches: PatchRecipe = field(default_factory=PatchRecipe)
    perceptual: PerceptualRecipe = field(default_factory=PerceptualRecipe)
    network: TeacherShape = field(default_factory=TeacherShape)


def train_teacher(recipe: TeacherRecipe) -> Path:
    """Train by the recipe; returns the checkpoint's path.

    Raises:
        ConfigError: nothing to learn from before the sentence counts; as `make_features` and `LanguageDrivenLoss`.
    """
    if recipe.language_from and not recipe.perceptual.weight:
        raise ConfigError("language_from: before that step nothing is learnt where perceptual.weight is 0")
    fabric = start(recipe)
    training, _ = split(open_pairs(recipe, fabric), recipe.validation_share)
    training += [entry.pair for entry in stage(training, recipe.staged, recipe.seed)]
    crops = Crops(training, recipe.crop, affine=Affine(), minimum_contrast=recipe.minimum_contrast)

    teacher = Teacher(recipe.network)
    optimizer = torch.optim.Adam(teacher.parameters(), recipe.rate, betas=(0.9, 0.999))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_factor, recipe))
    teacher, optimizer = fabric.setup(teacher, optimizer)

    language = make_language(recipe.clip, recipe.texts, recipe.language, recipe.patches, fabric)
    features = make_features(recipe.perceptual, fabric.device)

    run = Run(recipe, fabric, "teacher", {"model": teacher, "optimizer": optimizer, "schedule": schedule})
    rank, processes = fabric.global_rank, fabric.world_size
    for batch in run.batches(crops):
        infrared, visible = batch["infrared"], batch["visible"]
        noise = recipe.noise * torch.randn(
            (2, recipe.batch, *infrared.shape[1:]), generator=run.generator(stream=0)
        ).chunk(processes, dim=1)[rank].to(infrared)
        fused = teacher((infrared + noise[0]).clamp(0, 1), (visible + noise[1]).clamp(0, 1))
        with fabric.autocast():
            loss, parts = torch.zeros((), device=fabric.device), {}
            if run.step >= recipe.language_from:
                loss, parts = language(fused, visible, infrared, run.generator(stream=1))
            if recipe.perceptual.weight:
                parts["perceptual"] = max_feature_loss(features, fused, visible, infrared)
                loss = loss + recipe.perceptual.weight * parts["perceptual"]
        run.learn(loss, parts)
        run.images("infrared, visible, fused", infrared, visible, fused)
    return Path(recipe.output) / CHECKPOINT


def rate_factor(recipe: TeacherRecipe, step: int) -> float:
    """Of the learning rate: linear warm-up, then halved at each of `halve_at`."""
    warm = min(1.0, (step + 1) / recipe.warm_up) if recipe.warm_up else 1.0
    return warm * 0.5 ** sum(step >= place for place in recipe.halve_at)


def make_language(
    clip: ClipRecipe, texts: Texts, weights: LanguageWeights, patches: PatchRecipe, fabric: Fabric
) -> LanguageDrivenLoss:
    """The loss on the fabric's device and over its processes.

    Raises:
        ConfigError, ModelError: as `FrozenClip` and `LanguageDrivenLoss`.
    """

    def over_processes(value: Tensor) -> Tensor:
        return cast(Tensor, fabric.all_reduce(value, reduce_op="mean"))

    loss = LanguageDrivenLoss(FrozenClip(clip.model, clip.pretrained), texts, weights, patches, over_processes)
    return loss.to(fabric.device)


def make_features(recipe: PerceptualRecipe, device: torch.device) -> Features:
    """The features of the perceptual part.

    Raises:
        ConfigError, ModelError: an unknown kind; as `VggFeatures`.
    """
    if recipe.features == "pixels" or not recipe.weight:
        return pixel_features
    if recipe.features == "vgg19":
        return VggFeatures(recipe.weights, recipe.layers).to(device)
    raise ConfigError(f"perceptual.features: expected 'vgg19' or 'pixels', got {recipe.features!r}")


def load_teacher_recipe(path: str | Path, overrides: Sequence[str] = ()) -> TeacherRecipe:
    """As `load_recipe`; the CLIP is found as `find_clip` does."""
    path = find_recipe(path)
    recipe = load_recipe(TeacherRecipe, path, overrides)
    return dataclasses.replace(recipe, clip=find_clip(recipe.clip, path.parent, recipe))


def find_clip(clip: ClipRecipe, folder: Path, recipe: RunRecipe) -> ClipRecipe:
    """A recipe's CLIP: its files are found in the recipe's folder, and a pocket CLIP is made where asked for.

    Raises:
        ConfigError: what is made is not what is asked for.
    """
    if (folder / clip.model).is_file():
        clip = dataclasses.replace(clip, model=str(folder / clip.model))
    if clip.recipe and not Path(clip.pretrained).is_file():
        from ivif_core.training.train_pocket_clip import load_pocket_clip_recipe, train_pocket_clip

        made = Path(clip.pretrained)
        why = f"no weights at {made} yet: training the pocket CLIP of {clip.recipe}"
        overrides = [f"data={recipe.data}", f"output={made.parent}", f"accelerator={recipe.accelerator}"]
        weights = train_pocket_clip(load_pocket_clip_recipe(folder / clip.recipe, overrides), why)
        if weights != made:
            raise ConfigError(f"clip.pretrained: the recipe makes {weights}, but {made} is asked for")
    return clip
