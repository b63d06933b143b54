"""Records what flows: thermal | RGB | fused as a video and a picture, a live line, and a summary."""

from __future__ import annotations

import argparse
import queue
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image

from ivif_core.errors import IvifError, OutputError
from ivif_core.files.outputs import check_apart
from ivif_core.files.writing import check_name, is_there, make_folder
from ivif_core.imaging.files import is_of_ivif, write_image
from ivif_core.imaging.panels import triptych
from ivif_core.imaging.video_file import import_av, write_video
from ivif_core.thermal.scaling import PercentileScaling
from ivif_ros.conversion import infrared_pixels, visible_pixels
from ivif_ros.stamps import stamp_time
from ivif_ros.statistics import quantile

VIDEO, PICTURE = "demo.mp4", "demo.png"
PANEL_WIDTH = 640
"""Of the video; the picture has the visible camera's own size."""
_KEPT = 60
"""Camera frames kept for a fused one to come, two seconds at 30 Hz."""
_DROPPED = "dropped "


@dataclass
class Measured:
    """What was received; stamps in ns, times in s."""

    stamps: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    visible_stamps: list[int] = field(default_factory=list)
    node_drops: dict[str, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the first fused stamp to the last."""
        return (self.stamps[-1] - self.stamps[0]) / 1e9 if len(self.stamps) > 1 else 0.0

    @property
    def rate(self) -> float:
        """Fused frames a second."""
        return (len(self.stamps) - 1) / self.seconds if self.seconds else 0.0

    @property
    def missing(self) -> int:
        """RGB frames received, from the first fused one to the last, that no fused one came for."""
        first, last = self.stamps[0], self.stamps[-1]
        return len({stamp for stamp in self.visible_stamps if first <= stamp <= last} - set(self.stamps))

    def line(self) -> str:
        """Rate, latency and drops in one line."""
        median, late = (1e3 * quantile(self.latencies, share) for share in (0.5, 0.95))
        return (
            f"{self.seconds:4.1f} s | fused {len(self.stamps)} at {self.rate:.1f} Hz | "
            f"latency {median:.1f} ms median, {late:.1f} ms 95th | dropped {self.missing}"
        )


class Recorder(Node):
    """Listens; one worker thread composes and encodes, so that receiving, and with it the latency, is not disturbed."""

    def __init__(self) -> None:
        super().__init__("ivif_recorder", start_parameter_services=False)
        self.measured = Measured()
        self.jpegs: list[np.ndarray] = []
        self.picture: np.ndarray | None = None
        self._cameras: dict[str, dict[int, Image]] = {"thermal": {}, "rgb": {}}
        self._scaling = PercentileScaling()
        self._work: queue.Queue[tuple[Image, Image, Image] | None] = queue.Queue(maxsize=_KEPT)
        self._worker = threading.Thread(target=self._compose_all, name="compose", daemon=True)
        self._worker.start()
        profile = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, "thermal/image_raw", lambda m: self._on_camera("thermal", m), profile)
        self.create_subscription(Image, "rgb/image_raw", lambda m: self._on_camera("rgb", m), profile)
        self.create_subscription(Image, "ivif/fused", self._on_fused, profile)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    @property
    def heard(self) -> str:
        """Which cameras sent anything, for an error message."""
        return ", ".join(name for name, frames in self._cameras.items() if frames) or "nothing"

    def finish(self) -> None:
        """Wait until everything received is composed."""
        self._work.put(None)
        self._worker.join()

    def _on_camera(self, name: str, message: Image) -> None:
        stamp = stamp_time(message.header.stamp)
        frames = self._cameras[name]
        frames[stamp] = message
        if len(frames) > _KEPT:
            del frames[next(iter(frames))]
        if name == "rgb":
            self.measured.visible_stamps.append(stamp)

    def _on_fused(self, message: Image) -> None:
        stamp = stamp_time(message.header.stamp)
        self.measured.stamps.append(stamp)
        self.measured.latencies.append((self.get_clock().now().nanoseconds - stamp) / 1e9)
        thermal, rgb = self._cameras["thermal"], self._cameras["rgb"].get(stamp)
        if rgb is None or not thermal:
            return
        nearest = min(thermal, key=lambda other: abs(other - stamp))
        try:
            self._work.put_nowait((thermal[nearest], rgb, message))
        except queue.Full:
            self.get_logger().warning("the video misses frames: composing is too slow", throttle_duration_sec=1.0)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            for value in status.values:
                if value.key.startswith(_DROPPED):
                    cause = value.key.removeprefix(_DROPPED).removesuffix(" (count)")
                    self.measured.node_drops[cause] = int(value.value)

    def _compose_all(self) -> None:
        while (messages := self._work.get()) is not None:
            counts, visible, fused = infrared_pixels(messages[0]), *map(visible_pixels, messages[1:])
            intensity = counts if counts.dtype == np.uint8 else self._scaling(counts)
            width = min(PANEL_WIDTH, visible.shape[1])
            frame = triptych(intensity, visible, fused, width)
            self.jpegs.append(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])
            if len(self.jpegs) == 1 or len(self.jpegs) % 50 == 0:
                self.picture = triptych(intensity, visible, fused)


def record(recorder: Recorder, seconds: float, patience: float) -> Measured:
    """Listen for `seconds` from the first fused frame on, with a live line on a terminal.

    Raises:
        IvifError: no fused frame within `patience` seconds (which cameras were heard is said), or the stream ended.
    """
    executor = SingleThreadedExecutor(context=recorder.context)
    executor.add_node(recorder)
    measured, begin, shown = recorder.measured, time.monotonic(), 0.0
    first, newest, count = 0.0, begin, 0
    while not first or time.monotonic() < first + seconds:
        executor.spin_once(timeout_sec=0.1)
        now = time.monotonic()
        if len(measured.stamps) > count:
            first, newest, count = first or now, now, len(measured.stamps)
        if now - newest > (patience if not first else 5.0):
            raise IvifError(f"no fused frame for {now - newest:.0f} s; heard of the cameras: {recorder.heard}")
        if sys.stdout.isatty() and now - shown > 0.2:
            line = measured.line() if first else f"waiting for fused frames; heard of the cameras: {recorder.heard}"
            print(line, end="\033[K\r", flush=True)
            shown = now
    executor.remove_node(recorder)
    return measured


def check_folder(folder: Path, data: Path | None = None) -> None:
    """Refuse a folder whose files of the recording's names are not of an earlier recording, or which touches the data.

    Raises:
        OutputError: so it is.
    """
    check_name(folder)
    check_apart(folder, [data])
    picture = folder / PICTURE
    for path in (picture, folder / VIDEO):
        check_name(path)
        if is_there(path) and not is_of_ivif(picture):
            raise OutputError(f"{path} exists, not from an earlier recording; remove it, or name another --output")


def summary(measured: Measured) -> str:
    """The figures of a recording, one a line."""
    latencies = {name: 1e3 * quantile(measured.latencies, share) for name, share in (("median", 0.5), ("95th", 0.95))}
    drops = ", ".join(f"{cause} {count}" for cause, count in sorted(measured.node_drops.items()) if count) or "none"
    total = measured.missing + len(measured.stamps)
    return "\n".join(
        (
            f"fused      {len(measured.stamps)} frames in {measured.seconds:.1f} s, {measured.rate:.1f} Hz",
            f"latency    {latencies['median']:.1f} ms median, {latencies['95th']:.1f} ms 95th (RGB stamp to receipt)",
            f"dropped    {measured.missing} of {total} RGB frames have no fused one; counted by the node: {drops}",
        )
    )


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv if argv is None else argv
    parser = argparse.ArgumentParser(prog="recorder", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the recording")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for the first fused frame")
    parser.add_argument("--output", type=Path, default=Path("out"), help="folder for demo.mp4 and demo.png")
    arguments = parser.parse_args(remove_ros_args(argv)[1:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        import_av()  # what is missing is said before anything is recorded
    except IvifError as error:
        print(f"recorder: {error}", file=sys.stderr)
        return 1
    rclpy.init(args=argv)
    recorder = Recorder()
    try:
        check_folder(arguments.output)
        make_folder(arguments.output)
        measured = record(recorder, arguments.seconds, arguments.patience)
        recorder.finish()
        if recorder.picture is None:
            raise IvifError(
                f"fused frames came, but no camera image of their stamps; heard of the cameras: {recorder.heard}"
            )
        write_image(arguments.output / PICTURE, recorder.picture)  # first: its mark stands for both
        write_video(arguments.output / VIDEO, recorder.jpegs, measured.rate)
        print(f"\n{summary(measured)}\nleft       {VIDEO} and {PICTURE} in {arguments.output}")
    except (IvifError, OSError) as error:
        print(f"recorder: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    finally:
        recorder.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
