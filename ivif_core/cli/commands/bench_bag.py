"""`ivif bench bag IN`: `ivif bag` against its parts alone."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ivif_core.benchmarks.bag_throughput import BagBench, measure_bag
from ivif_core.cli.commands.bag import add_parameter_arguments, add_topic_arguments, read_parameters
from ivif_core.cli.numbers import MOST_ROUNDS, whole
from ivif_core.files.outputs import check_file
from ivif_core.files.writing import write_text
from ivif_core.offline.bags.writer import recording_files
from ivif_core.types import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif bench bag`."""
    parser.add_argument("source", type=Path, metavar="IN", help="rosbag2 folder, or its .mcap or .db3 file")
    add_topic_arguments(parser)
    parser.add_argument(
        "--rounds", type=whole(1, MOST_ROUNDS), default=5, metavar="N", help="samples of each stage (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures too")
    add_parameter_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""

    def progress(line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    parameters = read_parameters(args)
    if args.json:
        check_file(args.json, (*recording_files(args.source), args.params, *parameters.files()), overwrite=True)
    topics: dict[Source, str | None] = {"infrared": args.infrared, "visible": args.visible}
    bench = measure_bag(args.source, topics, parameters, rounds=args.rounds, progress=progress)
    progress("")
    if args.json:
        write_text(args.json, json.dumps(bench.summary(), indent=1) + "\n")
    print(table(bench))
    return 0


def table(bench: BagBench) -> str:
    """Markdown: a row a stage."""
    summary = bench.summary()
    rows = [
        f"{bench.pairs} pairs, {bench.backend}, medians of {len(bench.stages['ivif bag'].wall)} rounds in turns:",
        "",
        "| | pairs a second | CPU ms a pair |",
        "|---|---:|---:|",
    ]
    for name, stage in summary["stages"].items():
        rows.append(f"| {name} | {stage['per_second']:.1f} | {stage['cpu_ms']:.1f} |")
    rows.append(f"| what {bench.cores} cores allow | {bench.allowed:.1f} | |")
    return "\n".join(rows)
