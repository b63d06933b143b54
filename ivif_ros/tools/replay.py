"""Executable `replay`: a folder of pairs, a bag or the rendered scene as two camera topics.

Publishes `thermal/image_raw`, `rgb/image_raw` and `rgb/camera_info` (relative names, remappable) until stopped.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from tqdm import tqdm

from ivif_core.errors import IvifError
from ivif_core.imaging.messages import fill_image
from ivif_core.offline.bags.cameras import find_cameras
from ivif_core.settings import Settings, read_parameter_file
from ivif_core.types import Source
from ivif_ros.inputs import info_topic
from ivif_ros.tools import frames
from ivif_ros.tools.frames import Frame
from ivif_ros.tools.processes import join_graph, own_arguments

FRAME_IDS = {"infrared": "thermal_optical_frame", "visible": "rgb_optical_frame"}
ENCODINGS = {np.uint8: "mono8", np.uint16: "mono16", np.float32: "32FC1"}
DEFAULT_RATE = 30.0
SCENE_SECONDS = 8.0
HOW_TO_NAME = (
    "replay --infrared-topic TOPIC --visible-topic TOPIC; ros2 launch … infrared:=TOPIC visible:=TOPIC; "
    "make demo … INFRARED=TOPIC VISIBLE=TOPIC"
)
LATEST_START = 1.0
"""Seconds behind schedule after which the schedule starts anew (the machine slept) instead of being caught up."""


class Cameras(Node):
    """Two camera drivers in one node."""

    def __init__(self, infrared_offset: float = 0.0) -> None:
        """
        Args:
            infrared_offset: s, added to thermal stamps, as by a driver that stamps late.
        """
        super().__init__("ivif_replay", start_parameter_services=False)
        self._publishers_of = {
            "infrared": self.create_publisher(Image, "thermal/image_raw", qos_profile_sensor_data),
            "visible": self.create_publisher(Image, "rgb/image_raw", qos_profile_sensor_data),
        }
        self._camera_info = self.create_publisher(CameraInfo, info_topic(self, "rgb"), qos_profile_sensor_data)
        self._offset = Duration(nanoseconds=round(infrared_offset * 1e9))
        self.sent = {"infrared": 0, "visible": 0}
        self.refused = 0

    def wait_for_subscribers(self, stopped: threading.Event) -> None:
        """Until somebody listens to both cameras (or `stopped` is set), so that the first pairs are not lost."""
        while any(not p.get_subscription_count() for p in self._publishers_of.values()) and not stopped.wait(0.02):
            pass

    def publish(self, source: str, message: Image, stamp: Time) -> None:
        """Stamp and send one image; a flooded middleware refuses some, which are counted."""
        message.header.stamp = (stamp + self._offset if source == "infrared" else stamp).to_msg()
        message.header.frame_id = FRAME_IDS[source]
        try:
            self._publishers_of[source].publish(message)
            if source == "visible":
                # All other fields zero: uncalibrated.
                info = CameraInfo(header=message.header, height=message.height, width=message.width)
                self._camera_info.publish(info)
        except RuntimeError as error:  # RCLError
            self.refused += 1
            self.get_logger().warning(f"image not sent: {error}", throttle_duration_sec=1.0)
            return
        self.sent[source] += 1


STREAMING = "replay: streaming"
"""Said when the first image is sent, after all that is prepared before."""

Shown = tuple[str, float, Image]
"""Source, seconds into the lap, message."""


def play(cameras: Cameras, laps: Iterable[Iterable[Shown]], stopped: threading.Event, count: int | None) -> None:
    """Publish each message at its time until `count` pairs are sent or `stopped` is set.

    Times count from the start of a lap and never from the frame before, so the rate holds under load; the next lap
    starts one mean gap between visible frames after the last one.
    """
    start, start_stamp = 0.0, Time()

    def forward(seconds: float) -> None:
        nonlocal start, start_stamp
        start, start_stamp = start + seconds, start_stamp + Duration(nanoseconds=round(seconds * 1e9))

    for lap in laps:
        if not start:  # only now, since preparing the first lap and waiting take their time
            if count is not None:
                cameras.wait_for_subscribers(stopped)
            print(STREAMING, flush=True)
            start, start_stamp = time.monotonic(), cameras.get_clock().now()
        times: list[float] = []
        for source, at, message in lap:
            late = time.monotonic() - (start + at)
            if stopped.wait(max(0.0, -late)):
                return
            if late > LATEST_START:
                forward(late)
            if source == "visible":
                times.append(at)
            cameras.publish(source, message, start_stamp + Duration(nanoseconds=round(at * 1e9)))
            if count is not None and min(cameras.sent.values()) >= count:
                return
        mean_gap = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
        forward((times[-1] if times else 0.0) + mean_gap)


def make_laps(arguments: argparse.Namespace, stopped: threading.Event) -> Iterator[Iterable[Shown]]:
    """Laps without end. A folder or the scene is converted once and kept; a bag is read anew."""
    source, rate = arguments.source, arguments.rate
    given = read_parameter_file(arguments.params) if arguments.params else {}
    most = Settings.from_values(given).maximum_megapixels
    if source is not None and not (source / "infrared").is_dir():
        named: dict[Source, str | None] = {"infrared": arguments.infrared_topic, "visible": arguments.visible_topic}
        found = find_cameras(source, named, HOW_TO_NAME)
        topics = (found["infrared"], found["visible"])
        print(f"replay: the cameras of {source}: thermal {topics[0]}, RGB {topics[1]}", flush=True)
        while True:
            yield (_shown(frame, arguments) for frame in frames.bag_frames(source, topics, rate, most))
    rate = rate or DEFAULT_RATE
    if source is None:
        pairs = frames.scene_pairs(max(2, round(SCENE_SECONDS * rate)), arguments.visible_size, arguments.seed)
    else:
        pairs = frames.folder_pairs(source, most)
    kept = []
    if source is None:
        print("replay: rendering the street, which takes some ten seconds", flush=True)
    shown = frames.pair_frames(islice(pairs, arguments.count), rate)
    for frame in tqdm(shown, "preparing", unit="image", leave=False, disable=None):  # None: only on a terminal
        if stopped.is_set():
            return
        kept.append(_shown(frame, arguments))
    while True:
        yield kept


def _shown(frame: Frame, arguments: argparse.Namespace) -> Shown:
    pixels = frame.pixels
    if frame.source == "infrared":
        pixels = frames.resized(pixels, arguments.infrared_size)
        pixels = frames.to_counts(pixels) if arguments.raw16 else pixels
    else:
        pixels = frames.resized(pixels, arguments.visible_size)
    message = Image()
    encoding = "bgr8" if pixels.ndim == 3 else ENCODINGS[pixels.dtype.type]
    fill_image(message, pixels, encoding)
    return frame.source, frame.time, message


def _size(text: str) -> frames.Size:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) >= 32 and int(height) >= 32):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT of at least 32x32, got {text!r}")
    return int(width), int(height)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of pairs, at least 1, got {text!r}")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"expected images per second, over 0 and up to 1000, got {text!r}")
    return rate


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="replay", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "source",
        nargs="?",
        type=Path,
        help="folder with infrared/ and visible/, whose names match; or a bag (.mcap, .db3, its folder); "
        "none: the rendered scene",
    )
    parser.add_argument("--rate", type=_rate, help=f"pairs per second ({DEFAULT_RATE:g}; a bag keeps its own)")
    parser.add_argument("--count", type=_count, help="wait for a listener, end after so many pairs; without it, loop")
    parser.add_argument("--raw16", action="store_true", help="8-bit thermal as 16-bit counts, 20,000 to 24,000")
    parser.add_argument("--infrared-size", type=_size, metavar="WxH", help="resize thermal images")
    parser.add_argument("--visible-size", type=_size, metavar="WxH", help="resize RGB images, or the scene itself")
    parser.add_argument("--infrared-offset", type=float, default=0.0, help="added to thermal stamps, s")
    parser.add_argument("--infrared-topic", metavar="TOPIC", help="thermal topic in the bag; none: found by its images")
    parser.add_argument("--visible-topic", metavar="TOPIC", help="RGB topic in the bag; none: found by its images")
    parser.add_argument("--seed", type=int, default=0, help="of the rendered scene")
    parser.add_argument(
        "--params",
        type=Path,
        metavar="FILE",
        help="parameter file of the node: maximum_megapixels; the node crops",
    )
    return parser.parse_args(arguments)


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv if argv is None else argv
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    cameras = None
    try:
        arguments = parse_arguments(own_arguments(argv))
        join_graph(argv, signal_handler_options=SignalHandlerOptions.NO)
        cameras = Cameras(arguments.infrared_offset)
        play(cameras, make_laps(arguments, stopped), stopped, arguments.count)
        print(f"sent {min(cameras.sent.values())} pairs", flush=True)
    except IvifError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2
    finally:
        if cameras is not None:
            cameras.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
