"""`ivif calibrate board INFRARED VISIBLE --board KIND:CxR -o FILE`: registration from a board that both cameras see.

With --cameras and --square: where the two cameras stand to each other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ivif_core.calibration.board import Board, match_corners
from ivif_core.calibration.stereo import find_pose
from ivif_core.calibration.targetless import Pair
from ivif_core.calibration.transform_text import transform_text
from ivif_core.cli.numbers import real
from ivif_core.cli.registration_result import add_pair_arguments, check_outputs, fit_points, read_pairs, write_result
from ivif_core.errors import ConfigError, InputError
from ivif_core.files.yaml_files import read_yaml
from ivif_core.registration.pinhole import Camera

LARGEST_SQUARE = 10.0
"""Metres."""
FIRM = 3.0
"""Pixels: where corners lie farther from the projected board, a camera or the board is not what it is said to be."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif calibrate board`."""
    parser.add_argument("--board", required=True, metavar="KIND:CxR", help="chessboard:9x6 or circles:4x11")
    add_pair_arguments(parser, "homography")
    parser.add_argument(
        "--cameras",
        type=Path,
        nargs=2,
        metavar=("THERMAL", "RGB"),
        help="files of camera_calibration: find the pose between the cameras, and write `model: pinhole`",
    )
    parser.add_argument(
        "--square",
        type=real(1e-4, LARGEST_SQUARE),
        metavar="M",
        help="with --cameras: side of a square, m (circles: half their distance in a row)",
    )


def run(args: argparse.Namespace) -> int:
    """Find the board, fit, report, write; 1 where nothing was written."""
    board = Board.parse(args.board)
    if (args.cameras is None) != (args.square is None) or (args.cameras and args.model):
        raise ConfigError("--cameras and --square belong together, without --model")
    check_outputs(args, *(args.cameras or ()))
    if args.tf:
        transform_text(np.eye(3), np.zeros(3), *args.tf)  # refuses names before any work
    cameras = [Camera.from_yaml(read_yaml(path), path) for path in args.cameras or ()]
    names, pairs = read_pairs(args.infrared, args.visible)
    looked_at = tqdm(zip(names, pairs, strict=True), "searching", len(pairs), unit="pair", leave=False, disable=None)
    matches = {name: match_corners(*pair, board) for name, pair in looked_at}
    seen = [match for match in matches.values() if match is not None]
    if len(seen) < len(pairs):
        print(f"pairs where the board is not seen whole: {[name for name, match in matches.items() if match is None]}")
    if not seen:
        raise InputError(f"{args.board} was seen whole by both cameras in none of {len(pairs)} pairs")
    method = f"{args.board} in {len(seen)} of {len(pairs)} pairs"
    if cameras:
        return _write_pose(args, pairs, seen, board, (cameras[0], cameras[1]), method)
    infrared, visible = (np.concatenate(corners) for corners in zip(*seen, strict=True))
    return write_result(args, pairs, *fit_points(infrared, visible, args.model, pairs[0], method))


def _write_pose(
    args: argparse.Namespace,
    pairs: list[Pair],
    corners: list[tuple[np.ndarray, np.ndarray]],
    board: Board,
    cameras: tuple[Camera, Camera],
    method: str,
) -> int:
    height, width = pairs[0][0].shape
    visible_height, visible_width = pairs[0][1].shape
    sizes = (width, height), (visible_width, visible_height)
    pose = find_pose(corners, board, args.square, cameras, sizes)
    notes: dict[str, object] = {
        "method": f"{method}, pose of calibrated cameras",
        "residual_px": round(pose.residual, 2),
        "spread_of_single_views_m": round(pose.spread, 4),
    }
    objection = f"corners lie {pose.residual:.1f} px from where the board is projected" if pose.residual > FIRM else ""
    status = write_result(args, pairs, pose.pinhole.homography(*sizes), notes, objection, pose.pinhole)
    if args.tf and status == 0:
        print(transform_text(pose.pinhole.rotation, pose.pinhole.translation, *args.tf))
    return status
