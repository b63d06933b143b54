"""`ivif fuse-many LIST… -o OUT`: folders and bags by the thousand over Ray."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from ivif_core.cli.commands.bag import add_parameter_arguments, add_topic_arguments, read_parameters
from ivif_core.cli.numbers import MOST_THREADS, whole
from ivif_core.files.outputs import check_apart, check_file, only_run
from ivif_core.files.writing import check_name, sweep
from ivif_core.offline.jobs import DONE, FAILED, PARTIAL, Job, Manifest, find_sources, name_targets
from ivif_core.offline.ray_runner import ray_cluster, run_jobs
from ivif_core.settings import Settings
from ivif_core.types import SOURCES, Source

_WORKERS_END_S = 5.0
"""Seconds in which workers end that were killed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif fuse-many`."""
    parser.add_argument(
        "lists",
        nargs="+",
        type=Path,
        metavar="LIST",
        help="text file with a path a line, a bag, a folder with infrared/ and visible/, or a folder of these",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for all results")
    add_topic_arguments(parser)
    parser.add_argument("--keep-all", action="store_true", help="copy all other messages of bags too, bit by bit")
    parser.add_argument("--ray", metavar="ADDRESS", help="running cluster, or auto (default: one on this machine)")
    parser.add_argument(
        "--workers",
        type=whole(1, MOST_THREADS),
        metavar="N",
        help="jobs at a time on this machine (default: one a core)",
    )
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="default: OUT/manifest.jsonl")
    add_parameter_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Do all jobs; 1 where some failed or are partial."""
    sources = find_sources(args.lists)
    topics = {source: topic for source in SOURCES if (topic := getattr(args, source))}
    output = Path(os.path.realpath(args.output))  # pathlib raises for links in a circle
    manifest_path = args.manifest or output / "manifest.jsonl"
    parameters = read_parameters(args)
    _check_outputs(args.lists, sources, [args.params, *parameters.files()], output, manifest_path)
    parameters.fuser().close()  # what is wrong with the parameters is said once, not a thousand times
    with only_run(output):
        sweep(output)
        try:
            return _run_jobs(args, sources, topics, parameters, output, Manifest(manifest_path))
        except BaseException:  # Ray kills its workers, in the middle of their work, and does not wait for them
            deadline = time.monotonic() + _WORKERS_END_S
            while sweep(output) and time.monotonic() < deadline:
                time.sleep(0.05)
            raise


def _check_outputs(
    lists: list[Path], sources: list[Path], settings: list[Path | None], output: Path, manifest: Path
) -> None:
    """Refuse before any work what would touch an input.

    Raises:
        OutputError: it would.
    """
    check_name(output)
    check_apart(output, [*sources, *(path for path in lists if path.is_dir())])
    inputs = [*sources, *lists, *settings]
    for target in {*name_targets(sources, output), manifest}:
        check_apart(target, inputs)
    if manifest.parent.resolve() != output:
        check_file(manifest, inputs, overwrite=True)


def _run_jobs(
    args: argparse.Namespace,
    sources: list[Path],
    topics: dict[Source, str],
    parameters: Settings,
    output: Path,
    manifest: Manifest,
) -> int:
    jobs = [
        Job(str(source.resolve()), str(target), topics, parameters.not_default(), args.keep_all)
        for source, target in zip(sources, name_targets(sources, output), strict=True)
    ]
    counts: Counter[str] = Counter()
    with ray_cluster(args.ray, args.workers) as ray:
        earlier = dict(manifest.entries)
        for entry in tqdm(run_jobs(ray, jobs, earlier), total=len(jobs), unit="job", disable=None):
            counts["kept" if entry == earlier.get(entry["input"]) else entry["status"]] += 1
            manifest.add(entry)
            if entry["status"] == FAILED:
                print(f"failed: {entry['input']}: {entry['error']}", file=sys.stderr)
    print(
        f"{counts[DONE]} done, {counts['kept']} done before, {counts[PARTIAL]} in part, {counts[FAILED]} failed; "
        f"{manifest.path}"
    )
    return 1 if any(manifest.entries[job.source]["status"] != DONE for job in jobs) else 0
