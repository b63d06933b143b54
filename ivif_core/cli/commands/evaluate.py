"""`ivif evaluate FUSED… INFRARED VISIBLE`: figures of fused images or videos, as table, JSON and page."""

from __future__ import annotations

import argparse
import json
import math
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from ivif_core.errors import InputError
from ivif_core.evaluation.comparison import Comparison, compare
from ivif_core.evaluation.report import report_page
from ivif_core.evaluation.scenes import Evaluation, evaluate, find_scenes
from ivif_core.files.outputs import check_file
from ivif_core.files.writing import write_text
from ivif_core.offline.video_frames import split_video

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
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")


def run(args: argparse.Namespace) -> int:
    """Measure; 1 where some images could not be."""
    if args.workers is not None and args.workers < 1:
        raise InputError(f"--workers: expected at least 1, got {args.workers}")
    fused = named_folders(args.fused)
    for path in filter(None, (args.output, args.json)):
        if str(path) != "-":
            check_file(path, (*fused.values(), args.infrared, args.visible, args.registration), overwrite=True)
    videos = [path for path in (*fused.values(), args.infrared, args.visible) if path.is_file()]
    with TemporaryDirectory(prefix="ivif-evaluate-") as frames:
        folders = {path: Path(frames) / str(k) for k, path in enumerate(videos)}
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
    found = json.dumps(as_json(evaluation, comparison), indent=1, ensure_ascii=False, allow_nan=False)
    if str(args.json) == "-":
        print(found)
    else:
        print(as_text(evaluation, comparison))
        if args.json:
            write_text(args.json, found + "\n")
    if args.output:
        write_text(args.output, report_page(evaluation, comparison))
    return 1 if evaluation.failed else 0


def named_folders(given: list[str]) -> dict[str, Path]:
    """`name=PATH` or `PATH` (named after itself) -> folders or videos by name.

    Raises:
        InputError: two of one name.
    """
    folders: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():  # a folder may have = in its name
            whole = Path(text).resolve()
            path, name = text, whole.stem if whole.is_file() else whole.name
        if name in folders:
            raise InputError(f"{folders[name]} and {path} are both named '{name}'; name them: one={folders[name]} …")
        folders[name] = Path(path)
    return folders


def as_json(evaluation: Evaluation, comparison: Comparison) -> dict[str, Any]:
    """Name -> mean, std and images; of several sets also rank and differences. What is not finite is None."""
    result: dict[str, Any] = {}
    for name, figures in evaluation.figures.items():
        mean, deviation = evaluation.mean_and_deviation(name)
        images = {stem: _finite(of_image) for stem, of_image in figures.items()}
        result[name] = {"mean": _finite(mean), "std": _finite(deviation), "images": images}
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


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
