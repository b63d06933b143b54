"""`ivif calibrate scene INFRARED VISIBLE -o FILE`: find how thermal lies on RGB from ordinary pairs."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from tqdm import tqdm

from ivif_core.calibration.picture_in_picture import picture_in_picture, scales_around
from ivif_core.calibration.targetless import SCALES, Pair, calibrate, chance_score, mean_score
from ivif_core.cli.parser import Renamed
from ivif_core.cli.registration_result import Found, add_pair_arguments, check_outputs, read_pairs, write_result

CLEAR = 1.2
"""By so much the score must be over that of mirrored thermal images (twelve real scenes: 1.4 and more where the fit is
right, at most 1.1 where it is not)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif calibrate scene`."""
    add_pair_arguments(parser, "similarity")
    parser.add_argument(
        "--picture-in-picture",
        type=float,
        nargs=3,
        metavar=("REAL2IR", "X", "Y"),
        help="what a FLIR camera notes in its JPEGs, divided by its zoom: search at this scale; with --force, "
        "take it as it is where the pairs do not tell",
    )
    parser.add_argument(
        "--scales",
        type=float,
        nargs=2,
        metavar=("MIN", "MAX"),
        help=f"width of the thermal view as a share of the RGB view (default: {SCALES[0]} {SCALES[1]})",
    )
    parser.add_argument("--rotation", type=float, default=6.0, metavar="DEG", help="largest rotation (%(default)g)")
    for kind in ("board", "points"):
        parser.add_argument(f"--{kind}", action=Renamed, new=f"a command: `ivif calibrate {kind}`")


def run(args: argparse.Namespace) -> int:
    """Search, report, write; 1 where nothing was written."""
    check_outputs(args)
    _, pairs = read_pairs(args.infrared, args.visible)
    return write_result(args, pairs, *_search(args, pairs))


def _search(args: argparse.Namespace, pairs: list[Pair]) -> Found:
    model, scales, said = args.model or "similarity", args.scales or SCALES, None
    if args.picture_in_picture:
        said = picture_in_picture(*args.picture_in_picture, *(image.shape[::-1] for image in pairs[0]))
        scales = args.scales or scales_around(args.picture_in_picture[0])
    progress = partial(tqdm, desc="searching", unit="scale", leave=False, disable=None)  # None: only on a terminal
    search: dict[str, Any] = {
        "model": model,
        "scales": tuple(scales),
        "rotation": args.rotation,
        "progress": progress,
    }
    found, chance = calibrate(pairs, **search), chance_score(pairs, **search)
    matrix, score = found.matrix, found.score
    notes: dict[str, object] = {
        "method": f"{len(pairs)} ordinary pairs, {model}",
        "residual_px": round(found.residual, 2),
        "alignment_score": round(score, 4),
        "alignment_score_of_resize": round(found.resize_score, 4),
        "alignment_score_of_mirrored_thermal": round(chance, 4),
    }
    if said is not None:
        said_score = mean_score(pairs, said)
        notes["alignment_score_of_picture_in_picture"] = round(said_score, 4)
        if score <= max(said_score, CLEAR * chance):
            matrix, score = said, said_score
            notes.update(
                method="picture in picture as the camera notes it",
                alignment_score=round(score, 4),
                alignment_score_of_search=round(found.score, 4),
            )
    if score <= found.resize_score:
        return matrix, notes, "plain resize fits the pairs better"
    if score <= CLEAR * chance:
        return matrix, notes, "mirrored thermal images fit about as well, so this fit may be chance; try --scales"
    return matrix, notes, ""
