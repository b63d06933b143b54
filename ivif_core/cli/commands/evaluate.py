"""`ivif evaluate FUSED… INFRARED VISIBLE`: figures of fused images or videos, as table, JSON and page."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ivif_core.cli.numbers import MOST_THREADS, real, whole
from ivif_core.errors import InputError
from ivif_core.evaluation.comparison import Comparison, compare
from ivif_core.evaluation.detection import PERSON, STREET_CLASSES, Detector
from ivif_core.evaluation.found_objects import IN_FUSED, IN_SOURCE, SOURCES, as_numbers, find_objects
from ivif_core.evaluation.report import report_page
from ivif_core.evaluation.scenes import Evaluation, evaluate, find_scenes
from ivif_core.files.outputs import check_file
from ivif_core.files.writing import scratch_folder, write_text
from ivif_core.offline.video_frames import split_video

_MOST_CLASSES = 100_000

_MOST_NAMED = 100
"""Files left out that are named one by one: videos of other lengths leave thousands."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif evaluate`."""
    parser.add_argument(
        "fused", nargs="+", metavar="FUSED", help="folder or video, or name=FOLDER; several are compared"
    )
    parser.add_argument("infrared", type=Path, metavar="INFRARED", help="folder with the same names, or video")
    parser.add_argument("visible", type=Path, metavar="VISIBLE", help="folder with the same names, or video")
    parser.add_argument("-o", "--output", type=Path, metavar="REPORT", help="write one self-contained HTML page")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write means, deviations and all figures; - prints them"
    )
    parser.add_argument(
        "--sequence", action="store_true", help="images are frames in order of their names, as videos are"
    )
    parser.add_argument("--registration", type=Path, metavar="FILE", help="the one given to `ivif fuse`")
    parser.add_argument(
        "--detector", type=Path, metavar="FILE.onnx", help="YOLOX: count which objects of either source are still found"
    )
    parser.add_argument(
        "--classes",
        type=whole(0, _MOST_CLASSES),
        nargs="+",
        default=list(STREET_CLASSES),
        metavar="N",
        help="the detector's classes that count (default: COCO's person, bicycle, car, motorcycle, bus, truck)",
    )
    parser.add_argument(
        "--person", type=whole(0, _MOST_CLASSES), default=PERSON, metavar="N", help="the class of persons (default: 0)"
    )
    parser.add_argument(
        "--scores",
        type=real(0.0, 1.0),
        nargs=2,
        default=(IN_SOURCE, IN_FUSED),
        metavar=("SOURCE", "FUSED"),
        help=f"least scores in a source and in a fused image (default: {IN_SOURCE} {IN_FUSED})",
    )
    parser.add_argument("--workers", type=whole(1, MOST_THREADS), metavar="N", help="processes (default: one a core)")


def run(args: argparse.Namespace) -> int:
    """Measure; 1 where some images could not be."""
    fused = named_folders(args.fused)
    for path in filter(None, (args.output, args.json)):
        if str(path) != "-":
            check_file(path, (*fused.values(), args.infrared, args.visible, args.registration), overwrite=True)
    videos = [path for path in (*fused.values(), args.infrared, args.visible) if path.is_file()]
    with scratch_folder() if videos else nullcontext(Path()) as frames:
        folders = {path: frames / str(k) for k, path in enumerate(videos)}
        for path, folder in folders.items():
            split_video(path, folder)
        fused = {name: folders.get(path, path) for name, path in fused.items()}
        infrared, visible = (folders.get(path, path) for path in (args.infrared, args.visible))
        evaluation = find_scenes(fused, infrared, visible, args.registration)
        return _evaluate(args, evaluation, sequence=args.sequence or bool(videos))


def _evaluate(args: argparse.Namespace, evaluation: Evaluation, *, sequence: bool) -> int:
    for path in evaluation.left_out[:_MOST_NAMED]:
        print(f"left out, since not in every folder: {path}", file=sys.stderr)
    if len(evaluation.left_out) > _MOST_NAMED:
        print(f"left out likewise: {len(evaluation.left_out) - _MOST_NAMED} more", file=sys.stderr)
    progress = partial(tqdm, total=len(evaluation.scenes), unit="image", disable=None)  # None: only on a terminal
    evaluate(evaluation, sequence=sequence, workers=args.workers, progress=progress)
    for reason in evaluation.failed.values():
        print(f"not measured: {reason}", file=sys.stderr)
    comparison = compare(evaluation)
    objects = _find_objects(args, evaluation) if args.detector else {}
    found = json.dumps(as_json(evaluation, comparison, objects), indent=1, ensure_ascii=False, allow_nan=False)
    if str(args.json) == "-":
        print(found)
    else:
        print(as_text(evaluation, comparison))
        if objects:
            print(objects_as_text(objects))
        if args.json:
            write_text(args.json, found + "\n")
    if args.output:
        write_text(args.output, report_page(evaluation, comparison))
    return 1 if evaluation.failed else 0


