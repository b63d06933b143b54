"""`ivif bench-cameras`: what scaling and registration of a thermal frame cost, beside a bare `cv2.remap`, as JSON."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import cv2
import numpy as np

from ivif_core.registration.base import Homography, onto_visible, rescaling
from ivif_core.thermal.scaling import MODES, make_scaling

INFRARED = (640, 512)
VISIBLE = ((1280, 720), (1920, 1080))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif bench-cameras`."""
    parser.add_argument("--frames", type=int, default=200, metavar="N", help="frames a figure (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measure on one core, and print medians of processor time in ms: other programs do not count."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        print(json.dumps([_measure(size, max(1, args.frames)) for size in VISIBLE], indent=1))
    finally:
        cv2.setNumThreads(threads)
    return 0


def _measure(size: tuple[int, int], frames: int) -> dict[str, object]:
    """Bare remap and the whole way, in turns, so that both see the same machine."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[: INFRARED[1], : INFRARED[0]]
    scene = 7000 + 200 * np.sin(columns / 50) * np.cos(rows / 70)
    counts = [(scene + random.normal(0, 8, scene.shape)).astype(np.uint16) for _ in range(8)]
    matrix = rescaling(INFRARED, size) @ np.array([[1.02, 0.03, -9], [-0.03, 1.02, 4], [0, 0, 1]])
    registration = Homography(matrix)
    x, y = (table.astype(np.float32) for table in registration.infrared_position(INFRARED, size))
    visible_y = random.integers(0, 256, size[::-1], np.uint8)
    intensity = make_scaling("fixed", low=6700, high=7300)(counts[0])
    maps = {"float": (x, y), "fixed-point": cv2.convertMaps(x, y, cv2.CV_16SC2)}
    bare: dict[str, Callable[[np.ndarray], object]] = {
        f"bare remap, {kind} maps": lambda _, tables=tables: cv2.remap(intensity, *tables, cv2.INTER_LINEAR)
        for kind, tables in maps.items()
    }
    scalings = {mode: make_scaling(mode, low=6700, high=7300) for mode in MODES}
    whole: dict[str, Callable[[np.ndarray], object]] = {
        mode: lambda frame, scaling=scaling: onto_visible(registration, scaling(frame), visible_y)
        for mode, scaling in scalings.items()
    }
    spent: dict[str, list[float]] = {name: [] for name in (*bare, *whole)}
    for number in range(frames + 1):
        for name, call in {**bare, **whole}.items():
            started = time.thread_time()
            call(counts[number % len(counts)])
            if number:  # the first makes the tables
                spent[name].append(1e3 * (time.thread_time() - started))
    medians = {name: float(np.median(values)) for name, values in spent.items()}
    fastest = min(medians[name] for name in bare)
    return {
        "thermal": list(INFRARED),
        "visible": list(size),
        **{f"{name} (ms)": round(value, 3) for name, value in medians.items()},
        **{f"{mode} / fastest bare remap": round(medians[mode] / fastest, 2) for mode in whole},
    }
