"""`ivif bench models`: how fast each backend is here, and whether `auto` takes the fastest."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ivif_core.benchmarks.latency import Result, as_json, device_of, make_cases, quantiles, run_cases
from ivif_core.cli.numbers import MOST_ROUNDS, MOST_THREADS, size, whole
from ivif_core.files.outputs import check_file
from ivif_core.files.writing import write_text

DEFAULT_SIZES = ("640x480", "1280x720", "1920x1080")
image_size = size(32, 8192)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif bench models`."""
    parser.add_argument(
        "--sizes", nargs="+", type=image_size, metavar="WxH", help=f"default: {' '.join(DEFAULT_SIZES)}"
    )
    parser.add_argument("--backends", nargs="+", default=[], metavar="NAME", help="default: all that can be used here")
    parser.add_argument(
        "--model", nargs="+", type=Path, default=[], metavar="FILE", help="default: the shipped ones, all precisions"
    )
    parser.add_argument(
        "--onnx", nargs="+", type=Path, default=[], metavar="FILE", help="foreign networks to time beside ours"
    )
    parser.add_argument("--rounds", type=whole(1, MOST_ROUNDS), default=30, help="samples of each case (30)")
    parser.add_argument("--threads", type=whole(1, MOST_THREADS), help="CPU threads (the runtime's choice)")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory, which takes a process a case")
    parser.add_argument(
        "--floor", action="store_true", help="compare with what memory bandwidth allows; on a GPU that is always done"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured; - is standard output")


def run(args: argparse.Namespace) -> int:
    """Measure and print; 1 where a case could not run."""
    sizes = args.sizes or [image_size(size) for size in DEFAULT_SIZES]
    if args.json and str(args.json) != "-":
        check_file(args.json, (*args.model, *args.onnx), overwrite=True)
    cases = make_cases(args.model, args.backends, sizes, args.onnx, args.threads)

    def progress(line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    floor = args.floor or any(device_of(case.backend) == "cuda" for case in cases)
    results = run_cases(cases, rounds=args.rounds, memory=not args.no_memory, floor=floor, progress=progress)
    progress("")
    report = as_json(results, args.rounds, args.threads)
    if args.json and str(args.json) != "-":
        write_text(args.json, json.dumps(report, indent=1) + "\n")
    if str(args.json) == "-":
        print(json.dumps(report, indent=1))
    else:
        print(table(results))
        print(verdict(report["auto"]))
    return int(any(result.failure for result in results))


def table(results: Sequence[Result]) -> str:
    """Markdown: a row a case; times in ms as median (5th–95th percentile; 99th).

    Of several models, the medians over those of the first one, on the same backend and at the same size. Models of
    several folders are told apart by theirs.
    """
    firsts = {
        (result.case.size, result.case.backend): result for result in reversed(results) if not result.case.foreign
    }
    compared = len({result.case.model for result in results if not result.case.foreign}) > 1
    folders = len({result.case.model.parent for result in results}) > 1
    numbers = ["network ms", "Fuser ms", *["network, Fuser × first"] * compared, "first ms", "memory MB"]
    with_device, with_floor = any(result.on_device for result in results), any(result.bandwidth for result in results)
    numbers += ["on the GPU ms"] * with_device + ["floor ms", "× floor"] * with_floor
    rows = [("size", "model", "backend", *numbers), ("---", "---", "---", *["---:"] * len(numbers))]
    for result in results:
        case = result.case
        name = f"{case.model.name} (foreign)" if case.foreign else result.file or case.model.name
        name = f"{case.model.parent.name}/{name}" if folders else name
        cells = [result.failure] if result.failure else [_cell(result.network), _cell(result.fuser)]
        if not result.failure:
            cells += [_ratios(result, firsts.get((case.size, case.backend)))] * compared
            cells += [f"{result.first:.0f}", "" if result.memory_mb is None else f"{result.memory_mb:.0f}"]
            cells += [_cell(result.on_device)] * with_device
            if result.floor is not None and result.over_floor is not None:
                cells += [f"{result.floor:.2f}", f"{result.over_floor:.1f}"]
        cells += [""] * (len(numbers) - len(cells))
        rows.append((f"{case.size[0]}×{case.size[1]}", name, case.backend, *cells))
    # A long reason must not widen the columns of numbers.
    widths = [max(len(row[i]) for row in rows if len(row[i]) < 40 or i < 3) for i in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows)


def verdict(auto: dict[str, Any]) -> str:
    """What `auto` takes, and where that is not the fastest."""
    line = f"auto takes {auto['backend']} with {auto['model']}"
    slower = {size: entry for size, entry in auto["sizes"].items() if entry["fastest"] != auto["backend"]}
    if not auto["sizes"]:
        return f"{line}; that was not among what was measured"
    if not slower:
        return f"{line}: the fastest backend at every size measured"
    where = "; ".join(
        f"at {size} {entry['fastest']} is faster, by {(1 - 1 / entry['ratio']) * 100:.0f} %"
        for size, entry in slower.items()
    )
    return f"{line}: not the fastest everywhere: {where}"


def _ratios(result: Result, first: Result | None) -> str:
    """Medians of the network and of the whole `Fuser` over the first model's; empty where one is missing."""
    if first is None or not result.fuser or not first.fuser:
        return ""
    pairs = ((result.network, first.network), (result.fuser, first.fuser))
    return ", ".join(f"{np.median(ours) / np.median(theirs):.2f}" for ours, theirs in pairs)


def _cell(samples: Sequence[float]) -> str:
    found = quantiles(samples)
    if found is None:
        return ""
    return f"{found['median']:.2f} ({found['p5']:.2f}–{found['p95']:.2f}; {found['p99']:.2f})"
