"""Messages to the real node on a real graph; after each batch a good pair must be fused."""

from __future__ import annotations

import array
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from test.fuzz.command import ROOT
from test.fuzz.mill import Case, Mill, Verdict
from test.fuzz.mills.hostile import hostile
from test.fuzz.pictures import colour, counts

BATCH = 100
WAIT = 30.0
"""Seconds within which a good pair has to be fused, and a node to start and to end."""
DEPTH = 4 * BATCH
"""Messages that wait for the node, so that all are received; cameras are best effort, where a flood is lost."""
GROWTH = 600 << 20
"""Bytes that the node's own memory may grow by."""
LINES = 4
"""Most lines a second in the log, over the whole run, beside `START`."""
START = 100
TRANSPORTS = ("raw", "compressed")


class Node:
    """A fusion node in a process of its own, with publishers to all its topics and an ear on its output."""

    def __init__(self, tester: Any, transport: str, log: Path) -> None:
        self.name, self._tester, self._log, self._started = transport, tester, log, time.monotonic()
        settings = {f"{camera}_transport": transport for camera in ("thermal", "rgb")}
        settings |= {"registration.mode": "camera_info", "registration.depth": "true"} if transport == "raw" else {}
        suffix = "/compressed" if transport == "compressed" else ""
        for camera in ("thermal", "rgb"):
            policies = f"qos_overrides./{transport}/{camera}/image_raw{suffix}.subscription"
            settings |= {f"{policies}.reliability": "reliable", f"{policies}.depth": str(DEPTH)}
        arguments = [text for name, value in settings.items() for text in ("-p", f"{name}:={value}")]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-B",
                    "-m",
                    "ivif_ros.fusion_node",
                    "--ros-args",
                    "-r",
                    f"__ns:=/{transport}",
                    *arguments,
                ],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
                stdout=file,
                stderr=file,
            )
        self.fused: list[str] = []
        tester.create_subscription(Image, f"{transport}/ivif/fused", self._hear, qos_profile_sensor_data)
        kind, reliable = (
            (CompressedImage if suffix else Image),
            QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE),
        )
        topics = {
            "infrared": (kind, f"thermal/image_raw{suffix}"),
            "visible": (kind, f"rgb/image_raw{suffix}"),
            "infrared_info": (CameraInfo, "thermal/camera_info"),
            "visible_info": (CameraInfo, "rgb/camera_info"),
            "depth": (Image, "rgb/depth"),
        }
        self.publishers = {
            to: tester.create_publisher(kind, f"{transport}/{topic}", reliable) for to, (kind, topic) in topics.items()
        }
        self._makes = _compressed_pair if suffix else _raw_pair
        self._good = 0
        if not self.fuses_good_pair():
            raise RuntimeError(f"the node does not fuse: {log.read_text(errors='replace')[-2000:]}")
        self._memory = self._own_memory()

    def _hear(self, message: Image) -> None:
        self.fused.append(message.header.frame_id)

    def fuses_good_pair(self) -> bool:
        """Send a pair, again and again, until it is fused: what came before may still be in work."""
        self._good += 1
        name, until, tries = f"good {self._good}", time.monotonic() + WAIT, 0
        while name not in self.fused and self.is_alive() and time.monotonic() < until:
            if self.publishers["infrared"].get_subscription_count():
                tries += 1  # not the same image again: a thermal camera that repeats itself is frozen
                for to, message in self._good_messages(name, self._good + tries):
                    self.publishers[to].publish(message)
            pause = time.monotonic() + 0.05
            while time.monotonic() < pause and name not in self.fused:
                rclpy.spin_once(self._tester, timeout_sec=0.02)
        found = name in self.fused
        self.fused.clear()
        return found

    def _good_messages(self, name: str, seed: int) -> list[tuple[str, Any]]:
        pair = self._makes(seed)
        sizes = [(pixels.shape[1], pixels.shape[0]) for pixels in (counts(), colour())]
        infos = [_camera_info(*size) for size in sizes]
        messages = list(zip(("infrared_info", "visible_info", "infrared", "visible"), (*infos, *pair), strict=True))
        for _, message in messages:
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
            message.header.frame_id = name
        return messages

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def faults(self) -> list[str]:
        """What is wrong with it now, beside what it publishes."""
        if not self.is_alive():
            return [f"the node ended with {self._process.returncode}"]
        found = []
        if (grown := self._own_memory() - self._memory) > GROWTH:
            found.append(f"the node grew by {grown >> 20} MB")
        log = self._log.read_bytes()
        if b"Traceback" in log:
            found.append("traceback in the log")
        lines = [line for line in log.splitlines() if re.match(rb"\[(INFO|WARN|ERROR|FATAL)\]", line)]
        if len(lines) > START + LINES * (time.monotonic() - self._started):
            found.append(f"{len(lines)} lines in the log")
        if longest := [line for line in lines if len(line) > 2000]:
            found.append(f"a line of {len(longest[0])} bytes in the log")
        return found

    def _own_memory(self) -> int:
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGESIZE")

    def stop(self) -> str:
        """End it; returns its log."""
        if self.is_alive():
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return self._log.read_text(errors="replace")


