"""`ivif extract BAG -o FOLDER`: pairs out of a recorded bag, as the node would pair, scale and register them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ivif_core.files.outputs import check_apart
from ivif_core.offline.extract import extract
from ivif_core.registration.file import load_registration
from ivif_core.thermal.scaling import MODES, make_scaling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif extract`."""
    parser.add_argument("bag", type=Path, help="folder of a recording, or one .mcap, .db3 or .bag file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="must not exist yet")
    parser.add_argument("--infrared", required=True, metavar="TOPIC", help="thermal images, raw or compressed")
    parser.add_argument("--visible", required=True, metavar="TOPIC", help="RGB images, raw or compressed")
    parser.add_argument("--slop", type=float, default=0.05, metavar="S", help="largest stamp difference (%(default)s)")
    parser.add_argument("--time-offset", type=float, default=0.0, metavar="S", help="added to thermal stamps")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="keep every n-th pair")
    parser.add_argument("--scaling", choices=MODES, default="percentile", help="of 16-bit thermal (%(default)s)")
    parser.add_argument("--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of fixed scaling, counts")
    parser.add_argument("--registration", type=Path, metavar="FILE", help="as `ivif calibrate` writes it")
    parser.add_argument("--fail", action="store_true", help="stop at the first broken frame instead of skipping it")


def run(args: argparse.Namespace) -> int:
    """Extract; 1 where something was broken."""
    low, high = args.range or (0.0, 65535.0)
    check_apart(args.output, [args.bag, args.registration])
    found = extract(
        args.bag,
        args.output,
        infrared=args.infrared,
        visible=args.visible,
        slop=args.slop,
        time_offset=args.time_offset,
        every=args.every,
        scaling=make_scaling(args.scaling, low=low, high=high),
        registration=load_registration(args.registration) if args.registration else None,
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
    print(f"{args.output}: {found.pairs} pairs{part}")
    return 0 if found.is_whole else 1
