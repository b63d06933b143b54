"""Figures of whole folders of fused images, measured with every core."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ivif_core.errors import InputError
from ivif_core.evaluation.metrics import measure, temporal_stability
from ivif_core.fusion import prepare
from ivif_core.imaging import colour
from ivif_core.imaging.files import find_images, pair_by_stem, read_infrared, read_visible
from ivif_core.registration.base import Resize
from ivif_core.registration.file import load_registration
from ivif_core.thermal.scaling import PercentileScaling

Figures = dict[str, float]
"""Short name of a figure -> its value; NaN where it is not defined for the image."""


@dataclass(frozen=True)
class Sources:
    """The files of one scene; `registration` brings infrared onto the visible grid (None: resize)."""

    stem: str
    infrared: Path
    visible: Path
    fused: dict[str, Path]
    registration: Path | None = None


@dataclass
class Evaluation:
    """Figures of one or several sets of fused images over the same scenes.

    Attributes:
        scenes: what was measured, by stem.
        figures: name of the set -> stem -> figures.
        failed: stem -> why it has no figures.
        left_out: files that are not in every folder.
    """

    scenes: dict[str, Sources]
    figures: dict[str, dict[str, Figures]]
    failed: dict[str, str] = field(default_factory=dict)
    left_out: list[Path] = field(default_factory=list)

    def array(self, name: str) -> np.ndarray:
        """Figures of one set as float64, images × figures, in the order of the stems."""
        return np.array([list(figures.values()) for figures in self.figures[name].values()], np.float64)

    @property
    def columns(self) -> list[str]:
        """Short names of the figures, in order."""
        return list(next(iter(next(iter(self.figures.values())).values())))

    def mean_and_deviation(self, name: str) -> tuple[Figures, Figures]:
        """Mean and standard deviation (over N) of the images that have the figure; NaN where none has it."""
        means, deviations = {}, {}
        for column, values in zip(self.columns, self.array(name).T, strict=True):
            values = values[np.isfinite(values)]
            means[column] = float(values.mean()) if values.size else math.nan
            deviations[column] = float(values.std()) if values.size else math.nan
        return means, deviations


def find_scenes(fused: dict[str, Path], infrared: Path, visible: Path, registration: Path | None = None) -> Evaluation:
    """Match folders by stem; an evaluation without figures.

    Args:
        fused: name -> folder of fused images.
        registration: file that was used for the fusion; None: infrared was resized.

    Raises:
        InputError: a folder is missing or ambiguous, or no name is in all of them.
        ConfigError: the registration file cannot be used.
    """
    if registration is not None:
        load_registration(registration)  # better now than once a scene
    pairs, left_out = pair_by_stem(infrared, visible)
    found = {name: find_images(folder) for name, folder in fused.items()}
    scenes: dict[str, Sources] = {}
    for stem, pair in pairs.items():
        if all(stem in files for files in found.values()):
            scenes[stem] = Sources(stem, *pair, {name: files[stem] for name, files in found.items()}, registration)
        else:
            left_out += pair
    left_out += [path for files in found.values() for stem, path in files.items() if stem not in scenes]
    if not scenes:
        raise InputError(
            f"no name is in all of {', '.join(map(str, [*fused.values(), infrared, visible]))}; a fused image has the "
            "name of its pair"
        )
    return Evaluation(scenes, {name: {} for name in fused}, left_out=left_out)


def evaluate(
    evaluation: Evaluation,
    *,
    sequence: bool = False,
    workers: int | None = None,
    progress: Callable[[Iterable[None]], Iterable[None]] = iter,
) -> Evaluation:
    """Fill in the figures of every scene; a broken image costs its scene only, and is named in `failed`.

    Args:
        evaluation: from `find_scenes`.
        sequence: the images, sorted by name, are consecutive frames: each gets `temporal_stability` against the one
            before it.
        workers: processes; None: one a core; 1: no other process.
        progress: wraps one item a scene, as tqdm does.

    Raises:
        InputError: not one scene could be measured; the message says why the first could not.
    """
    scenes = list(evaluation.scenes.values())
    tasks = [(scene, scenes[max(k - 1, 0)] if sequence else None) for k, scene in enumerate(scenes)]
    workers = min(workers or len(os.sched_getaffinity(0)), len(scenes))
    results = _in_processes(tasks, workers) if workers > 1 else (_measure(*task) for task in tasks)
    outcomes: dict[str, dict[str, Figures] | str] = {}

    def take() -> Iterator[None]:
        for stem, outcome in results:
            outcomes[stem] = outcome
            yield

    for _ in progress(take()):
        pass
    for stem in evaluation.scenes:
        outcome = outcomes[stem]
        if isinstance(outcome, str):
            evaluation.failed[stem] = outcome
            continue
        for name, figures in outcome.items():
            evaluation.figures[name][stem] = figures
    if len(evaluation.failed) == len(scenes):
        raise InputError(f"no image could be measured; the first: {next(iter(evaluation.failed.values()))}")
    return evaluation


def read_scene(scene: Sources) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Images of a scene as `Fuser` sees them: infrared (uint8 H×W, on the visible grid), visible and fused as stored.

    Raises:
        InputError: a file is broken, or a fused image has not the visible's size.
    """
    visible = read_visible(scene.visible)
    registration = Resize() if scene.registration is None else load_registration(scene.registration)
    scaling = PercentileScaling(smoothing=0.0)
    infrared = prepare(read_infrared(scene.infrared), visible, scaling, registration).registered
    fused = {}
    for name, path in scene.fused.items():
        fused[name] = read_visible(path)
        if fused[name].shape[:2] != visible.shape[:2]:
            raise InputError(
                f"{path} is {_size(fused[name])}, but {scene.visible} is {_size(visible)}; figures need one size"
            )
    return infrared, visible, fused


def _in_processes(
    tasks: list[tuple[Sources, Sources | None]], workers: int
) -> Iterator[tuple[str, dict[str, Figures] | str]]:
    # Not forked: OpenCV holds threads, which a fork would lose with their locks taken.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        for future in as_completed([pool.submit(_measure, *task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise InputError("a worker process died, most likely of too little memory; take fewer --workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends them
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that got SIGKILL tells its workers nothing: they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _measure(scene: Sources, before: Sources | None) -> tuple[str, dict[str, Figures] | str]:
    """Stem, and figures by name or why there are none."""
    try:
        infrared, visible, fused = _grey(scene)
        figures = {name: measure(image, infrared, visible) for name, image in fused.items()}
    except InputError as error:
        return scene.stem, str(error)
    if before is not None:
        for name, value in _stability(scene, before).items():
            figures[name]["temporal_stability"] = value
    return scene.stem, figures


def _stability(scene: Sources, before: Sources) -> dict[str, float]:
    """`temporal_stability` by name; NaN for the first frame, and after one that cannot be compared."""
    undefined = dict.fromkeys(scene.fused, math.nan)
    if before is scene:
        return undefined
    try:
        (infrared_0, visible_0, fused_0), (infrared_1, visible_1, fused_1) = _grey(before), _grey(scene)
        return {
            name: temporal_stability((fused_0[name], fused_1[name]), (infrared_0, infrared_1), (visible_0, visible_1))
            for name in fused_1
        }
    except InputError:
        return undefined


def _grey(scene: Sources) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    infrared, visible, fused = read_scene(scene)
    return infrared, colour.luminance(visible), {name: colour.luminance(image) for name, image in fused.items()}


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"
