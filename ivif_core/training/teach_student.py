"""Teach the student: near the faithful reference at vividness 0, near the teacher at 1.

The teacher is a folder of its recorded outputs beside the pairs, or a checkpoint of `ivif_core.training.train_teacher`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.fabric import Fabric
from torch import Tensor
from torch.nn import functional

from ivif_core.errors import ModelError, one_line
from ivif_core.models import read_metadata, resolve_model
from ivif_core.models.local_affine import CELL
from ivif_core.training.checkpoint import load_checkpoint, load_state
from ivif_core.training.data.batches import batches
from ivif_core.training.data.degradation import Degradation, blind, relight, worsen
from ivif_core.training.data.frames import Frames
from ivif_core.training.data.pairs import FolderPairs, Pair, is_held_out, split
from ivif_core.training.export import export_student
from ivif_core.training.losses import teaching
from ivif_core.training.losses.sources import Sources
from ivif_core.training.losses.teaching import FaithfulWeights, VividWeights
from ivif_core.training.networks import METADATA, restore_student
from ivif_core.training.networks.aimed_student import AimedStudent
from ivif_core.training.networks.learned_student import LearnedStudent, Statistics, apply
from ivif_core.training.networks.rule_reference import RuleReference
from ivif_core.training.recipe import RunRecipe, load_recipe
from ivif_core.training.record_teacher import make_view
from ivif_core.training.run import CHECKPOINT, Run, start
from ivif_core.training.taught_pairs import open_pairs, teach


@dataclass(frozen=True, kw_only=True)
class StudentRecipe(RunRecipe):
    """Attributes:
    teacher: checkpoint of a teacher, or folder of recorded outputs (relative to `data` where it lies there).
    recorded: folder that `ivif_core.training.record_teacher` wrote, with further views; empty: none.
    views: of each pair, further views that a teacher's checkpoint makes.
    views_share: share of the batches that are such views.
    crop, width: height and width of what the student sees of a frame, pixels.
    window: height and width of the part of it in which pixels are looked at.
    rate: peak of Adam's, see `rate_factor`.
    channels, dilations, wide_channels, wide_dilations: of the student.
    relit, worsened: share of the images in another light, and through a worse camera.
    overflow: weight of what the network gives outside [0, 1].
    shares_every: steps after which the teacher's share of the vivid end's gradient is logged.
    """

    teacher: str
    recorded: str = ""
    views: int = 0
    views_share: float = 0.5
    width: int = 448
    window: tuple[int, ...] = (160, 224)
    rate: float = 4e-3
    channels: int = 32
    dilations: tuple[int, ...] = (1, 2, 4, 1)
    wide_channels: int = 32
    wide_dilations: tuple[int, ...] = (1, 2, 4, 4, 2, 1)
    relit: float = 0.7
    worsened: float = 0.5
    overflow: float = 3.0
    shares_every: int = 50
    degradation: Degradation = field(default_factory=Degradation)
    faithful: FaithfulWeights = field(default_factory=FaithfulWeights)
    vivid: VividWeights = field(default_factory=VividWeights)


def distill_student(recipe: StudentRecipe) -> list[Path]:
    """Train, and export `student.onnx`, `_uint8` and `_maps` into the run folder; returns their paths."""
    fabric = start(recipe)
    frames = open_frames(recipe, fabric)
    rules = RuleReference().to(fabric.device)  # untrained it corrects nothing: the reference of the faithful end
    student = make_student(vars(recipe))
    optimizer = torch.optim.Adam(student.parameters(), recipe.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_factor, recipe.steps))
    student, optimizer = fabric.setup(student, optimizer)
    student.mark_forward_method("both_maps")

    run = Run(recipe, fabric, "student", {"model": student, "optimizer": optimizer, "schedule": schedule})
    rank, processes = fabric.global_rank, fabric.world_size
    left = range(run.step, recipe.steps)
    data = batches(frames, recipe.batch, recipe.seed, left, rank=rank, processes=processes, workers=recipe.workers)
    for _ in run.steps():
        batch = fabric.to_device(next(data))
        # Self-learning: the student sees the scene, in another light, through worse cameras, and answers for the scene.
        scene = batch["infrared"], batch["visible"]
        lit = relight(*scene, recipe.degradation)
        scene = exchanged(
            scene, lit, batch["relight"] & (torch.rand(len(batch["relight"])) < recipe.relit).to(fabric.device)
        )
        scene = blind(*scene, recipe.degradation)
        worse = worsen(*scene, recipe.degradation)
        seen = exchanged(scene, worse, (torch.rand(len(scene[0])) < recipe.worsened).to(fabric.device))
        faithful_maps, vivid_maps = student.both_maps(*seen)
        loss, parts = losses(recipe, faithful_maps, vivid_maps, seen, scene, batch["teacher"], rules)
        if run.step % recipe.shares_every == 0:
            share = teachers_share(parts, student.maps.head.weight, recipe.vivid)
            run.scalar("train/teacher's share of the vivid gradient", share)
        run.record(loss, {f"{end}/{name}": part for end, found in parts.items() for name, part in found.items()})
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(student, optimizer, max_norm=1.0)
        optimizer.step()
        schedule.step()

    paths: list[Path] = []
    if fabric.is_global_zero:
        paths = export_checkpoint(Path(recipe.output) / CHECKPOINT, recipe.output)
    fabric.barrier()
    return paths


def export_checkpoint(checkpoint: str | Path, folder: str | Path, name: str = "student") -> list[Path]:
    """Export the student of a checkpoint, as `ivif_core.training.export.export_student`.

    Raises:
        ModelError: no checkpoint of a student.
    """
    recipe = load_checkpoint(checkpoint, "student")["recipe"]
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)  # the run folder's recipe.yaml
    return export_student(load_student(checkpoint), folder, recipe=text, name=name)


def rate_factor(steps: int, step: int) -> float:
    """Of the peak rate: linear over the first tenth, then half a cosine down to zero."""
    up = steps / 10
    return (step + 1) / up if step + 1 < up else 0.5 * (1 + math.cos(math.pi * max(step - up, 0) / (steps - up)))


def losses(
    recipe: StudentRecipe,
    faithful_maps: Tensor,
    vivid_maps: Tensor,
    seen: tuple[Tensor, Tensor],
    scene: tuple[Tensor, Tensor],
    teacher: Tensor,
    rules: RuleReference,
) -> tuple[Tensor, dict[str, dict[str, Tensor]]]:
    """The loss, and its parts, not weighted, of `faithful`, `teacher`, `guards` and `overflow`.

    Args:
        faithful_maps, vivid_maps: N×3×h×w, what the student makes of `seen`.
        seen, scene: infrared and visible, as the student and as the teachers see them.
    """
    of_cells = Statistics().to(teacher)
    cells, scene_cells = (torch.cat([of_cells(image) for image in images], dim=1) for images in (seen, scene))
    with torch.no_grad():
        reference = rules.maps(scene_cells, torch.zeros(1).to(cells))
    level, detail = teaching.map_distance(faithful_maps, reference[..., 1:-1, 1:-1], scene_cells)
    hot = scene_cells[:, :1]
    levels_0, levels_1 = (teaching.levels(maps, cells).clamp(0, 1) for maps in (faithful_maps, vivid_maps))
    taught = functional.avg_pool2d(teacher, CELL)
    tone = teaching.tone_parts(levels_1, taught)
    guarded = (~teaching.shows_warm_dark(taught, hot)).float()

    pixels, around = window(recipe.window, teacher.shape[2:])
    infrared, visible, goal = scene[0][pixels], scene[1][pixels], teacher[pixels]
    here = seen[0][pixels], seen[1][pixels]
    raw = [apply(edged(maps)[around], *here, CELL) for maps in (faithful_maps, vivid_maps)]
    faithful, vivid = (image.clamp(0, 1) for image in raw)
    by_rules = apply(reference[around], infrared, visible, CELL).clamp(0, 1)
    sources, cameras = Sources(infrared, visible), Sources(*here)
    parts = {
        "faithful": {
            "level": level,
            "detail": detail,
            **teaching.faithful_guards(faithful, sources, by_rules, recipe.faithful),
            "noise": cameras.noise_excess(faithful, recipe.faithful.noise_gain),
            "warm": teaching.warm_loss(levels_0, recipe.faithful.warm_share * hot, hot),
        },
        "teacher": {**tone, **teaching.teacher_parts(vivid, goal)},
        "guards": {
            **teaching.vivid_guards(vivid, sources, recipe.vivid),
            "noise": cameras.noise_excess(vivid, recipe.vivid.noise_gain),
            "warm": guarded * teaching.warm_loss(levels_1, levels_0.detach(), hot, recipe.vivid.warm_margin),
            "flicker": teaching.flicker_loss(vivid_maps, recipe.vivid.flicker_gain),
        },
        "overflow": {"both": torch.stack([(one - one.clamp(0, 1)).abs().mean() for one in raw]).sum()},
    }
    parts = {end: {name: part.mean() for name, part in found.items()} for end, found in parts.items()}
    loss = teaching.weighted(parts["faithful"], recipe.faithful) + recipe.overflow * parts["overflow"]["both"]
    loss = loss + sum(teaching.weighted(parts[end], recipe.vivid) for end in ("teacher", "guards"))
    return loss, parts


def teachers_share(parts: dict[str, dict[str, Tensor]], last: Tensor, weights: VividWeights) -> float:
    """The share of the teacher's terms in the vivid end's gradients on the last weights, by their norms, 0 … 1."""
    norms = {"teacher": 0.0, "guards": 0.0}
    for end in norms:
        for name, part in parts[end].items():
            if part.requires_grad:
                (gradient,) = torch.autograd.grad(getattr(weights, name) * part, last, retain_graph=True)
                norms[end] += float(gradient.norm())
    return norms["teacher"] / max(sum(norms.values()), 1e-12)


def open_frames(recipe: StudentRecipe, fabric: Fabric) -> Frames:
    """The training pairs, and further views of them that the teacher has seen.

    Raises:
        InputError, ModelError: as `open_pairs` and `FolderPairs`.
    """
    pairs, _ = split(open_pairs(recipe, fabric, recipe.teacher), recipe.validation_share)
    views: list[Pair] = []
    if recipe.recorded:
        share = recipe.validation_share
        views = [pair for pair in FolderPairs(recipe.recorded, teacher=VIEWS_TEACHER) if not of_held_out(pair, share)]
    elif recipe.views:
        keys = [(recipe.seed, index, view) for index in range(len(pairs)) for view in range(recipe.views)]
        views = teach([make_view(pairs[key[1]], key) for key in keys], recipe.teacher, fabric)
    return Frames(pairs, (recipe.crop, recipe.width), views, recipe.views_share)


VIEWS_TEACHER = "language_teacher"
SHIPPED = "shipped"
"""Name of the student that comes with the package, among files."""


def of_held_out(view: Pair, share: float) -> bool:
    """Whether a recorded view is of a pair that is held out: it has the pair's name before a '~'."""
    return is_held_out(view.name.rpartition("~")[0], share)


