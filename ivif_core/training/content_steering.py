"""How much two sentences change the contrast of a named object, beyond what a tone curve could do.

`python -m ivif_core.training.content_steering --first CHECKPOINT … --second CHECKPOINT … [--data FOLDER]`

Teachers, or students at vividness 1; those of both lists are compared in order, seed by seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ivif_core.errors import ConfigError
from ivif_core.evaluation.metrics import METRICS
from ivif_core.imaging.files import write_image
from ivif_core.scene.canvas import Label
from ivif_core.training.checkpoint import load_checkpoint
from ivif_core.training.compare_teachers import fuse
from ivif_core.training.content_questions import FRAMES, held_out
from ivif_core.training.data.pairs import FolderPairs, Pair, split
from ivif_core.training.judge_student import run as fuse_by_student
from ivif_core.training.staged import Staged
from ivif_core.training.taught_pairs import load_teacher
from ivif_core.training.teach_student import load_student

LEAST = 30
"""Pixels of an object in a frame for the frame to count."""
GAP, RING = 1, 5
"""Pixels beside an object that count for nothing (its soft edge), and then those that are its surroundings."""


@dataclass(frozen=True)
class Steering:
    """Of two series of images.

    Attributes:
        first, second: contrast of the object to its surroundings in each, levels; means over the frames.
        onto_first: first, less that of the second series under the curve that brings it nearest to the first: what no
            tone curve makes of images in which the object is hidden.
        onto_second: that of the first series under the curve that brings it nearest to the second, less second. It is
            the smaller, the more the object alone has its levels in the first: such a curve hides it too.
        tone: R², the share of the first series' variance that the curve from the second explains.
    """

    first: float
    second: float
    onto_first: float
    onto_second: float
    tone: float


def steering(first: Sequence[np.ndarray], second: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Steering:
    """
    Args:
        first, second: uint8 H×W, what two sentences make of the same frames.
        masks: bool H×W, where the object is.
    """
    to_first, to_second = tone_curve(second, first), tone_curve(first, second)
    contrasts = [
        _mean_contrast(images, masks)
        for images in (first, second, [to_first[image] for image in second], [to_second[image] for image in first])
    ]
    target = np.concatenate([image.ravel() for image in first]).astype(float)
    left = target - to_first[np.concatenate([image.ravel() for image in second])]
    return Steering(
        first=contrasts[0],
        second=contrasts[1],
        onto_first=contrasts[0] - contrasts[2],
        onto_second=contrasts[3] - contrasts[1],
        tone=1 - float(left.var() / max(target.var(), 1e-9)),
    )


def tone_curve(source: Sequence[np.ndarray], target: Sequence[np.ndarray]) -> np.ndarray:
    """The one curve, 256 levels float64, that brings the source images (uint8) nearest to the target ones in the mean
    square: for each level of the source, the mean of the target where the source has it. It may turn back."""
    levels = np.concatenate([image.ravel() for image in source])
    aims = np.concatenate([image.ravel() for image in target]).astype(float)
    counts, sums = np.bincount(levels, minlength=256), np.bincount(levels, aims, minlength=256)
    return np.divide(sums, counts, out=np.zeros(256), where=counts > 0)


def contrast(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean level of an object less that of a ring around it; NaN where it is too small or has no surroundings."""
    inner, outer = (
        cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) for reach in (GAP, GAP + RING)
    )
    ring = outer.astype(bool) & ~inner.astype(bool)
    if mask.sum() < LEAST or not ring.any():
        return float("nan")
    return float(image[mask].mean() - image[ring].mean())


def _mean_contrast(images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> float:
    return float(np.nanmean([contrast(image, mask) for image, mask in zip(images, masks, strict=True)]))


def open_network(path: Path) -> tuple[Callable[[Pair], np.ndarray], int]:
    """What fuses a pair (uint8 H×W), of a teacher's or a student's checkpoint, and the seed of its run."""
    content = load_checkpoint(path, "teacher", "student")
    if content["kind"] == "teacher":
        teacher = load_teacher(path)
        return lambda pair: fuse(teacher, pair), content["recipe"]["seed"]
    student = load_student(path)
    return lambda pair: fuse_by_student(student, pair.infrared, pair.visible, 1.0), content["recipe"]["seed"]


def distance(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """Mean difference of two series of images, levels."""
    return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in zip(first, second, strict=True)]))


def _noise_gain(images: Sequence[np.ndarray], entries: Sequence[Staged]) -> float:
    pairs = [entry.pair for entry in entries]
    return float(
        np.nanmean([METRICS["noise_gain"](f, p.infrared, p.visible) for f, p in zip(images, pairs, strict=True)])
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each seed, set of frames and object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", required=True, nargs="+", type=Path, help="networks by whose sentence it stands out")
    parser.add_argument("--second", required=True, nargs="+", type=Path, help="networks by whose sentence it is hidden")
    parser.add_argument("--data", type=Path, help="real pairs; the held-out ones get rendered people")
    parser.add_argument("--validation-share", type=float, default=0.1)
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each set (default: %(default)s)")
    parser.add_argument("--pictures", type=Path, help="write thermal | RGB luminance | a column for each network here")
    args = parser.parse_args(arguments)
    if len(args.first) != len(args.second):
        raise ConfigError(f"expected as many --second as --first, got {len(args.second)} and {len(args.first)}")
    real = split(FolderPairs(args.data), args.validation_share)[1] if args.data else []
    staged = held_out(real, args.frames)
    sets = {"rendered": [entry for entry in staged if entry.pair.name.startswith("frame")]}
    if real:
        sets["real"] = [entry for entry in staged if not entry.pair.name.startswith("frame")]
    networks = {path: open_network(path) for path in (*args.first, *args.second)}
    print(
        "| run | run | seed | frames | object | contrast | contrast | content steering | the other way | tone R² "
        "| apart | noise gain | noise gain |"
    )
    for name, entries in sets.items():
        outputs = {path: [fuse_with(entry.pair) for entry in entries] for path, (fuse_with, _) in networks.items()}
        noise = {path: _noise_gain(images, entries) for path, images in outputs.items()}
        for first, second in zip(args.first, args.second, strict=True):
            seed, apart = networks[first][1], distance(outputs[first], outputs[second])
            for label in (Label.PERSON, Label.CAR) if name == "rendered" else (Label.PERSON,):
                found = steering(outputs[first], outputs[second], [entry.labels == label for entry in entries])
                both = f"{found.onto_first:.1f} | {found.onto_second:.1f}"
                print(
                    f"| {first.parent.name} | {second.parent.name} | {seed} | {name} | {label.name.lower()} "
                    f"| {found.first:.1f} | {found.second:.1f} | {both} | {found.tone:.2f} "
                    f"| {apart:.1f} | {noise[first]:.2f} | {noise[second]:.2f} |"
                )
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
            for at, entry in enumerate(entries):
                columns = [entry.pair.infrared, entry.pair.visible, *(images[at] for images in outputs.values())]
                write_image(args.pictures / f"{name}-{entry.pair.name}.png", cv2.hconcat(columns))


if __name__ == "__main__":
    main()
