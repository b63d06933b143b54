"""`ivif calibrate INFRARED VISIBLE -o FILE`: find how thermal lies on RGB, and write it as a registration file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from ivif_core.calibration.board import Board, match_corners
from ivif_core.calibration.fitting import NEEDED, fit, residuals
from ivif_core.calibration.overlay import overlay
from ivif_core.calibration.picture_in_picture import picture_in_picture, scales_around
from ivif_core.calibration.points import read_points
from ivif_core.calibration.targetless import SCALES, Pair, calibrate, chance_score, mean_score
from ivif_core.errors import InputError, OutputError
from ivif_core.files.outputs import check_file
from ivif_core.files.writing import is_there
from ivif_core.imaging import colour
from ivif_core.imaging.files import is_of_ivif, pair_by_stem, read_infrared, read_visible, write_image
from ivif_core.registration.base import Homography, rescaling
from ivif_core.registration.file import save_homography
from ivif_core.thermal.scaling import PercentileScaling, to_intensity

CLEAR = 1.2
"""By so much the score must be over that of mirrored thermal images (twelve real scenes: 1.4 and more where the fit is
right, at most 1.1 where it is not)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif calibrate`."""
    parser.add_argument("infrared", type=Path, help="image file, or folder of one rig's images; 8 or 16 bits")
    parser.add_argument("visible", type=Path, help="image file, or folder with the same names")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="registration file (YAML)")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--points", type=Path, metavar="JSON", help="matching points picked by hand")
    way.add_argument("--board", metavar="KIND:CxR", help="a board that both see: chessboard:9x6 or circles:4x11")
    way.add_argument("--picture-in-picture", type=float, nargs=3, metavar=("REAL2IR", "X", "Y"),
                     help="what a FLIR camera notes in its JPEGs (divided by its zoom): the pairs are searched at this "
                     "scale; where they do not tell, --force takes it as it is")  # fmt: skip
    parser.add_argument("--model", choices=tuple(NEEDED), help="what may lie between the cameras (default: similarity; "
                        "homography for points and boards)")  # fmt: skip
    parser.add_argument("--scales", type=float, nargs=2, metavar=("MIN", "MAX"),
                        help="without target: width of the thermal view as a share of the RGB one (default: "
                        f"{SCALES[0]} {SCALES[1]})")  # fmt: skip
    parser.add_argument("--rotation", type=float, default=6.0, metavar="DEG", help="without target: largest rotation")
    parser.add_argument("--overlay", type=Path, metavar="PNG", help="picture to judge by (default: beside the file)")
    parser.add_argument(
        "--force", action="store_true", help="write it even where it fits no better than plain resize, or than chance"
    )


def run(args: argparse.Namespace) -> int:
    """Calibrate, report, write."""
    picture = args.overlay or args.output.with_suffix(".png")
    for output in (args.output, picture):
        check_file(output, (args.infrared, args.visible, args.points), overwrite=True)
    if not args.overlay and is_there(picture) and not is_of_ivif(picture):
        raise OutputError(f"{picture} is there and not of `ivif calibrate`; name another picture with --overlay")
    names, pairs = _read(args.infrared, args.visible)
    thermal, rgb = (image.shape[::-1] for image in pairs[0])
    if thermal[0] > rgb[0] and thermal[1] > rgb[1]:
        print(f"ivif calibrate: thermal is {thermal}, RGB {rgb} px: are the two swapped?", file=sys.stderr)
    if args.points or args.board:
        matrix, notes, objection = _by_points(args, names, pairs)
    else:
        matrix, notes, objection = _by_scenes(args, pairs)
    for key, value in notes.items():
        print(f"{key}: {value}")
    infrared, visible = pairs[0]
    write_image(picture, overlay(infrared, visible, matrix))
    print(f"overlay: {picture}")
    if objection and not args.force:
        print(
            f"ivif calibrate: {args.output} not written: {objection}. Look at {picture}; give more or other pairs, "
            "what share of the RGB view the thermal lens has (--scales), points by hand (--points), or --force",
            file=sys.stderr,
        )
        return 1
    found = Homography(matrix, infrared_size=infrared.shape[::-1], visible_size=visible.shape[::-1])
    save_homography(args.output, found, notes)
    print(args.output)
    return 0


def _read(infrared: Path, visible: Path) -> tuple[list[str], list[Pair]]:
    """Names and grey pairs of one size: larger images of the same shape are brought to the smallest."""
    if infrared.is_dir() != visible.is_dir():
        raise InputError(f"expected two files or two folders, got {infrared} and {visible}")
    files = pair_by_stem(infrared, visible)[0] if infrared.is_dir() else {infrared.stem: (infrared, visible)}
    scaling = PercentileScaling(smoothing=0)
    thermal = [to_intensity(read_infrared(first), scaling) for first, _ in files.values()]
    grey = [colour.luminance(read_visible(second)) for _, second in files.values()]
    return list(files), list(zip(_one_size(thermal, infrared), _one_size(grey, visible), strict=True))


def _one_size(images: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    smallest = min((image.shape for image in images), key=lambda shape: shape[0])
    for image in images:
        if abs(image.shape[1] / image.shape[0] - smallest[1] / smallest[0]) > 0.01:
            raise InputError(f"{folder}: expected images of one camera; got sizes {image.shape} and {smallest}")
    return [cv2.resize(image, smallest[::-1], interpolation=cv2.INTER_AREA) for image in images]


def _by_scenes(args: argparse.Namespace, pairs: list[Pair]) -> tuple[np.ndarray, dict[str, object], str]:
    model, scales, said = args.model or "similarity", args.scales or SCALES, None
    if args.picture_in_picture:
        said = picture_in_picture(*args.picture_in_picture, *(image.shape[::-1] for image in pairs[0]))
        scales = args.scales or scales_around(args.picture_in_picture[0])
    search = {"model": model, "scales": tuple(scales), "rotation": args.rotation}
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
            notes.update(method="picture in picture as the camera notes it", alignment_score=round(score, 4),
                         alignment_score_of_search=round(found.score, 4))  # fmt: skip
    if score <= found.resize_score:
        return matrix, notes, "plain resize fits the pairs better"
    if score <= CLEAR * chance:
        return matrix, notes, "mirrored thermal images fit about as well, so that this is chance"
    return matrix, notes, ""


def _by_points(
    args: argparse.Namespace, names: list[str], pairs: list[Pair]
) -> tuple[np.ndarray, dict[str, object], str]:
    if args.points:
        infrared, visible = read_points(args.points)
        method = f"{len(infrared)} points by hand"
    else:
        board = Board.parse(args.board)
        matches = {name: match_corners(*pair, board) for name, pair in zip(names, pairs, strict=True)}
        seen = [match for match in matches.values() if match is not None]
        print(f"board not seen by both in: {[name for name, match in matches.items() if match is None]}")
        if not seen:
            raise InputError(f"{args.board} was seen whole by both cameras in none of {len(pairs)} pairs")
        infrared, visible = (np.concatenate(corners) for corners in zip(*seen, strict=True))
        method = f"{args.board} in {len(seen)} of {len(pairs)} pairs"
    model = args.model or ("homography" if len(infrared) >= 6 else "similarity")
    matrix = fit(infrared, visible, model)
    after = residuals(matrix, infrared, visible)
    before = residuals(rescaling(pairs[0][0].shape[::-1], pairs[0][1].shape[::-1]), infrared, visible)
    notes: dict[str, object] = {
        "method": f"{method}, {model}",
        "residual_px": round(float(np.median(after)), 2),
        "largest_residual_px": round(float(after.max()), 2),
        "residual_of_resize_px": round(float(np.median(before)), 2),
    }
    return matrix, notes, "plain resize fits the points better" if np.median(after) >= np.median(before) else ""
