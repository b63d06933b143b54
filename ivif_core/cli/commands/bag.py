"""`ivif bag IN OUT`: fuse a recorded bag into a new one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ivif_core.errors import one_line
from ivif_core.files.outputs import check_apart
from ivif_core.imaging.palette import COLOURS
from ivif_core.offline.bag import FUSED_TOPIC, BagResult, fuse_bag
from ivif_core.settings import Settings, read_parameter_file
from ivif_core.types import SOURCES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif bag`."""
    parser.add_argument("source", type=Path, metavar="IN", help="rosbag2 folder, or its .mcap or .db3 file")
    parser.add_argument("target", type=Path, metavar="OUT", help="folder of the new bag, of the same storage")
    add_topic_arguments(parser)
    parser.add_argument("--topic", default=FUSED_TOPIC, help="of the fused images (default: %(default)s)")
    parser.add_argument("--keep-all", action="store_true", help="copy all other messages too, bit by bit")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    add_parameter_arguments(parser)


def add_topic_arguments(parser: argparse.ArgumentParser) -> None:
    """Which topics are the cameras."""
    parser.add_argument(
        "--infrared", metavar="TOPIC", help="thermal images, raw or compressed (default: found by type)"
    )
    parser.add_argument("--visible", metavar="TOPIC", help="RGB images, raw or compressed (default: found by type)")


def add_parameter_arguments(parser: argparse.ArgumentParser) -> None:
    """How the node would fuse."""
    add_params_argument(parser)
    parser.add_argument("--backend", metavar="NAME", help="what runs the model; over the file's")
    parser.add_argument("--model", metavar="FILE", help="ONNX file; over the file's")
    parser.add_argument("--colour", metavar="NAME", help=f"{', '.join(COLOURS)}; over the file's")
    parser.add_argument("--vividness", type=float, metavar="V", help="0 faithful … 1 as the teacher; over the file's")
    parser.add_argument("--aim", metavar="NAME", help="one of the model's aims; over the file's")


def add_params_argument(parser: argparse.ArgumentParser) -> None:
    """The node's parameter file."""
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node (config/fusion.yaml)")
    parser.add_argument("--node", metavar="NAME", help="whose parameters of FILE count (default: ivif_fusion)")


def add_registration_argument(parser: argparse.ArgumentParser) -> None:
    """A registration file, over the parameters'."""
    parser.add_argument(
        "--registration",
        type=Path,
        metavar="FILE",
        help="how thermal lies on RGB, from `ivif calibrate` (default: resize; of a photo: as its camera notes)",
    )


def read_parameters(args: argparse.Namespace, **over: Any) -> Settings:
    """The parameter file, if any, with what the command line says over it.

    Args:
        over: more values by name, `.` as `__`; None: the command line does not say it.

    Raises:
        ConfigError: the file cannot be read, or a value is refused.
    """
    given = {name: getattr(args, name, None) for name in ("backend", "model", "vividness", "aim")} | over
    if getattr(args, "registration", None):
        given |= {"registration__mode": "file", "registration__file": str(args.registration)}
    given["output.colour"] = getattr(args, "colour", None)
    values = read_parameter_file(args.params, args.node) if args.params else {}
    values |= {name.replace("__", "."): value for name, value in given.items() if value is not None}
    return Settings.from_values(values)


def run(args: argparse.Namespace) -> int:
    """Fuse; 1 where the bag was read in part only or some images were malformed."""
    parameters = read_parameters(args)
    check_apart(args.target, [args.source, args.params, *parameters.files()])
    with parameters.fuser() as fuser, tqdm(unit="pair", disable=None) as bar:

        def progress(fused: int, total: int) -> None:
            bar.total = total
            bar.update(fused - bar.n)

        result = fuse_bag(
            args.source,
            args.target,
            {"infrared": args.infrared, "visible": args.visible},
            fuser,
            parameters.pairing(),
            fused_topic=args.topic,
            keep_all=args.keep_all,
            overwrite=args.overwrite,
            maximum_megapixels=parameters.maximum_megapixels,
            crops=parameters.crops(),
            progress=progress,
        )
    for line in result.warnings:
        print(f"ivif bag: {line}", file=sys.stderr)
    print(summary(result, args.target))
    return 0 if result.is_whole else 1


def _images(result: BagResult) -> str:
    return " and ".join(f"{result.images[s]} {s} images of {one_line(result.topics[s], 80)}" for s in SOURCES)


def summary(result: BagResult, target: Path) -> str:
    """One line for a person."""
    parts = [
        f"{result.fused} pairs fused into {target} from {_images(result)}, "
        f"{result.fused / max(result.seconds, 1e-9):.1f} a second"
    ]
    parts += [f"{cause} {count}" for cause, count in sorted(result.dropped.items()) if count]
    if result.broken:
        parts.append(f"as far as the bag goes ({result.broken})")
    return "; ".join(parts)
