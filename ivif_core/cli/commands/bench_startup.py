"""`ivif bench startup [SOURCE]`: how long the node takes from its start to the first fused image."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec

from ivif_core.cli.numbers import whole

MODULE = "ivif_ros.tools.startup_benchmark"
MOST_STARTS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif bench startup`."""
    parser.add_argument("source", nargs="?", help="folder of pairs or a bag to replay (default: the rendered scene)")
    parser.add_argument("--count", type=whole(1, MOST_STARTS), default=20, metavar="N", help="starts (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Run the benchmark of the ROS side in a process of its own: this package knows no ROS.

    Raises:
        ModuleNotFoundError: ROS 2 is not here.
    """
    for name in ("rclpy", "ivif_ros"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
    source = [args.source] if args.source else []
    return subprocess.run([sys.executable, "-m", MODULE, "--count", str(args.count), "--", *source]).returncode
