"""`ivif fuse INFRARED VISIBLE -o OUT`: a pair of image files, two folders matched by name, or two videos.

`ivif fuse PHOTO … -o OUT`: radiometric JPEGs, each with the visible picture that it holds.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ivif_core.cli.commands.bag import add_parameter_arguments, add_registration_argument, read_parameters
from ivif_core.cli.photos import are_photos, fuse_photos, summary
from ivif_core.errors import InputError
from ivif_core.files.outputs import check_apart, check_file
from ivif_core.files.writing import check_name, printable
from ivif_core.fusion import Fuser
from ivif_core.imaging.files import SUFFIXES, pair_by_stem, read_as_stored
from ivif_core.offline import video as video_fusion
from ivif_core.offline.folder import fuse_file, fuse_folder, reader
from ivif_core.settings import Settings
from ivif_core.thermal.suspicion import suspicions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif fuse`."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="INFRARED VISIBLE: two image files, two folders with the same names, or two videos; infrared of 8 bits or "
        "16-bit counts. Or PHOTO …: radiometric JPEGs of FLIR cameras, or folders of them, each fused with itself",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="image file, folder (lossless <name>.png), or video: .mp4, .mov, .m4v (H.264) or .mkv (lossless)",
    )
    parser.add_argument("--grey", action="store_true", help="write fused luminance only")
    add_parameter_arguments(parser)
    add_registration_argument(parser)
    parser.add_argument(
        "--sequence",
        action="store_true",
        help="images are frames in order of their names: the range of 16-bit infrared follows them, as in videos",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing output files")


def run(args: argparse.Namespace) -> int:
    """Fuse; 1 where some pairs of the folders could not be."""
    if args.grey and args.colour:
        raise InputError("--grey and --colour exclude each other; --colour white_hot is the same as --grey")
    if are_photos(args.inputs, args.output):
        return fuse_photos(args)
    args.infrared, args.visible = args.inputs
    folders = args.infrared.is_dir()
    if folders != args.visible.is_dir():
        raise InputError(f"expected two files or two folders, got {args.infrared} and {args.visible}")
    settings = read_parameters(args)
    inputs = (args.infrared, args.visible, args.params, *settings.files())
    if folders:
        check_name(args.output)
        check_apart(args.output, inputs)
    else:
        check_file(args.output, inputs, overwrite=args.overwrite)
    videos = all(path.suffix.lower() in video_fusion.SUFFIXES for path in (args.infrared, args.visible)) and not folders
    with settings.fuser(is_stream=videos or args.sequence) as fuser:
        if folders:
            return _run_folders(args, settings, fuser)
        if videos:
            return _run_videos(args, settings, fuser)
        output = args.output
        if output.suffix.lower() not in SUFFIXES:
            raise InputError(f"-o {output}: expected an image file, since the inputs are files")
        pair = args.infrared, args.visible
        doubts = _doubts(*pair, settings)  # before anything is written
        fuse_file(
            fuser,
            args.infrared,
            args.visible,
            output,
            grey=args.grey,
            overwrite=args.overwrite,
            read=reader(settings.maximum_megapixels, settings.crops()),
        )
        _warn(*pair, doubts)
    print(printable(output))
    return 0


def _doubts(infrared: Path, visible: Path, settings: Settings) -> list[str]:
    """What looks wrong about a pair.

    Raises:
        InputError: a file is broken.
    """
    images = [read_as_stored(path, settings.maximum_megapixels) for path in (infrared, visible)]
    return [found.line for found in suspicions(images[0], images[1], settings.crops()["infrared"])]


def _warn(infrared: Path, visible: Path, doubts: list[str]) -> None:
    for line in doubts:
        print(f"ivif fuse: {printable(infrared)}, {printable(visible)}: {line}", file=sys.stderr)


def _run_videos(args: argparse.Namespace, settings: Settings, fuser: Fuser) -> int:
    with tqdm(unit="frame", disable=None) as bar:

        def progress(fused: int, total: int) -> None:
            bar.total = total or None
            bar.update(fused - bar.n)

        result = video_fusion.fuse_video(
            fuser,
            args.infrared,
            args.visible,
            args.output,
            grey=args.grey,
            overwrite=args.overwrite,
            maximum_megapixels=settings.maximum_megapixels,
            crops=settings.crops(),
            progress=progress,
        )
    line = f"{result.fused} frames fused into {printable(args.output)}"
    print(line + (f"; {result.left_out} without an infrared frame near in time" if result.left_out else ""))
    return 0


def _run_folders(args: argparse.Namespace, settings: Settings, fuser: Fuser) -> int:
    pairs, lonely = pair_by_stem(args.infrared, args.visible)
    for path in lonely:
        print(f"no partner: {printable(path)}", file=sys.stderr)
    result = fuse_folder(
        fuser,
        pairs,
        args.output,
        grey=args.grey,
        overwrite=args.overwrite,
        read=reader(settings.maximum_megapixels, settings.crops()),
        progress=partial(tqdm, unit="pair", disable=None),  # None: only on a terminal
    )
    if result.written:
        pair = pairs[result.written[0]]
        try:
            doubts = _doubts(*pair, settings)
        except InputError as error:  # it was fused: what a codec takes as 8 bits, it may refuse as 16
            doubts = [str(error)]
        _warn(*pair, doubts)
    return summary(result, args.output, "pairs", [f"{len(lonely)} files without a partner"] if lonely else [])
