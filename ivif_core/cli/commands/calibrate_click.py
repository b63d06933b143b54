"""`ivif calibrate click INFRARED VISIBLE -o points.json`: a local web page to click matching points on."""

from __future__ import annotations

import argparse
from pathlib import Path

from ivif_core.calibration.click_page import ClickServer
from ivif_core.cli.numbers import whole
from ivif_core.files.outputs import check_file
from ivif_core.files.writing import printable
from ivif_core.imaging import colour
from ivif_core.imaging.files import read_infrared, read_visible
from ivif_core.thermal.scaling import PercentileScaling, to_intensity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif calibrate click`."""
    parser.add_argument("infrared", type=Path, help="image file, 8 or 16 bits")
    parser.add_argument("visible", type=Path, help="image file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="JSON", help="for `ivif calibrate points`")
    parser.add_argument(
        "--port", type=whole(0, 65535), default=0, metavar="N", help="of the page (default: a free one)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    check_file(args.output, (args.infrared, args.visible), overwrite=True)
    infrared = to_intensity(read_infrared(args.infrared), PercentileScaling(smoothing=0))
    visible = colour.luminance(read_visible(args.visible))
    with ClickServer(infrared, visible, args.output, args.port) as server:
        kept = f" ({len(server.points)} from before)" if server.points else ""
        server.serve_until_ctrl_c(f". Points are saved to {printable(args.output)}{kept}")
    return 0
