"""`ivif extract BAG -o FOLDER`: pairs out of a recorded bag, as the node would pair, scale and register them.

`ivif extract PHOTO … -o FOLDER`: temperatures of 16 bits and the visible pictures out of radiometric JPEGs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ivif_core.cli.commands.bag import (
    add_params_argument,
    add_registration_argument,
    add_topic_arguments,
    read_parameters,
)
from ivif_core.cli.numbers import MOST_ROUNDS, whole
from ivif_core.cli.photos import extract_photos
from ivif_core.errors import one_line
from ivif_core.files.outputs import check_apart
from ivif_core.offline.bags.recording import is_bag
from ivif_core.offline.extract import extract
from ivif_core.offline.radiometric_photo import SUFFIXES
from ivif_core.thermal.scaling import MODES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif extract`."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="BAG|PHOTO",
        help="folder of a recording, or one .mcap, .db3 or .bag file; or radiometric JPEGs of FLIR cameras",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="must not exist yet")
    add_topic_arguments(parser)
    parser.add_argument("--slop", type=float, metavar="S", help="largest stamp difference (default: 0.05)")
    parser.add_argument("--time-offset", type=float, metavar="S", help="added to thermal stamps")
    parser.add_argument("--every", type=whole(1, MOST_ROUNDS), default=1, metavar="N", help="keep every n-th pair")
    parser.add_argument("--scaling", choices=MODES, help="of 16-bit thermal (default: percentile)")
    parser.add_argument("--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of fixed scaling, counts")
    add_registration_argument(parser)
    add_params_argument(parser)
    parser.add_argument("--fail", action="store_true", help="stop at the first broken frame instead of skipping it")


def run(args: argparse.Namespace) -> int:
    """Extract; 1 where something was broken."""
    first = args.inputs[0]
    folder = first.is_dir() and not is_bag(first) and not args.infrared
    if len(args.inputs) > 1 or first.suffix.lower() in SUFFIXES or folder:
        return extract_photos(args)
    low, high = args.range or (None, None)
    settings = read_parameters(
        args,
        slop=args.slop,
        thermal_time_offset=args.time_offset,
        thermal_scaling__mode=args.scaling,
        thermal_scaling__low=low,
        thermal_scaling__high=high,
    )
    check_apart(args.output, [first, args.params, *settings.files()])
    found = extract(
        first,
        args.output,
        infrared=args.infrared,
        visible=args.visible,
        settings=settings,
        every=args.every,
        on_error="fail" if args.fail else "skip",
    )
    for line in found.warnings:
        print(f"ivif extract: {line}", file=sys.stderr)
    for line in found.skipped:
        print(f"left out: {line}", file=sys.stderr)
    for cause, count in found.dropped.items():
        if count:
            print(f"{cause}: {count}", file=sys.stderr)
    part = f"; as far as the bag goes ({found.broken})" if found.broken else ""
    cameras = " and ".join(f"{source} {one_line(topic, 80)}" for source, topic in found.topics.items())
    print(f"{args.output}: {found.pairs} pairs of {cameras}{part}")
    return 0 if found.is_whole else 1
