"""Teach the student: faithful to both sources at vividness 0, the teacher's look at 1.

The teacher is a folder of its recorded outputs beside the pairs, or a checkpoint of `ivif_core.training.train_teacher`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from torch import Tensor

from ivif_core.training.data.batches import Crops
from ivif_core.training.data.degradation import Degradation, relight, worsen
from ivif_core.training.data.pairs import split
from ivif_core.training.export import export_student
from ivif_core.training.losses.distillation import FaithfulWeights, VividWeights, faithful_loss, vivid_loss
from ivif_core.training.networks.student import Student
from ivif_core.training.recipe import RunRecipe, load_recipe
from ivif_core.training.run import CHECKPOINT, Run, load_checkpoint, start
from ivif_core.training.taught_pairs import open_pairs


@dataclass(frozen=True, kw_only=True)
class StudentRecipe(RunRecipe):
    """Attributes:
    teacher: checkpoint of a teacher, or folder of recorded outputs (relative to `data` where it lies there); empty: no
        teacher, for comparison.
    rate: peak of Adam's one-cycle schedule.
    channels, dilations: of the student.
    overflow: weight of what the network gives outside [0, 1].
    """

    teacher: str
    rate: float = 2e-3
    channels: int = 32
    dilations: tuple[int, ...] = (1, 2, 4, 1)
    overflow: float = 3.0
    degradation: Degradation = field(default_factory=Degradation)
    faithful: FaithfulWeights = field(default_factory=FaithfulWeights)
    vivid: VividWeights = field(default_factory=VividWeights)


def distill_student(recipe: StudentRecipe) -> list[Path]:
    """Train, and export `student.onnx` and `student_uint8.onnx` into the run folder; returns their paths."""
    fabric = start(recipe)
    training, _ = split(open_pairs(recipe, fabric, recipe.teacher or None), recipe.validation_share)
    crops = Crops(training, recipe.crop)

    skeleton = fabric.to_device(Student(recipe.channels, recipe.dilations))  # an untrained student corrects nothing
    student = Student(recipe.channels, recipe.dilations).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(student.parameters(), recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=recipe.steps, pct_start=0.05)
    student, optimizer = fabric.setup(student, optimizer)
    student.mark_forward_method("fuse")

    run = Run(recipe, fabric, "student", {"model": student, "optimizer": optimizer, "schedule": schedule})
    for batch in run.batches(crops):
        # Self-learning: the student sees the relit scene through worse cameras; the faithful end answers for the
        # scene, the vivid end for what the teacher makes of the clean pair.
        scene = relight(batch["infrared"], batch["visible"], recipe.degradation)
        seen = worsen(*scene, recipe.degradation)
        faithful, vivid, overflow = both_ends(student, *seen)
        with torch.no_grad():
            anchors = both_ends(skeleton, *scene)
        faithful_part, parts = faithful_loss(faithful, *scene, anchors[0], recipe.faithful)
        vivid_part, vivid_parts = vivid_loss(vivid, faithful, *scene, anchors[1], batch.get("teacher"), recipe.vivid)
        loss = faithful_part + vivid_part + recipe.overflow * overflow
        parts = {"overflow": overflow, **prefixed("faithful", parts), **prefixed("vivid", vivid_parts)}

        run.learn(loss, parts, largest_gradient=1.0)
        run.images("infrared, visible, faithful, vivid, teacher", *seen, faithful, vivid, batch.get("teacher", vivid))

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
    content = load_checkpoint(checkpoint, "student")
    recipe = content["recipe"]
    student = Student(recipe["channels"], tuple(recipe["dilations"]))
    student.load_state_dict(content["model"])
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)  # the run folder's recipe.yaml
    return export_student(student, folder, recipe=text, name=name)


def both_ends(student: Student, infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The student at vividness 0 and at 1, clamped, and the mean of what the clamp cut off."""
    count = infrared.shape[0]
    vividness = torch.cat([torch.zeros(count), torch.ones(count)]).to(infrared)
    fused = student.fuse(torch.cat([infrared, infrared]), torch.cat([visible, visible]), vividness)
    clamped = fused.clamp(0, 1)
    return clamped[:count], clamped[count:], (fused - clamped).abs().mean()


def prefixed(prefix: str, parts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": part for name, part in parts.items()}


def main(arguments: Sequence[str]) -> None:
    """`python -m ivif_core.training.distill_student RECIPE.yaml [key=value …]`"""
    for path in distill_student(load_recipe(StudentRecipe, arguments[0], arguments[1:])):
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
