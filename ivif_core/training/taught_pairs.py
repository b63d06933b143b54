"""The pairs that a recipe names: a folder or a recorded bag, with a recorded or a live teacher."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.fabric import Fabric
from tqdm import tqdm

from ivif_core.errors import ModelError
from ivif_core.offline.extract import Extraction, extract
from ivif_core.training.checkpoint import load_checkpoint, load_state
from ivif_core.training.data.pairs import FolderPairs, Pair
from ivif_core.training.networks.teacher import Teacher, TeacherShape
from ivif_core.training.recipe import BagRecipe, RunRecipe, from_dict

WIDTHS = (1, 1024)
"""Channels of the first convolution that a teacher may have."""


def open_pairs(recipe: RunRecipe, fabric: Fabric, teacher: str | None = None) -> Sequence[Pair]:
    """The recipe's pairs, from a folder or a bag; what is left out is named.

    A bag is first extracted, losslessly and by one process, into `pairs/` of the run folder.

    Args:
        teacher: a recorded teacher's outputs, a folder (relative to the data folder where it lies there); or the
            checkpoint of a teacher, which then fuses each whole pair here.

    Raises:
        InputError: as `FolderPairs` and `ivif_core.offline.extract.extract`.
        ModelError: a broken checkpoint.
    """
    folder = Path(recipe.data)
    if folder.is_file() or (folder / "metadata.yaml").is_file():
        folder = Path(recipe.output) / "pairs"
        if fabric.is_global_zero and not folder.is_dir():
            extract_bag(recipe.data, folder, recipe.bag, recipe.on_error)
        fabric.barrier()
    live = teacher if teacher is not None and Path(teacher).is_file() else None
    pairs = FolderPairs(folder, teacher=None if live else teacher, on_error=recipe.on_error)
    if pairs.skipped and fabric.is_global_zero:
        print(f"{len(pairs)} pairs; {len(pairs.skipped)} left out:", *pairs.skipped, sep="\n  ", file=sys.stderr)
    return teach(pairs, live, fabric) if live else pairs


def extract_bag(bag: str | Path, folder: str | Path, recipe: BagRecipe, on_error: str) -> Extraction:
    """`ivif_core.offline.extract.extract` with the recipe's settings; what is left out is named.

    Raises:
        InputError, ConfigError: as `extract`; a scaling or registration that cannot be used.
    """
    found = extract(
        bag,
        folder,
        infrared=recipe.infrared,
        visible=recipe.visible,
        settings=recipe.settings(),
        every=recipe.every,
        on_error=on_error,
    )
    dropped = ", ".join(f"{cause} {count}" for cause, count in found.dropped.items())
    print(f"{folder}: {found.pairs} pairs" + (f"; without partner: {dropped}" if dropped else ""), file=sys.stderr)
    if found.skipped:
        print(f"{len(found.skipped)} left out:", *found.skipped, sep="\n  ", file=sys.stderr)
    return found


@torch.no_grad()
def teach(pairs: Sequence[Pair], checkpoint: str | Path, fabric: Fabric) -> list[Pair]:
    """The pairs with what the checkpoint's teacher makes of each whole image.

    Raises:
        ModelError: no checkpoint of a teacher.
    """
    teacher = load_teacher(checkpoint).to(fabric.device)
    taught = []
    for pair in tqdm(pairs, desc="teacher", unit="pair", leave=False, disable=None if fabric.is_global_zero else True):
        sources = (
            torch.from_numpy(image)[None, None].to(fabric.device) / 255 for image in (pair.infrared, pair.visible)
        )
        fused = (teacher(*sources)[0, 0] * 255).round().to(torch.uint8)
        taught.append(dataclasses.replace(pair, teacher=fused.cpu().numpy()))
    return taught


def load_teacher(path: str | Path) -> Teacher:
    """The trained teacher of a checkpoint, frozen and in eval mode.

    Raises:
        ModelError: no checkpoint of a teacher.
    """
    content = load_checkpoint(path, "teacher")
    shape = content["recipe"].get("network")
    if not isinstance(shape, dict):
        raise ModelError(f"{path} is broken: its recipe names no network")
    teacher = Teacher(from_dict(TeacherShape, shape, str(path), {"width": WIDTHS}))
    load_state(teacher, content, "model", path)
    return teacher.eval().requires_grad_(False)
