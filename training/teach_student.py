"""Teach the learned student (experiments): `python -m training.teach_student RECIPE.yaml [key=value …]`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ivif_core.data.degradation import Degradation, relight, worsen
from ivif_core.data.pairs import FolderPairs, Pair, is_held_out
from ivif_core.losses import teaching
from ivif_core.losses.sources import Sources
from ivif_core.losses.teaching import FaithfulWeights, VividWeights
from ivif_core.networks.learned_student import LearnedStudent, apply
from ivif_core.networks.student import Student
from ivif_core.skeleton import CELL
from training.recipe import load_recipe, to_dict
from training.run import seed_all

SEAM = 24
"""Pixels at the right and lower border that are not learned from: a teacher with transposed convolutions has a seam there."""


@dataclass(frozen=True, kw_only=True)
class StudentRecipe:
    data: str
    output: str
    channels: int = 32
    dilations: tuple[int, ...] = (1, 2, 4, 1)
    wide_channels: int = 32
    wide_dilations: tuple[int, ...] = (1, 2, 4, 4, 2, 1)
    teacher: str = "language_teacher"
    recorded: str = ""
    recorded_share: float = 0.5
    seed: int = 0
    steps: int = 2000
    batch: int = 4
    height: int = 288
    width: int = 448
    window_height: int = 192
    window_width: int = 256
    rate: float = 4e-3
    relit: float = 0.7
    worsened: float = 0.7
    overflow: float = 3.0
    log_every: int = 100
    pairs: int = 0
    start: str = ""
    degradation: Degradation = field(default_factory=Degradation)
    faithful: FaithfulWeights = field(default_factory=FaithfulWeights)
    vivid: VividWeights = field(default_factory=VividWeights)


class Frames:
    """Random views of one size, whole frames where they are that large."""

    def __init__(self, pairs: Sequence[Pair], size: tuple[int, int], seam: int) -> None:
        import cv2

        self.items = []
        for pair in pairs:
            images = [pair.infrared, pair.visible, pair.teacher]
            images = [image[: image.shape[0] - seam, : image.shape[1] - seam] for image in images]
            height, width = images[0].shape
            scale = max(1.0, size[0] / height, size[1] / width)
            if scale > 1:
                new = (max(size[1], round(width * scale)), max(size[0], round(height * scale)))
                images = [cv2.resize(image, new, interpolation=cv2.INTER_LINEAR) for image in images]
            self.items.append(np.stack(images))
        self.size = size

    def draw(self, random: np.random.Generator) -> np.ndarray:
        images = self.items[int(random.integers(len(self.items)))]
        height, width = self.size
        top, left = (int(random.integers(have - want + 1)) for have, want in zip(images.shape[1:], self.size))
        view = images[:, top : top + height, left : left + width]
        return view[:, :, ::-1] if random.random() < 0.5 else view


def batch_of(frames: Frames, count: int, random: np.random.Generator) -> list[Tensor]:
    images = np.stack([frames.draw(random) for _ in range(count)]).astype(np.float32) / 255
    return list(torch.from_numpy(images).split(1, dim=1))


def mixed(changed: tuple[Tensor, Tensor], before: tuple[Tensor, Tensor], share: float) -> tuple[Tensor, Tensor]:
    chosen = torch.rand(len(before[0]), 1, 1, 1) < share
    return tuple(torch.where(chosen, a, b) for a, b in zip(changed, before))


def teach(recipe: StudentRecipe) -> Path:
    torch.set_num_threads(1)
    folder = Path(recipe.output)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [p for p in FolderPairs(recipe.data, teacher=recipe.teacher) if not is_held_out(p.name, 0.1)]
    if recipe.pairs:
        pairs = pairs[: recipe.pairs]
    size = (recipe.height, recipe.width)
    clean = Frames(pairs, size, SEAM)
    more = None
    if recipe.recorded:
        found = [p for p in FolderPairs(recipe.recorded, teacher="language_teacher")]
        found = [p for p in found if not is_held_out(p.name.rpartition("~")[0], 0.1)]
        more = Frames(found, size, SEAM)
        print(len(found), "recorded views", flush=True)
    seed_all(recipe.seed)
    rules = Student().eval()
    student = LearnedStudent(recipe.channels, recipe.dilations, recipe.wide_channels, recipe.wide_dilations)
    if recipe.start:
        student.load_state_dict(torch.load(recipe.start, weights_only=True)["model"])
    print(sum(p.numel() for p in student.parameters()), "parameters,", len(pairs), "pairs", flush=True)
    optimizer = torch.optim.Adam(student.parameters(), recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=recipe.steps, pct_start=0.1)
    random = np.random.default_rng(recipe.seed)
    began, sums = time.time(), {}
    for step in range(recipe.steps):
        recorded = int(random.binomial(recipe.batch, recipe.recorded_share)) if more else 0
        parts_of = []
        if recipe.batch - recorded:
            infrared, visible, teacher = batch_of(clean, recipe.batch - recorded, random)
            lit = relight(infrared, visible, recipe.degradation)
            parts_of.append((*mixed(lit, (infrared, visible), recipe.relit), teacher))
        if recorded:
            parts_of.append(tuple(batch_of(more, recorded, random)))
        infrared, visible, teacher = (torch.cat(images) for images in zip(*parts_of))
        seen = mixed(worsen(infrared, visible, recipe.degradation), (infrared, visible), recipe.worsened)

        base, change = student.maps.both(student.statistics(*seen))
        scene_cells = student.statistics(infrared, visible)
        cells = student.statistics(*seen)
        with torch.no_grad():
            reference = rules.maps(scene_cells, torch.zeros(1))
        level, detail = teaching.map_distance(base, reference[..., 1:-1, 1:-1], scene_cells)
        vivid = base + change
        levels_1 = teaching.levels(vivid, cells).clamp(0, 1)
        tone = teaching.tone_parts(levels_1, functional.avg_pool2d(teacher, CELL))

        # A window on the grid of cells, with a halo of one cell.
        top = CELL * int(random.integers((recipe.height - recipe.window_height) // CELL + 1))
        left = CELL * int(random.integers((recipe.width - recipe.window_width) // CELL + 1))
        here = (..., slice(top, top + recipe.window_height), slice(left, left + recipe.window_width))
        cells_here = (
            ...,
            slice(top // CELL, (top + recipe.window_height) // CELL + 2),
            slice(left // CELL, (left + recipe.window_width) // CELL + 2),
        )

        def window(maps: Tensor) -> tuple[Tensor, Tensor]:
            edged = functional.pad(maps, (1,) * 4, mode="replicate")[cells_here]
            raw = apply(edged, seen[0][here], seen[1][here], CELL)
            return raw.clamp(0, 1), (raw - raw.clamp(0, 1)).abs().mean()

        faithful, cut0 = window(base)
        fused, cut1 = window(vivid)
        i, v, t = infrared[here], visible[here], teacher[here]
        sources, cameras = Sources(i, v), Sources(seen[0][here], seen[1][here])
        with torch.no_grad():
            goal = apply(reference[cells_here], i, v, CELL).clamp(0, 1)
        at_0 = {"level": level, "detail": detail}
        at_0 |= teaching.faithful_guards(faithful, sources, goal, recipe.faithful)
        at_0["noise"] = cameras.noise_excess(faithful, recipe.faithful.noise_gain)
        of_teacher = tone | teaching.teacher_parts(fused, t)
        guards = teaching.vivid_guards(fused, sources, recipe.vivid)
        guards["noise"] = cameras.noise_excess(fused, recipe.vivid.noise_gain)
        guards["warm"] = teaching.warm_loss(levels_1, teaching.levels(base, cells).clamp(0, 1).detach(), scene_cells[:, :1])
        guards["flicker"] = teaching.flicker_loss(vivid, recipe.vivid.flicker_gain)
        loss_0 = teaching.weighted(at_0, recipe.faithful)
        loss_t = teaching.weighted(of_teacher, recipe.vivid)
        loss_g = teaching.weighted(guards, recipe.vivid)
        loss = loss_0 + loss_t + loss_g + recipe.overflow * (cut0 + cut1)
        if step % recipe.log_every == 0 or step == recipe.steps - 1:

            def norm(value: Tensor) -> float:
                grads = torch.autograd.grad(value, vivid, retain_graph=True, allow_unused=True)
                return float(sum(g.norm() for g in grads if g is not None))

            found = {f"v/{k}": norm(getattr(recipe.vivid, k) * p.mean()) for k, p in (of_teacher | guards).items()}
            share = sum(found[f"v/{k}"] for k in of_teacher) / max(1e-12, sum(found.values()))
            values = {f"0/{k}": round(float(p.detach().mean()), 4) for k, p in at_0.items()}
            values |= {f"t/{k}": round(float(p.detach().mean()), 4) for k, p in of_teacher.items()}
            values |= {f"g/{k}": round(float(p.detach().mean()), 4) for k, p in guards.items()}
            print(step, f"{time.time() - began:.0f}s", f"loss {float(loss.detach()):.3f} teacher's share {share:.2f}",
                  json.dumps(values), json.dumps({k: float(f"{g:.2g}") for k, g in found.items()}), flush=True)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 500 == 0 or step + 1 == recipe.steps:
            minutes = (time.time() - began) / 60
            torch.save({"model": student.state_dict(), "recipe": to_dict(recipe), "step": step + 1, "minutes": minutes}, folder / "last.pt")
    return folder / "last.pt"


if __name__ == "__main__":
    teach(load_recipe(StudentRecipe, sys.argv[1], sys.argv[2:]))
