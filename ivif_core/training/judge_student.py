"""The student's figures in one go: nearness to the teacher, the field's measures and guards, what a detector finds.

`python -m ivif_core.training.judge_student shipped CHECKPOINT.pt MODEL_uint8.onnx … --shared FOLDER`; the names
`average`, `two-scale-vivid` and `rules` (the reference of the faithful end; the first release's student, untrained) are
what it is compared with.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ivif_core import backends
from ivif_core.evaluation.detection import PERSON, Detector, Finding, objects_of
from ivif_core.evaluation.metrics import METRICS
from ivif_core.imaging import colour
from ivif_core.imaging.files import find_images, read_visible
from ivif_core.models import resolve_model
from ivif_core.models.local_affine import reduction_of
from ivif_core.training.data.pairs import FolderPairs, Pair, is_held_out
from ivif_core.training.evaluate_student import flicker, glare_ratios, two_scale_vivid
from ivif_core.training.networks.learned_student import LearnedStudent
from ivif_core.training.networks.rule_reference import RuleReference
from ivif_core.training.teach_student import load_student

FIGURES = ("EN", "SD", "SF", "AG", "MI", "SCD", "VIF", "Qabf", "noise_gain", "overshoot")
Fuse = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def load(name: str) -> Fuse:
    """uint8 infrared and visible, vividness -> uint8."""
    if name == "average":
        return lambda i, v, _: ((i.astype(np.uint16) + v + 1) // 2).astype(np.uint8)
    if name == "max":
        return lambda i, v, _: np.maximum(i, v)
    if name == "two-scale-vivid":
        return lambda i, v, _: two_scale_vivid(Pair("", i, v))
    if name.endswith(".onnx") or name == "shipped":
        model = backends.create("onnxruntime", resolve_model(None if name == "shipped" else name), threads=1)
        return lambda i, v, vividness: model.infer(i, v, vividness).copy()
    if name == "rules":
        return partial(run, RuleReference().eval())
    return partial(run, load_student(name))


@torch.no_grad()
def run(
    student: LearnedStudent | RuleReference, infrared: np.ndarray, visible: np.ndarray, vividness: float
) -> np.ndarray:
    sources = [torch.from_numpy(image)[None, None] / 255 for image in (infrared, visible)]
    end = torch.tensor([vividness])
    if isinstance(student, LearnedStudent):
        fused = student.fuse(sources[0], sources[1], end, reduction_of(infrared.shape))
    else:
        fused = student.fuse(sources[0], sources[1], end)
    return (fused[0, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()


@lru_cache
def pairs_of(shared: Path, name: str) -> list[Pair]:
    pairs = list(FolderPairs(shared / "data" / name, teacher="language_teacher"))
    if name == "roadscene":
        pairs = [pair for pair in pairs if is_held_out(pair.name, 0.1)]
    return pairs[::4] if name == "llvip_sequence" else pairs


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """SSIM: window of 11, σ 1.5, where the whole window lies inside."""
    a, b = first.astype(np.float64), second.astype(np.float64)

    def blur(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (11, 11), 1.5)[5:-5, 5:-5]

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 2.55**2, 7.65**2
    return float(
        (
            (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1) * (2 * covariance + c2) / (var_a + var_b + c2)
        ).mean()
    )


def nearness(fuse: Fuse, pairs: Sequence[Pair]) -> tuple[float, float]:
    alike, apart = [], []
    for pair in pairs:
        assert pair.teacher is not None, "a set with a recorded teacher"
        fused = fuse(pair.infrared, pair.visible, 1.0)
        alike.append(similarity(fused, pair.teacher))
        apart.append(np.abs(fused.astype(float) - pair.teacher).mean())
    return float(np.mean(alike)), float(np.mean(apart))


def figures(fuse: Fuse, pairs: Sequence[Pair], vividness: float) -> dict[str, float]:
    rows, ratios = [], []
    for pair in pairs:
        fused = fuse(pair.infrared, pair.visible, vividness)
        rows.append([METRICS[name](fused, pair.infrared, pair.visible) for name in FIGURES])
        ratios.append(glare_ratios(fused, pair))
    means = dict(zip(FIGURES, np.nanmean(rows, axis=0).tolist(), strict=True))
    return means | {"glare": float(np.median(np.concatenate(ratios))) if np.concatenate(ratios).size else float("nan")}


def warm_contrast(image: np.ndarray, infrared: np.ndarray) -> float:
    """How far warm things (51 levels over their surroundings of 41 pixels) stand out; NaN where there is none."""
    seen = infrared.astype(np.float32) - cv2.blur(infrared.astype(np.float32), (41, 41))
    warm = seen > 51
    if warm.sum() < 50:
        return float("nan")
    wide = image.astype(np.float32)
    return float((wide - cv2.blur(wide, (41, 41)))[warm].mean())


def warm_share(fuse: Fuse, pairs: Sequence[Pair]) -> tuple[float, float]:
    """Share of the images where warm things stand out at 1 at least as at 0; mean contrast at 1 over that at 0."""
    ends = [
        [warm_contrast(fuse(pair.infrared, pair.visible, end), pair.infrared) for end in (0.0, 1.0)] for pair in pairs
    ]
    found = np.array(ends)
    found = found[~np.isnan(found).any(1)]
    return float((found[:, 1] >= found[:, 0]).mean()), float(found[:, 1].mean() / found[:, 0].mean())


class Found:
    """What the detector of the shared folder finds of the objects that either source of a street pair shows."""

    def __init__(self, shared: Path) -> None:
        self.detector = Detector(shared / "data" / "detector" / "yolox_nano.onnx")
        self.items = []
        for name in ("msrs_dev", "roadscene"):
            files = find_images(shared / "data" / name / "visible")
            for pair in pairs_of(shared, name):
                bgr = colour.check_visible(read_visible(files[pair.name]))
                self.items.append((pair, bgr, objects_of(self.detector, pair.infrared, bgr)))

    def share(self, make: Callable[[Pair, np.ndarray], np.ndarray]) -> tuple[float, float, float]:
        """All, persons, false alarms an image."""
        finding = Finding({}, {})
        for pair, bgr, objects in self.items:
            finding.add(objects, self.detector(make(pair, bgr), 0.35))
        return finding.share(), finding.share(PERSON), finding.false / finding.images

    def fused(self, fuse: Fuse, vividness: float) -> tuple[float, float, float]:
        return self.share(lambda pair, bgr: colour.recompose(fuse(pair.infrared, pair.visible, vividness), bgr))


def still_flicker(fuse: Fuse, pair: Pair, vividness: float) -> float:
    return flicker(lambda infrared, visible: fuse(infrared, visible, vividness), pair, frames=16)


def judge(name: str, shared: Path, cache: Path, *, full: bool = True, found: Found | None = None) -> dict[str, object]:
    began, fuse = time.time(), load(name)
    result: dict[str, object] = {"name": name}
    for data in ("roadscene", "msrs_dev", "tno_dev", "llvip_sequence"):
        result[f"near/{data}"] = nearness(fuse, pairs_of(shared, data))
    if full:
        for data in ("tno_dev", "msrs_dev"):
            for end in (1.0, 0.0):
                result[f"{data}@{end:g}"] = figures(fuse, pairs_of(shared, data), end)
        result["flicker@1"] = [still_flicker(fuse, pairs_of(shared, n)[0], 1.0) for n in ("llvip_sequence", "msrs_dev")]
        result["flicker@0"] = [still_flicker(fuse, pairs_of(shared, "msrs_dev")[0], 0.0)]
        result["warm"] = {n: warm_share(fuse, pairs_of(shared, n)) for n in ("roadscene", "msrs_dev", "tno_dev")}
        if found:
            result["detector"] = {f"{v:g}": found.fused(fuse, v) for v in (0.0, 0.25, 0.5, 0.75, 1.0)}
    result["seconds"] = time.time() - began
    return result


def text(result: dict[str, Any]) -> str:
    lines = [str(result["name"])]
    lines.append(
        "  near " + "  ".join(f"{k[5:9]} {v[0]:.3f}/{v[1]:.1f}" for k, v in result.items() if k.startswith("near/"))
    )
    for key, values in result.items():
        if "@" in key and isinstance(values, dict):
            lines.append(f"  {key:10} " + " ".join(f"{n} {value:.4g}" for n, value in values.items()))
    for key in ("flicker@1", "flicker@0", "warm", "detector"):
        if key in result:
            lines.append(f"  {key} " + json.dumps(result[key], default=str))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("judged"))
    parser.add_argument("--quick", action="store_true", help="nearness only")
    parser.add_argument("--no-detector", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found = None if arguments.quick or arguments.no_detector else Found(arguments.shared)
    if found and "sources" in arguments.names:
        print("infrared", found.share(lambda pair, _: pair.infrared), "visible", found.share(lambda _, bgr: bgr))
        arguments.names.remove("sources")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        result = judge(name, arguments.shared, arguments.cache, full=not arguments.quick, found=found)
        print(text(result), f"\n  ({result['seconds']:.0f} s)", flush=True)
        (arguments.cache / (name.strip("/").replace("/", "_") + ".json")).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
