"""The student's figures: both ends on test sets, the curve between, nearness to the teacher, flicker and locality."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from ivif_core.errors import InputError
from ivif_core.evaluation.metrics import measure, ssim
from ivif_core.files.outputs import check_apart
from ivif_core.files.writing import make_folder
from ivif_core.fusion import Fuser
from ivif_core.imaging.files import write_image
from ivif_core.training.data.pairs import FolderPairs, Pair, is_held_out
from ivif_core.training.losses.structure import correlation, gradients

FIGURES = ("EN", "SD", "SF", "AG", "MI", "SCD", "VIF", "Qabf", "noise_gain", "overshoot")


def figures(fuse: Callable[[Pair], np.ndarray], pairs: Sequence[Pair]) -> dict[str, float]:
    """Means over the pairs of every figure, where it is defined; glare detail over the pixels of all pairs together."""
    results = [fuse(pair) for pair in pairs]
    rows = [measure(fused, pair.infrared, pair.visible) for fused, pair in zip(results, pairs, strict=True)]
    means = {name: float(np.nanmean([row[name] for row in rows])) for name in FIGURES}
    ratios = np.concatenate([glare_ratios(fused, pair) for fused, pair in zip(results, pairs, strict=True)])
    return means | {"glare_detail": float(np.median(ratios)) if ratios.size else float("nan")}


def glare_ratios(fused: np.ndarray, pair: Pair) -> np.ndarray:
    """Local deviation of fused over infrared in front of saturated light, as `evaluation.metrics.glare_detail`."""
    saturated = cv2.erode(pair.visible, np.ones((15, 15), np.uint8)) >= 245
    fused_detail, infrared_detail = local_deviation(fused), local_deviation(pair.infrared)
    where = saturated & (infrared_detail > 6)
    return fused_detail[where] / infrared_detail[where]


def local_deviation(image: np.ndarray) -> np.ndarray:
    """Standard deviation in 15×15 windows, float64 H×W."""
    wide = image.astype(np.float64)
    mean, square = cv2.blur(wide, (15, 15)), cv2.blur(wide * wide, (15, 15))
    return np.sqrt(np.maximum(square - mean * mean, 0))


def two_scale_vivid(pair: Pair) -> np.ndarray:
    """The comparison without a network: larger of the bases, lifted and equalised, and 1.5 times the larger detail."""
    sources = [image.astype(np.float32) for image in (pair.infrared, pair.visible)]
    bases = [cv2.GaussianBlur(image, (0, 0), 8) for image in sources]
    first, second = (image - base for image, base in zip(sources, bases, strict=True))
    detail = np.where(np.abs(first) > np.abs(second), first, second)
    lifted = (255 * (np.maximum(*bases) / 255) ** 0.7).astype(np.uint8)
    base = cv2.createCLAHE(2.0, (4, 4)).apply(lifted)
    return np.clip(np.rint(base + 1.5 * detail), 0, 255).astype(np.uint8)


def teacher_nearness(fuse: Callable[[Pair], np.ndarray], pairs: Sequence[Pair]) -> tuple[float, float]:
    """Mean SSIM and gradient correlation with the recorded teacher."""
    similarity, edges = [], []
    for pair in pairs:
        if pair.teacher is None:
            raise InputError(f"{pair.name}: no recorded teacher to compare with")
        fused = fuse(pair)
        similarity.append(ssim(fused, pair.teacher, pair.teacher) / 2)
        ours, theirs = (gradients(torch.from_numpy(image).float()[None, None]) for image in (fused, pair.teacher))
        edges.append(float(correlation(ours, theirs)))
    return float(np.mean(similarity)), float(np.mean(edges))


def flicker(
    fuse: Callable[[np.ndarray, np.ndarray], np.ndarray], pair: Pair, frames: int = 60, deviation: float = 2.0
) -> float:
    """Mean temporal deviation of the fused image over the larger source's, for a still scene with camera noise."""
    random = np.random.default_rng(0)
    series: list[list[np.ndarray]] = [[], [], []]
    for _ in range(frames):
        seen = [
            np.clip(np.rint(image + random.normal(0, deviation, image.shape)), 0, 255).astype(np.uint8)
            for image in (pair.infrared, pair.visible)
        ]
        for images, image in zip(series, (*seen, fuse(*seen).copy()), strict=True):
            images.append(image)
    infrared, visible, fused = (np.std(images, axis=0, dtype=np.float32).mean() for images in series)
    return float(fused / max(infrared, visible))