def window(size: Sequence[int], frame: Sequence[int]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A random window on the grid of cells; as an index of frames, and of maps with a halo of one cell."""
    size = [min(want, have) // CELL * CELL for want, have in zip(size, frame, strict=True)]
    first = [int(torch.randint((have - want) // CELL + 1, ())) for want, have in zip(size, frame, strict=True)]
    pixels = (..., *(slice(CELL * start, CELL * start + want) for start, want in zip(first, size, strict=True)))
    return pixels, (..., *(slice(start, start + want // CELL + 2) for start, want in zip(first, size, strict=True)))


def edged(maps: Tensor) -> Tensor:
    return functional.pad(maps, (1,) * 4, mode="replicate")


def exchanged(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], where: Tensor) -> tuple[Tensor, Tensor]:
    """`after` for the images of the batch that are chosen, else `before`."""
    chosen = where.view(-1, 1, 1, 1)
    return torch.where(chosen, after[0], before[0]), torch.where(chosen, after[1], before[1])


def make_student(recipe: dict[str, Any]) -> LearnedStudent:
    """The untrained student of a recipe's values."""
    keys = ("channels", "dilations", "wide_channels", "wide_dilations")
    given: dict[str, Any] = {key: tuple(recipe[key]) if isinstance(recipe[key], list) else recipe[key] for key in keys}
    return LearnedStudent(**given)


def load_student(checkpoint: str | Path) -> LearnedStudent:
    """The trained student of a checkpoint, of a whole ONNX file, or 'shipped' with the package; in eval mode.

    Of a file with several aims it is the student of the first.

    Raises:
        ModelError: no checkpoint or file of a student.
    """
    if checkpoint == SHIPPED or Path(checkpoint).suffix == ".onnx":
        return restored(resolve_model(None if checkpoint == SHIPPED else checkpoint))
    content = load_checkpoint(checkpoint, "student")
    student = make_student(content["recipe"])
    load_state(student, content, "model", checkpoint)
    return student.eval()


def restored(path: Path) -> LearnedStudent:
    """The student of a whole ONNX file.

    Raises:
        ModelError: the file is broken, or of another network.
    """
    import onnx
    from onnx import numpy_helper

    entry = read_metadata(path).get(METADATA)
    try:
        weights = {value.name: numpy_helper.to_array(value) for value in onnx.load(path).graph.initializer}
    except Exception as error:  # onnx raises protobuf's and its own types
        raise ModelError(f"cannot read {path}: {one_line(error)}") from error
    student = restore_student(entry, weights)
    if not isinstance(student, LearnedStudent):
        raise ModelError(f"{path} is of another network ({type(student).__name__}); expected a learned student")
    return student.first_aim() if isinstance(student, AimedStudent) else student


def main(arguments: Sequence[str]) -> None:
    """`python -m ivif_core.training.teach_student RECIPE.yaml [key=value …]`"""
    for path in distill_student(load_recipe(StudentRecipe, arguments[0], arguments[1:])):
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
