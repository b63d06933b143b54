"""`ivif calibrate board INFRARED VISIBLE --board KIND:CxR -o FILE`: registration from a board that both cameras see."""

from __future__ import annotations

import argparse

import numpy as np
from tqdm import tqdm

from ivif_core.calibration.board import Board, match_corners
from ivif_core.cli.registration_result import add_pair_arguments, check_outputs, fit_points, read_pairs, write_result
from ivif_core.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif calibrate board`."""
    parser.add_argument("--board", required=True, metavar="KIND:CxR", help="chessboard:9x6 or circles:4x11")
    add_pair_arguments(parser, "homography")


def run(args: argparse.Namespace) -> int:
    """Find the board, fit, report, write; 1 where nothing was written."""
    board = Board.parse(args.board)
    check_outputs(args)
    names, pairs = read_pairs(args.infrared, args.visible)
    looked_at = tqdm(zip(names, pairs, strict=True), "searching", len(pairs), unit="pair", leave=False, disable=None)
    matches = {name: match_corners(*pair, board) for name, pair in looked_at}
    seen = [match for match in matches.values() if match is not None]
    if len(seen) < len(pairs):
        print(f"pairs where the board is not seen whole: {[name for name, match in matches.items() if match is None]}")
    if not seen:
        raise InputError(f"{args.board} was seen whole by both cameras in none of {len(pairs)} pairs")
    infrared, visible = (np.concatenate(corners) for corners in zip(*seen, strict=True))
    method = f"{args.board} in {len(seen)} of {len(pairs)} pairs"
    return write_result(args, pairs, *fit_points(infrared, visible, args.model, pairs[0], method))
