"""`ivif bag IN OUT --infrared TOPIC --visible TOPIC`: fuse a recorded bag into a new one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from ivif_core.files.outputs import check_apart
from ivif_core.node_parameters import NodeParameters
from ivif_core.offline.bag import FUSED_TOPIC, BagResult, fuse_bag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif bag`."""
    parser.add_argument("source", type=Path, metavar="IN", help="rosbag2 folder, or its .mcap or .db3 file")
    parser.add_argument("target", type=Path, metavar="OUT", help="folder of the new bag, of the same storage")
    parser.add_argument("--infrared", required=True, metavar="TOPIC", help="thermal images, raw or compressed")
    parser.add_argument("--visible", required=True, metavar="TOPIC", help="RGB images, raw or compressed")
    parser.add_argument("--topic", default=FUSED_TOPIC, help="of the fused images (default: %(default)s)")
    parser.add_argument("--keep-all", action="store_true", help="copy all other messages too, bit by bit")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT where it is there already")
    add_parameter_arguments(parser)


def add_parameter_arguments(parser: argparse.ArgumentParser) -> None:
    """How the node would fuse."""
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node (config/fusion.yaml)")
    parser.add_argument("--backend", metavar="NAME", help="what runs the model; over the file's")
    parser.add_argument("--model", metavar="FILE", help="ONNX file; over the file's")
    parser.add_argument("--vividness", type=float, metavar="V", help="0 faithful … 1 language-driven; over the file's")


def read_parameters(args: argparse.Namespace) -> NodeParameters:
    """The parameter file, if any, with what the command line says over it."""
    parameters = NodeParameters.read(args.params) if args.params else NodeParameters()
    return parameters.with_values(backend=args.backend, model=args.model, vividness=args.vividness)


def run(args: argparse.Namespace) -> int:
    """Fuse; 1 where the bag was read in part only or some images were malformed."""
    parameters = read_parameters(args)
    check_apart(args.target, [args.source, args.params, *parameters.files()])
    with parameters.make_fuser() as fuser, tqdm(unit="pair", disable=None) as bar:

        def progress(fused: int, total: int) -> None:
            bar.total = total
            bar.update(fused - bar.n)

        result = fuse_bag(
            args.source,
            args.target,
            {"infrared": args.infrared, "visible": args.visible},
            fuser,
            parameters.make_pairing(),
            fused_topic=args.topic,
            keep_all=args.keep_all,
            overwrite=args.overwrite,
            maximum_megapixels=parameters.maximum_megapixels,
            progress=progress,
        )
    for line in result.warnings:
        print(f"ivif bag: {line}", file=sys.stderr)
    print(summary(result, args.target))
    return 0 if result.is_whole else 1


def summary(result: BagResult, target: Path) -> str:
    """One line for a person."""
    parts = [
        f"{result.fused} pairs fused into {target} from {result.images['infrared']} infrared and "
        f"{result.images['visible']} visible images, {result.fused / max(result.seconds, 1e-9):.1f} a second"
    ]
    parts += [f"{cause} {count}" for cause, count in sorted(result.dropped.items()) if count]
    if result.broken:
        parts.append(f"as far as the bag goes ({result.broken})")
    return "; ".join(parts)
