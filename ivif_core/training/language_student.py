"""The sentence straight into the student: `ivif distill RECIPE.yaml language.weight=1 …`.

After distillation, or from given weights, the student follows the language-driven loss (`losses.language`) with what it
makes at vividness 1 itself; the guards of distillation stay on. A teacher that is free to draw answers a sentence with
patterns that please a small CLIP; a local affine student can only brighten, fade and mix what is there.

Only what the last layer says of vividness 1 is trained, so the faithful end stays as it is, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from ivif_core.errors import ConfigError
from ivif_core.models.local_affine import CELL
from ivif_core.training.data.batches import Affine, Crops
from ivif_core.training.data.pairs import split
from ivif_core.training.losses import teaching
from ivif_core.training.losses.language import LanguageWeights, PatchRecipe, Texts
from ivif_core.training.losses.perceptual import max_feature_loss
from ivif_core.training.losses.sources import Sources
from ivif_core.training.losses.teaching import VividWeights
from ivif_core.training.networks.aimed_student import VIVID_ROWS
from ivif_core.training.networks.learned_student import LearnedStudent, apply
from ivif_core.training.recipe import MOST_STEPS, Ranges, find_recipe, load_recipe
from ivif_core.training.run import CHECKPOINT, Run, same_run, start
from ivif_core.training.staged import stage
from ivif_core.training.taught_pairs import open_pairs
from ivif_core.training.teach_student import (
    StudentRecipe,
    distill_student,
    edged,
    export_checkpoint,
    load_student,
    rate_factor,
)
from ivif_core.training.train_teacher import (
    ClipRecipe,
    PerceptualRecipe,
    TeacherRecipe,
    find_clip,
    make_features,
    make_language,
)

DISTILLED = "distilled"
"""Folder, in the run's, of the student before the sentence."""


@dataclass(frozen=True, kw_only=True)
class SentenceRecipe:
    """Attributes:
    weight: of the language-driven loss, its perceptual part included, beside the guards (`vivid`); 0: there is none.
    start: student to go on from: a checkpoint, an ONNX file, or 'shipped'; none: the one that the recipe distils.
    steps, rate: optimiser steps and peak of Adam's rate, see `rate_factor`.
    crop: side of the training crops, pixels.
    staged, texts, clip, patches, perceptual: as in a teacher's recipe.
    parts: what a teacher's recipe has as `language`.
    """

    weight: float = 0.0
    start: str | None = None
    steps: int = 300
    rate: float = 8e-3
    crop: int = 224
    staged: int = 0
    texts: Texts = field(default_factory=Texts)
    clip: ClipRecipe = field(default_factory=ClipRecipe)
    parts: LanguageWeights = field(default_factory=LanguageWeights)
    patches: PatchRecipe = field(default_factory=PatchRecipe)
    perceptual: PerceptualRecipe = field(default_factory=PerceptualRecipe)


@dataclass(frozen=True, kw_only=True)
class LanguageStudentRecipe(StudentRecipe):
    """A student's recipe, with a sentence or without."""

    RANGES: ClassVar[Ranges] = {
        **StudentRecipe.RANGES,
        "language.weight": (0, 1000),
        "language.steps": (1, MOST_STEPS),
        "language.rate": (0, 10),
        "language.crop": (32, 8192),
        "language.staged": (0, 100_000),
        "language.perceptual.weight": (0, 100_000),
        **{f"language.parts.{entry.name}": (0, 100_000) for entry in fields(LanguageWeights)},
        **{f"language.{key}": span for key, span in TeacherRecipe.RANGES.items() if key.startswith("patches.")},
    }

    language: SentenceRecipe = field(default_factory=SentenceRecipe)


def load_student_recipe(path: str | Path, overrides: Sequence[str] = ()) -> LanguageStudentRecipe:
    """As `load_recipe`; a sentence's CLIP is found as `train_teacher.find_clip` does."""
    path = find_recipe(path)
    recipe = load_recipe(LanguageStudentRecipe, path, overrides)
    if not recipe.language.weight:
        return recipe
    return replace(recipe, language=replace(recipe.language, clip=find_clip(recipe.language.clip, path.parent, recipe)))


