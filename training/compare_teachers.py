"""What teachers make of held-out pairs, in figures that no CLIP has a part in.

`python -m training.compare_teachers CHECKPOINT … --data FOLDER [--pictures FOLDER]`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from ivif_core.data.pairs import FolderPairs, Pair, split
from ivif_core.image_files import write_image
from ivif_core.metrics import average_gradient, standard_deviation
from ivif_core.networks.teacher import Teacher
from training.pairs import load_teacher
from training.run import load_checkpoint


def figures(fused: np.ndarray, pair: Pair) -> dict[str, float]:
    """Of one fused luminance (uint8 H×W): mean, SD, AG in grey levels, and correlation with each source."""
    return {
        "mean": float(fused.mean()),
        "SD": standard_deviation(fused),
        "AG": average_gradient(fused),
        "corr infrared": float(np.corrcoef(fused.ravel(), pair.infrared.ravel())[0, 1]),
        "corr visible": float(np.corrcoef(fused.ravel(), pair.visible.ravel())[0, 1]),
    }


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
    _, pairs = split(FolderPairs(args.data), args.validation_share)
    teachers = {path: load_teacher(path) for path in args.checkpoints}
    rows: dict[Path, list[dict[str, float]]] = {path: [] for path in teachers}
    for pair in pairs:
        outputs = {path: fuse(teacher, pair) for path, teacher in teachers.items()}
        for path, output in outputs.items():
            rows[path].append(figures(output, pair))
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
            write_image(
                args.pictures / f"{pair.name}.png", cv2.hconcat([pair.infrared, pair.visible, *outputs.values()])
            )
    print(f"{len(pairs)} held-out pairs, means")
    print("| aim | seed | " + " | ".join(rows[args.checkpoints[0]][0]) + " |")
    for path, found in rows.items():
        recipe = load_checkpoint(path, "teacher")["recipe"]
        means = [np.mean([entry[name] for entry in found]) for name in found[0]]
        aim = "; ".join(recipe["texts"]["fused"])
        print(f"| {aim} | {recipe['seed']} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")


if __name__ == "__main__":
    main()
