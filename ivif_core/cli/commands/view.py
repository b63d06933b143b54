"""`ivif view PAIRS|BAG|PHOTO …`: a local page to look at pairs, move parameters, and see what the node would make."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from ivif_core.cli.commands.bag import (
    add_parameter_arguments,
    add_registration_argument,
    add_topic_arguments,
    read_parameters,
)
from ivif_core.cli.numbers import whole
from ivif_core.cli.photos import read_photo_parameters
from ivif_core.errors import InputError
from ivif_core.files.writing import printable
from ivif_core.imaging.files import pair_by_stem
from ivif_core.offline.bags.cameras import find_cameras
from ivif_core.offline.bags.recording import is_bag
from ivif_core.offline.radiometric_photo import find_photos, is_photo
from ivif_core.offline.view_frames import Frames, bag_frames, pair_frames, photo_frames
from ivif_core.offline.view_page import ViewServer
from ivif_core.settings import Settings
from ivif_core.types import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif view`."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="a folder with infrared/ and visible/; two files or two folders, INFRARED VISIBLE; a bag; or radiometric "
        "JPEGs, or a folder of them",
    )
    add_topic_arguments(parser)
    parser.add_argument(
        "--port", type=whole(0, 65535), default=0, metavar="N", help="of the page (default: a free one)"
    )
    add_parameter_arguments(parser)
    add_registration_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    frames, settings = _frames(args)
    frames.check()
    for line in frames.warnings:
        print(f"ivif view: {line}", file=sys.stderr)
    with (
        settings.fuser(is_stream=False) as fuser,
        ViewServer(frames, settings, fuser, args.port) as server,
    ):
        count = len(frames.names)
        server.serve_until_ctrl_c(f": {count} {'pair' if count == 1 else 'pairs'}")
    return 0


def _frames(args: argparse.Namespace) -> tuple[Frames, Settings]:
    """What the arguments name.

    Raises:
        InputError: nothing that can be shown.
    """
    inputs: list[Path] = args.inputs
    first = inputs[0]
    if len(inputs) == 1 and is_bag(first):
        settings = read_parameters(args)
        named: dict[Source, str | None] = {"infrared": args.infrared, "visible": args.visible}
        topics = find_cameras(first, named, "--infrared TOPIC --visible TOPIC")
        with tqdm(desc="reading", unit="pair", disable=None) as bar:
            return bag_frames(first, topics, settings, bar.update), settings
    if args.infrared or args.visible:
        raise InputError(f"--infrared and --visible name topics of a bag; {printable(first)} is not one")
    if len(inputs) == 1 and (first / "infrared").is_dir() and (first / "visible").is_dir():
        inputs = [first / "infrared", first / "visible"]
    if len(inputs) == 2 and not all(map(is_photo, inputs)):
        if inputs[0].is_dir() != inputs[1].is_dir():
            raise InputError(f"expected two files or two folders, got {printable(first)} and {printable(inputs[1])}")
        settings = read_parameters(args)
        pairs = pair_by_stem(*inputs)[0] if inputs[0].is_dir() else {first.stem: (first, inputs[1])}
        return pair_frames(pairs, settings), settings
    settings = read_photo_parameters(args)
    return photo_frames(find_photos(inputs), settings), settings