def teach_by_recipe(recipe: LanguageStudentRecipe) -> list[Path]:
    """Distil, and follow the sentence where the recipe has one; exports into the run folder as `distill_student`.

    Raises:
        ConfigError: a student to start from and no sentence, or none on several devices; as `distill_student` and
            `follow_sentence`.
    """
    distilled = StudentRecipe(**{entry.name: getattr(recipe, entry.name) for entry in fields(StudentRecipe)})
    begin = recipe.language.start
    if not recipe.language.weight:
        if begin:
            raise ConfigError(f"language.start={begin}: nothing is learnt from there without language.weight=1")
        return distill_student(distilled)
    if not begin:
        if (recipe.devices, recipe.nodes) != (1, 1):  # processes are launched once in a command
            raise ConfigError(
                "language.weight on several devices: distil in a command of its own, then language.start=…"
            )
        said, here = recipe.language, Fabric(accelerator="cpu", devices=1)
        make_language(said.clip, said.texts, said.parts, said.patches, here)  # what is missing is said before the long
        make_features(said.perceptual, here.device)  # part, as is a run folder of another recipe
        same_run(recipe, "student")
        distill_student(replace(distilled, output=str(Path(recipe.output) / DISTILLED)))
        begin = str(Path(recipe.output) / DISTILLED / CHECKPOINT)
    return follow_sentence(recipe, load_student(begin))


def follow_sentence(recipe: LanguageStudentRecipe, student: LearnedStudent) -> list[Path]:
    """Move what a student makes at vividness 1 to where the sentence points; resumable, and exported at its end.

    Raises:
        ConfigError, ModelError: as `Run`, `make_language` and `make_features`.
    """
    said = recipe.language
    recipe = replace(recipe, **shape_of(student))
    fabric = start(recipe)
    training, _ = split(open_pairs(recipe, fabric), recipe.validation_share)
    training += [entry.pair for entry in stage(training, said.staged, recipe.seed)]
    crops = Crops(training, said.crop, affine=Affine(), minimum_contrast=0.05)
    language = make_language(said.clip, said.texts, said.parts, said.patches, fabric)
    features = make_features(said.perceptual, fabric.device)

    optimizer = torch.optim.Adam(only_the_vivid_end(student.train()), said.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_factor, said.steps))
    network, optimizer = fabric.setup(student, optimizer)
    network.mark_forward_method("both_maps")
    run = Run(recipe, fabric, "student", {"model": network, "optimizer": optimizer, "schedule": schedule}, said.steps)
    for batch in run.batches(crops):
        infrared, visible = batch["infrared"], batch["visible"]
        cells = student.statistics(infrared, visible)
        faithful_maps, vivid_maps = network.both_maps(infrared, visible)
        raw = apply(edged(vivid_maps), infrared, visible, CELL)
        fused = raw.clamp(0, 1)
        sentence, parts = language(fused, visible, infrared, run.generator())
        if said.perceptual.weight:
            parts["perceptual"] = max_feature_loss(features, fused, visible, infrared)
            sentence = sentence + said.perceptual.weight * parts["perceptual"]
        guards = guards_of(fused, Sources(infrared, visible), faithful_maps, vivid_maps, cells, recipe.vivid)
        over = (raw - fused).abs().mean()
        loss = said.weight * sentence + teaching.weighted(guards, recipe.vivid) + recipe.overflow * over
        ends = {"language": parts, "guards": guards, "overflow": {"vivid": over}}
        shown = {f"{end}/{name}": part.mean() for end, found in ends.items() for name, part in found.items()}
        run.learn(loss, shown, largest_gradient=1.0)
        run.images("infrared, visible, fused", infrared, visible, fused)
    paths = export_checkpoint(Path(recipe.output) / CHECKPOINT, recipe.output) if fabric.is_global_zero else []
    fabric.barrier()
    return paths


def guards_of(
    fused: Tensor, sources: Sources, faithful_maps: Tensor, vivid_maps: Tensor, cells: Tensor, weights: VividWeights
) -> dict[str, Tensor]:
    """Guards of the vivid end as in distillation, unweighted, (B,) each.

    That of warm things is on whatever the sentence says; `vivid.warm=0` switches it off where it is to hide them.
    """
    faithful, vivid = (teaching.levels(maps, cells).clamp(0, 1) for maps in (faithful_maps, vivid_maps))
    return {
        **teaching.vivid_guards(fused, sources, weights),
        "noise": sources.noise_excess(fused, weights.noise_gain),
        "warm": teaching.warm_loss(vivid, faithful, cells[:, :1], weights.warm_margin),
        "flicker": teaching.flicker_loss(vivid_maps, weights.flicker_gain),
    }


def only_the_vivid_end(student: LearnedStudent) -> list[nn.Parameter]:
    """Leave nothing to train but what the last layer says of vividness 1."""
    student.requires_grad_(False)
    trained = list(student.maps.head.parameters())
    for values in trained:
        vivid = torch.zeros_like(values)
        vivid[-VIVID_ROWS:] = 1
        values.requires_grad_(True).register_hook(lambda gradient, vivid=vivid: gradient * vivid.to(gradient))
    return trained


def shape_of(student: LearnedStudent) -> dict[str, Any]:
    """The recipe's keys of a student's size."""
    return dict(student.config)
