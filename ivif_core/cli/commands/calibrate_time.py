"""`ivif calibrate time BAG`: how far the thermal camera's clock is from the RGB camera's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ivif_core.calibration.time_offset import estimate_offset, motion_energy
from ivif_core.cli.commands.bag import add_topic_arguments
from ivif_core.cli.numbers import real
from ivif_core.cli.parser import Renamed
from ivif_core.imaging.messages import to_infrared, to_visible
from ivif_core.offline.bags.images import read_bag_images

LARGEST_OFFSET = 3600.0
"""Seconds: clocks farther apart are not compared by motion."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif calibrate time`."""
    parser.add_argument("bag", type=Path, help="rosbag2 folder (.mcap, .db3) or ROS 1 .bag with motion that both see")
    add_topic_arguments(parser)
    parser.add_argument("--thermal", action=Renamed, new="--infrared")
    parser.add_argument("--rgb", action=Renamed, new="--visible")
    parser.add_argument(
        "--largest", type=real(0.001, LARGEST_OFFSET), default=1.0, metavar="S", help="largest offset looked for, s"
    )


def run(args: argparse.Namespace) -> int:
    """Print the offset and how sure it is; 1 where it is not."""
    frames: dict[str, list[tuple[float, np.ndarray]]] = {"infrared": [], "visible": []}
    for image in tqdm(
        read_bag_images(args.bag, args.infrared, args.visible),
        unit=" frames",
        desc="reading",
        leave=False,
        disable=None,
    ):
        pixels = to_infrared(image.message) if image.source == "infrared" else to_visible(image.message)
        step = max(1, min(pixels.shape[:2]) // 144)  # only motion counts: a small picture is enough, and fits memory
        frames[image.source].append((image.stamp / 1e9, np.ascontiguousarray(pixels[::step, ::step])))
    found = estimate_offset(motion_energy(frames["infrared"]), motion_energy(frames["visible"]), args.largest)
    print(f"thermal_time_offset: {found.seconds:.4f}  # s, ± {found.uncertainty:.4f}")
    print(f"correlation: {found.correlation:.3f}, next best elsewhere: {found.runner_up:.3f}")
    if not found.is_sure:
        print("ivif calibrate time: not sure: record longer, with motion that both cameras see", file=sys.stderr)
        return 1
    return 0
