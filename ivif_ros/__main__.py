"""The process of the fusion node: `fusion_node`, and `python -m ivif_ros` for machines without the `ros2` command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from importlib import import_module

from ivif_core.cli.missing_package import missing_package


def main() -> int:
    """Run the node; returns the exit status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported leaves no trace
    try:
        return _imported("ivif_ros.fusion_node", "fusion_node")()
    finally:
        # A terminal and `ros2 launch` each send SIGINT: the second must not kill what is ending already.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def replay() -> int:
    """Play recorded cameras; returns the exit status."""
    return _imported("ivif_ros.tools.replay", "replay")()


def _imported(module: str, program: str) -> Callable[[], int]:
    # ROS's generator of Python code, with a lexer and a template engine: messages do without, and start 0.1 s sooner.
    sys.modules.setdefault("rosidl_generator_py.generate_py_impl", None)  # type: ignore[arg-type]
    try:
        return import_module(module).main
    except ImportError as error:
        needed = missing_package(error)
        if needed is None:
            raise
        print(f"{program}: {needed}", file=sys.stderr)
        return lambda: 1


if __name__ == "__main__":
    sys.exit(main())
