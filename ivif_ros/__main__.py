"""The process of the fusion node: `fusion_node`, and `python -m ivif_ros` for machines without the `ros2` command."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the node; returns the exit status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported leaves no trace
    from ivif_ros.fusion_node import main as run

    try:
        return run()
    finally:
        # A terminal and `ros2 launch` each send SIGINT: the second must not kill what is ending already.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