def _find_objects(args: argparse.Namespace, evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Set, or source, -> what the detector finds."""
    progress = partial(tqdm, unit="image", disable=None, desc="detector")
    classes = sorted({*args.classes, args.person})
    with Detector(args.detector, classes) as detector:
        in_source, in_fused = args.scores
        found = find_objects(evaluation, detector, in_source=in_source, in_fused=in_fused, progress=progress)
    return {name: as_numbers(finding, args.person) for name, finding in found.items()}


def named_folders(given: list[str]) -> dict[str, Path]:
    """`name=PATH` or `PATH` (named after itself) -> folders or videos by name.

    Raises:
        InputError: two of one name.
    """
    folders: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():  # a folder may have = in its name
            whole = Path(os.path.realpath(text))  # pathlib raises for links in a circle
            path, name = text, whole.stem if whole.is_file() else whole.name
        if name in folders:
            raise InputError(f"{folders[name]} and {path} are both named '{name}'; name them: one={folders[name]} …")
        folders[name] = Path(path)
    return folders


def as_json(
    evaluation: Evaluation, comparison: Comparison, objects: dict[str, dict[str, float]] | None = None
) -> dict[str, Any]:
    """Name -> mean, std and images; of several sets also rank and differences. What is not finite is None.

    With `objects`, as found in every set and both sources, also `detector`, with the sources' own beside.
    """
    result: dict[str, Any] = {}
    for name, figures in evaluation.figures.items():
        mean, deviation = evaluation.mean_and_deviation(name)
        images = {stem: _finite(of_image) for stem, of_image in figures.items()}
        result[name] = {"mean": _finite(mean), "std": _finite(deviation), "images": images}
        if objects:
            sources = {source: _finite(objects[source]) for source in SOURCES}
            result[name]["detector"] = {**_finite(objects[name]), "sources": sources}
        if len(evaluation.figures) > 1:
            result[name]["rank"] = _finite(comparison.ranks[name])
            result[name]["minus"] = {
                other: {column: _finite(vars(difference)) for column, difference in of_column.items()}
                for other, of_column in comparison.differences[name].items()
            }
    return result


def as_text(evaluation: Evaluation, comparison: Comparison) -> str:
    """A table: a line a figure, a column a set; of several sets with ranks."""
    names = list(evaluation.figures)
    summaries = {name: evaluation.mean_and_deviation(name) for name in names}
    rows = [["", *names]]
    for column in evaluation.columns:
        row = [column]
        for name in names:
            mean, deviation = (figures[column] for figures in summaries[name])
            cell = "–" if math.isnan(mean) else f"{mean:.4g} ± {deviation:.2g}"
            if len(names) > 1 and not math.isnan(mean):
                cell += f" ({comparison.ranks[name][column]:.0f}{'≈' * comparison.is_near_best(name, column)})"
            row.append(cell)
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.append(f"mean ± standard deviation over {len(evaluation.figures[names[0]])} images")
    if len(names) > 1:
        lines.append("(rank; ≈: a paired bootstrap over the images cannot tell it from the best, 95 %)")
    return "\n".join(lines)


def objects_as_text(objects: dict[str, dict[str, float]]) -> str:
    """A table: a line a set or source."""
    there = next(iter(objects.values()))
    rows = [["", "found", "persons found", "false alarms an image"]]
    for name, numbers in objects.items():
        shares = (numbers[key] for key in ("found", "persons_found", "false_alarms"))
        rows.append([name, *("–" if math.isnan(value) else f"{value:.3f}" for value in shares)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    counts = f"{there['objects']:.0f} objects that either source shows, {there['persons']:.0f} of them persons"
    return "\n".join(["", *lines, f"of {counts}"])


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