def reach(fuser: Fuser, pair: Pair) -> int:
    """Largest change beyond the stated receptive field when a bright object enters, in levels."""
    field = int(fuser.backend.metadata["ivif.receptive_field"])
    before = fuser.fuse_luminance(pair.infrared, pair.visible).copy()
    visible, infrared = pair.visible.copy(), pair.infrared.copy()
    top, left, side = visible.shape[0] // 2, visible.shape[1] // 2, 24
    visible[top : top + side, left : left + side] = infrared[top : top + side, left : left + side] = 255
    change = np.abs(fuser.fuse_luminance(infrared, visible).astype(int) - before)
    half = field // 2
    change[max(0, top - half) : top + side + half, max(0, left - half) : left + side + half] = 0
    return int(change.max())


def write_pictures(folder: Path, fuser: Fuser, pairs: Sequence[Pair]) -> None:
    """A strip a pair: thermal, visible luminance, the teacher where there is one, the student at 0, 0.5 and 1."""
    make_folder(folder)
    for pair in pairs:
        strip = [pair.infrared, pair.visible] + ([] if pair.teacher is None else [pair.teacher])
        for fuser.vividness in (0.0, 0.5, 1.0):
            strip.append(fuser.fuse_luminance(pair.infrared, pair.visible).copy())
        write_image(folder / f"{pair.name}.png", cv2.hconcat(strip))


def main() -> None:
    """`python -m ivif_core.training.evaluate_student DATA [--model FILE]`; DATA holds tno_dev, msrs_dev, roadscene."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--vividness", type=float, nargs="+", default=[0.0, 0.25, 0.5, 0.75, 1.0])
    parser.add_argument("--pictures", type=Path, help="write strips of sources, teacher and student into this folder")
    arguments = parser.parse_args()
    if arguments.pictures:
        check_apart(arguments.pictures, [arguments.data, arguments.model])
    with Fuser(arguments.model, "onnxruntime") as fuser:

        def fuse(pair: Pair) -> np.ndarray:
            return fuser.fuse_luminance(pair.infrared, pair.visible).copy()

        print("| set | vividness | " + " | ".join(FIGURES) + " | glare_detail |")
        print("|---" * (len(FIGURES) + 3) + "|")
        for name in ("tno_dev", "msrs_dev"):
            pairs = FolderPairs(arguments.data / name)
            for fuser.vividness in arguments.vividness:
                cells = (f"{value:.3f}" for value in figures(fuse, pairs).values())
                print(f"| {name} | {fuser.vividness:g} | " + " | ".join(cells) + " |", flush=True)
        fuser.vividness = 1.0
        pairs = FolderPairs(arguments.data / "roadscene", teacher="language_teacher")
        held_out = [pair for pair in pairs if is_held_out(pair.name, 0.1)]
        for name, method in (("student", fuse), ("two-scale vivid", two_scale_vivid)):
            similarity, edges = teacher_nearness(method, held_out)
            print(f"{name} and teacher, {len(held_out)} held-out pairs: SSIM {similarity:.3f}, gradients {edges:.3f}")
        if arguments.pictures:
            write_pictures(arguments.pictures, fuser, held_out)
        for name in ("llvip_sequence", "msrs_dev"):
            pair = FolderPairs(arguments.data / name)[0]
            for fuser.vividness in (0.0, 1.0):
                ratio, change = flicker(fuser.fuse_luminance, pair), reach(fuser, pair)
                print(f"{name}, vividness {fuser.vividness:g}: flicker {ratio:.2f} of the sources', beyond {change}")


if __name__ == "__main__":
    main()