class Messages(Mill):
    name = "messages"
    each = BATCH

    def open(self, scratch: Path) -> None:
        from ivif_ros.tools.processes import isolated_environment

        os.environ.update(isolated_environment())
        rclpy.init()
        self._tester = rclpy.create_node("mill")
        self._scratch, self._nodes, self._count = scratch, {}, 0

    def close(self) -> None:
        for node in self._nodes.values():
            node.stop()
        self._tester.destroy_node()
        rclpy.try_shutdown()

    def make(self, random: random.Random) -> Case:
        transport = random.choice(TRANSPORTS)
        messages = [hostile(random, transport == "compressed") for _ in range(BATCH)]
        return Case(transport, {f"{index:03d}.{to}": wire for index, (to, wire) in enumerate(messages)})

    def judge(self, case: Case, folder: Path) -> Verdict:
        node = self._node(case.kind)
        for name, wire in case.files.items():
            node.publishers[name.split(".")[1]].publish(wire)
            rclpy.spin_once(self._tester, timeout_sec=0)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            rclpy.spin_once(self._tester, timeout_sec=0.05)
        taken = len(node.fused)
        faults = [] if node.fuses_good_pair() else ["a good pair is not fused"]
        faults += node.faults()
        said = ""
        if faults:  # the next case has a new node
            said = self._nodes.pop(case.kind).stop()[-4000:]
        return Verdict(taken, faults, said)

    def _node(self, transport: str) -> Node:
        if transport not in self._nodes:
            self._count += 1
            self._nodes[transport] = Node(self._tester, transport, self._scratch / f"{transport}-{self._count}.log")
        return self._nodes[transport]


def _raw_pair(seed: int) -> tuple[Image, Image]:
    return _raw(counts(seed), "mono16"), _raw(colour(seed), "bgr8")


def _raw(pixels: np.ndarray, encoding: str) -> Image:
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=pixels.strides[0])
    message.data = array.array("B", pixels.tobytes())
    return message


def _compressed_pair(seed: int) -> tuple[CompressedImage, CompressedImage]:
    infrared = CompressedImage(format="mono16; png compressed ", data=cv2.imencode(".png", counts(seed))[1].tobytes())
    return infrared, CompressedImage(format="jpeg", data=cv2.imencode(".jpg", colour(seed))[1].tobytes())


def _camera_info(width: int, height: int) -> CameraInfo:
    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [50.0, 0.0, width / 2, 0.0, 50.0, height / 2, 0.0, 0.0, 1.0]
    message.p = [50.0, 0.0, width / 2, 0.0, 0.0, 50.0, height / 2, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def make_mill() -> Mill:
    return Messages()
