"""`make demo`: replay, the fusion node and a recorder as processes on a ROS graph of their own."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from ivif_core.errors import IvifError
from ivif_core.files.writing import make_folder
from ivif_ros.tools.processes import ProcessDied, Processes, isolated_environment
from ivif_ros.tools.recorder import check_folder


def run(replay: list[str], node: list[str], seconds: float, out: Path) -> None:
    """Record `seconds` of fused video into `out`.

    Args:
        replay, node: their command-line arguments.

    Raises:
        IvifError: one of them ended before its time; its last lines are in the message.
    """
    logs = out / "logs"
    make_folder(logs)
    environment = isolated_environment()
    with Processes(environment, logs) as background, Processes(environment) as foreground:
        background.start("replay", "ivif_ros.tools.replay", replay)
        background.start("fusion_node", "ivif_ros", node)
        arguments = ["--seconds", str(seconds), "--output", str(out)]
        recorder = foreground.start("recorder", "ivif_ros.tools.recorder", arguments)
        while recorder.poll() is None:
            background.wait(0.1)
        if recorder.returncode:
            raise ProcessDied(f"no video; what replay and the node said is in {logs}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ivif_ros.tools.demo", description=__doc__)
    parser.add_argument("data", nargs="?", help="folder with infrared/ and visible/, or a bag; none: rendered scene")
    parser.add_argument("--infrared-topic", metavar="TOPIC", help="thermal topic in the bag; none: found by its images")
    parser.add_argument("--visible-topic", metavar="TOPIC", help="RGB topic in the bag; none: found by its images")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the recording")
    parser.add_argument("--output", type=Path, default=Path("out"), help="folder for demo.mp4, demo.png and logs/")
    parser.add_argument("--node", default="", help="more arguments for the node, as '--ros-args -p vividness:=1.0'")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    data = Path(arguments.data) if arguments.data else None
    replay = [arguments.data] if arguments.data else ["--raw16"]
    for option, topic in (("--infrared-topic", arguments.infrared_topic), ("--visible-topic", arguments.visible_topic)):
        replay += [option, topic] if topic else []
    if not arguments.data:
        print("demo: rendering the street takes some ten seconds; your own pairs or bag: make demo DATA=…", flush=True)
    try:
        check_folder(arguments.output, data)
        run(replay, arguments.node.split(), arguments.seconds, arguments.output)
    except IvifError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
