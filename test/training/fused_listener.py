"""`python -m test.training.fused_listener TOPIC FOLDER`: every image of a topic as FOLDER/<stamp>.npy, until stopped.

A process of its own, so that DDS and torch never share one.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import Image

from ivif_core.imaging.messages import decode_image


def main(topic: str, folder: Path) -> None:
    def keep(message: Image) -> None:
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        with (folder / f".{stamp}").open("wb") as file:
            np.save(file, decode_image(message))
        (folder / f".{stamp}").replace(folder / f"{stamp}.npy")

    rclpy.init()
    signal.signal(signal.SIGINT, lambda *_: rclpy.try_shutdown())
    node = rclpy.create_node("fused_listener")
    node.create_subscription(Image, topic, keep, qos_profile_sensor_data)
    with suppress(ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
