"""`ivif calibrate points INFRARED VISIBLE --points JSON -o FILE`: registration from matching points."""

from __future__ import annotations

import argparse
from pathlib import Path

from ivif_core.calibration.points import read_points
from ivif_core.cli.registration_result import add_pair_arguments, check_outputs, fit_points, read_pairs, write_result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif calibrate points`."""
    parser.add_argument("--points", type=Path, required=True, metavar="JSON", help="as `ivif calibrate click` writes")
    add_pair_arguments(parser, "homography from 6 points on, else similarity")


def run(args: argparse.Namespace) -> int:
    """Fit, report, write; 1 where nothing was written."""
    check_outputs(args, args.points)
    _, pairs = read_pairs(args.infrared, args.visible)
    infrared, visible = read_points(args.points)
    return write_result(args, pairs, *fit_points(infrared, visible, args.model, pairs[0], f"{len(infrared)} points"))
