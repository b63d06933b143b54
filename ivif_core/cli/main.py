"""The command `ivif`: one sub-command a task, each in `ivif_core.cli.commands`, imported when called."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from ivif_core import __version__
from ivif_core.cli.interruption import Terminated, ended_by_signals
from ivif_core.errors import IvifError

COMMANDS: dict[str, str] = {
    "evaluate": "figures of fused images, with ranks of several methods and a page to look at",
    "fuse": "fuse image files, folders or videos",
    "info": "versions, backends and model on this machine",
    "bag": "fuse a recorded bag into a new one",
    "fuse-many": "fuse folders and bags by the thousand, on many cores or machines",
    "bench": "how fast each backend is here, and whether auto takes the fastest",
    "export": "a student's checkpoint as ONNX files; its float16, int8 and colour files, compared",
    "build-engine": "build the TensorRT engine beforehand",
    "bench-cameras": "what scaling and registration of a thermal frame cost",
    "bench-bag": "how fast ivif bag is on a recording, against its parts alone",
    "calibrate": "find how thermal lies on RGB: from ordinary pairs, points or a board",
    "calibrate-time": "how far the cameras' clocks are apart, from what moves in a bag",
    "pick-points": "click matching points of a pair on a local web page",
    "engines": "list or clear the cached TensorRT engines",
    "extract": "pairs out of a recorded bag, as the node would pair them",
    "train": "train a teacher by sentences",
    "distill": "teach the student, from a teacher's checkpoint or its recorded outputs",
}
"""Sub-command -> one-line help; the module is `ivif_core.cli.commands.<name, - as _>`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ivif`; returns the exit status: 0 done, 1 done in part, 2 wrong input, 130 interrupted, 143 terminated."""
    try:
        with ended_by_signals():
            return _run(argv)
    except Terminated as end:
        return end.status


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="ivif", description="Infrared–visible image fusion.")
    parser.add_argument("--version", action="version", version=f"ivif {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name in arguments[:1]:  # only the command in use is imported
            module = import_module(f"ivif_core.cli.commands.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        return args.run(args)
    except IvifError as error:
        print(f"ivif {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
