"""Calibration without a target on real pairs: against points picked by hand, and against warps that are known.

Run as a program for the figures of many rigs: python -m test.core.calibration.test_real_rigs 50
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_core.calibration.fitting import residuals, transform
from ivif_core.calibration.targetless import Pair, calibrate
from ivif_core.imaging.files import find_images
from ivif_core.registration.base import rescaling

HAND = json.loads((Path(__file__).parent / "metu_points.json").read_text())
SIZE = tuple(HAND["visible_size"])
RIG = {"scales": (0.85, 1.18), "shift": 0.15}
OWN = np.array([[0.9815, 0, 6.24], [0, 0.9815, 2.41], [0, 0, 1]])
"""How the pairs of msrs_dev lie themselves, as calibration of all of them finds it; `test_own_offset.py` says what of
that other ways see. Figures beside it say how well rigs agree with each other; figures against the warp alone hold the
pairs' own offset too."""
STREET = (480, 288)
"""Middle of the RoadScene pairs, px: they come in many sizes, and are well registered."""


def read(folder: Path, name: str) -> Pair:
    return tuple(
        cv2.imread(str(find_images(folder / kind)[name]), cv2.IMREAD_GRAYSCALE) for kind in ("infrared", "visible")
    )


def hand_points(name: str) -> tuple[np.ndarray, np.ndarray]:
    entries = HAND["pairs"][name]
    return np.array([entry["infrared"] for entry in entries]), np.array([entry["visible"] for entry in entries])


def against_hand(folder: Path, name: str, model: str = "similarity") -> tuple[float, float]:
    """Median distance, px of 1920×1080, of the points picked by hand: with plain resize, and calibrated."""
    infrared, visible = read(folder, name)
    visible = cv2.resize(visible, SIZE, interpolation=cv2.INTER_AREA)
    matrix = calibrate([(infrared, visible)], model=model).matrix
    source, target = hand_points(name)
    resize = rescaling(infrared.shape[::-1], SIZE)
    return tuple(float(np.median(residuals(way, source, target))) for way in (resize, matrix))


def msrs(folder: Path, light: str) -> list[Pair]:
    """Day ("D") or night ("N") pairs."""
    return [read(folder, name) for name in find_images(folder / "infrared") if name.endswith(light)]


def street(folder: Path, light: str) -> list[Pair]:
    """The middle of RoadScene pairs that are large enough, told by the sky: dark at night, bright by day."""
    width, height = STREET
    pairs = []
    for name in find_images(folder / "infrared"):
        infrared, visible = read(folder, name)
        top, left = ((size - part) // 2 for size, part in zip(visible.shape, (height, width), strict=True))
        sky = float(np.median(visible[: len(visible) // 3]))
        if min(top, left) >= 0 and (sky < 120 if light == "N" else sky > 160):
            middle = np.s_[top : top + height, left : left + width]
            pairs.append((infrared[middle], visible[middle]))
    return pairs


def rigs(pool: list[Pair], count: int, seed: int) -> Iterator[tuple[list[Pair], np.ndarray]]:
    """Five pairs whose infrared is warped alike: rotated to 5°, scaled by 0.9 to 1.1, shifted by 8 % at most."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        pairs = [pool[number] for number in random.choice(len(pool), 5, replace=False)]
        height, width = pairs[0][1].shape
        angle, scale = np.radians(random.uniform(-5, 5)), random.uniform(0.9, 1.1)
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        turn, middle = np.array([[cosine, -sine], [sine, cosine]]), (np.array([width, height]) - 1) / 2
        move = middle + random.uniform(-0.08, 0.08, 2) * (width, height) - turn @ middle
        warp = np.vstack([np.c_[turn, move], [0, 0, 1]])
        yield [(cv2.warpPerspective(i, warp, (width, height)), v) for i, v in pairs], np.linalg.inv(warp)


def errors(found: np.ndarray, truth: np.ndarray, width: int, height: int) -> np.ndarray:
    grid = np.stack(np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9)), axis=-1).reshape(-1, 2)
    return np.hypot(*(transform(found, grid) - transform(truth, grid)).T)


def trial(pool: list[Pair], count: int, seed: int, own: np.ndarray) -> dict[str, list[float]]:
    """Median and 95th percentile of errors, px: against the warp alone, and against the warp after the pairs' own."""
    raw, beside_own = [], []
    for warped, truth in rigs(pool, count, seed):
        height, width = warped[0][1].shape
        found = calibrate(warped, **RIG).matrix
        raw.append(errors(found, truth, width, height))
        beside_own.append(errors(found, own @ truth, width, height))
    figures = {"raw": raw, "beside own": beside_own, "own": errors(own, np.eye(3), width, height)}
    return {key: [round(float(np.percentile(value, share)), 2) for share in (50, 95)] for key, value in figures.items()}


@pytest.mark.parametrize("name", ["cloudy_scene_2_IM_00005", "sunny_scene_7_IM_13433"])
def test_hand_picked_points(shared, name):
    before, after = against_hand(shared / "data" / "metu_misaligned", name)
    assert before > 70
    assert after < 14


@pytest.mark.parametrize("light", ["D", "N"])
def test_known_warps(shared, light):
    median, high = trial(msrs(shared / "data" / "msrs_dev", light), 1, 7, OWN)["beside own"]
    assert median < 2
    assert high < 6


@pytest.mark.parametrize("light", ["D", "N"])
def test_known_warps_of_registered_pairs(shared, light):
    median, high = trial(street(shared / "data" / "roadscene", light), 1, 7, np.eye(3))["raw"]
    assert median < 2.5
    assert high < 6


def main() -> None:
    data = Path(os.environ.get("IVIF_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data"
    for name in HAND["pairs"]:
        print(json.dumps({"pair": name, "median before, after": against_hand(data / "metu_misaligned", name)}))
    for name, pairs_of in (("roadscene", street), ("msrs_dev", msrs)):
        for light in "DN":
            pool = pairs_of(data / name, light)
            own = calibrate(pool[:20], **RIG).matrix
            figures = trial(pool, int(sys.argv[1]), 7, own)
            own_matrix = {"own matrix": own.round(4).tolist()}
            print(json.dumps({"rigs": name, "light": light, "pairs": len(pool), **figures, **own_matrix}), flush=True)


if __name__ == "__main__":
    main()
