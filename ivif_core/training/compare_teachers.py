"""What teachers make of held-out pairs, in figures that no CLIP has a part in.

`python -m ivif_core.training.compare_teachers CHECKPOINT … --data FOLDER [--pictures FOLDER]`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from ivif_core.evaluation.metrics import METRICS
from ivif_core.files.outputs import check_apart
from ivif_core.files.writing import make_folder
from ivif_core.imaging.files import write_image
from ivif_core.training.checkpoint import load_checkpoint
from ivif_core.training.data.pairs import FolderPairs, Pair, split
from ivif_core.training.networks.teacher import Teacher
from ivif_core.training.taught_pairs import load_teacher

FIGURES = ("SD", "AG", "EN", "Qabf", "VIF", "SSIM", "noise_gain")
OBJECT, FAR = 40, 128
"""Pixels: side of a white square that enters in a corner, and the distance from which on nothing should change."""


def figures(fused: np.ndarray, pair: Pair) -> dict[str, float]:
    """Of one fused luminance (uint8 H×W), without any CLIP.

    Its mean, `FIGURES` of `evaluation.metrics`, and correlations: with each source, and of its gradient magnitude with
    that of the stronger source at each place.
    """
    sources = (pair.infrared, pair.visible)
    stronger = np.maximum(*map(_gradient, sources))
    return {
        "mean": float(fused.mean()),
        **{name: METRICS[name](fused, *sources) for name in FIGURES},
        "corr infrared": _correlation(fused, pair.infrared),
        "corr visible": _correlation(fused, pair.visible),
        "corr gradient": _correlation(_gradient(fused), stronger),
    }


def far_change(teacher: Teacher, pair: Pair, fused: np.ndarray) -> float:
    """Mean change, in levels, beyond `FAR` pixels to the right of a white square that enters top left in both sources.

    NaN where the image is not that wide.
    """
    if fused.shape[1] <= OBJECT + FAR:
        return float("nan")
    infrared, visible = pair.infrared.copy(), pair.visible.copy()
    for image in (infrared, visible):
        image[:OBJECT, :OBJECT] = 255
    entered = fuse(teacher, replace(pair, infrared=infrared, visible=visible))
    return float(np.abs(entered.astype(float) - fused)[:, OBJECT + FAR :].mean())


def _mean(values: Sequence[float]) -> float:
    """Over the images for which the figure is defined."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _gradient(image: np.ndarray) -> np.ndarray:
    return np.hypot(*(cv2.Sobel(image, cv2.CV_64F, *axis) for axis in ((1, 0), (0, 1))))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@torch.no_grad()
def fuse(teacher: Teacher, pair: Pair) -> np.ndarray:
    """uint8 H×W."""
    infrared, visible = (torch.from_numpy(image)[None, None] / 255 for image in (pair.infrared, pair.visible))
    return (teacher(infrared, visible)[0, 0] * 255).round().to(torch.uint8).numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line a teacher: means over the held-out pairs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--validation-share", type=float, default=0.1)
    parser.add_argument("--pictures", type=Path, help="write thermal | RGB luminance | a column for each teacher here")
    args = parser.parse_args(arguments)
    if args.pictures:
        check_apart(args.pictures, [args.data, *args.checkpoints])
    _, pairs = split(FolderPairs(args.data), args.validation_share)
    teachers = {path: load_teacher(path) for path in args.checkpoints}
    rows: dict[Path, list[dict[str, float]]] = {path: [] for path in teachers}
    for pair in pairs:
        outputs = {path: fuse(teacher, pair) for path, teacher in teachers.items()}
        for path, output in outputs.items():
            rows[path].append(figures(output, pair) | {"far change": far_change(teachers[path], pair, output)})
        if args.pictures:
            make_folder(args.pictures)
            write_image(
                args.pictures / f"{pair.name}.png", cv2.hconcat([pair.infrared, pair.visible, *outputs.values()])
            )
    print(f"{len(pairs)} held-out pairs, means")
    print("| run | aim | seed | " + " | ".join(rows[args.checkpoints[0]][0]) + " |")
    for path, found in rows.items():
        recipe = load_checkpoint(path, "teacher")["recipe"]
        means = [_mean([entry[name] for entry in found]) for name in found[0]]
        aim = "; ".join(recipe["texts"]["fused"])
        said = " | ".join(f"{mean:.3f}" for mean in means)
        print(f"| {path.parent.name} | {aim} | {recipe['seed']} | {said} |")


if __name__ == "__main__":
    main()
