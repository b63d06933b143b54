"""A node whose process is killed leaves nothing behind that keeps the next one from fusing."""

from __future__ import annotations

import signal
import subprocess
import sys

from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from test.ros.conftest import wait_for
from test.ros.rig import SECOND, pair_of, scene


def test_a_node_that_was_killed_fuses_again_when_it_is_started_again(graph):
    tester = graph.node("tester")
    cameras = [
        tester.create_publisher(Image, f"{name}/image_raw", qos_profile_sensor_data) for name in ("thermal", "rgb")
    ]
    fused: list[Image] = []
    tester.create_subscription(Image, "ivif/fused", fused.append, qos_profile_sensor_data)
    make_pair = pair_of(*scene())

    def sent_and_fused() -> bool:
        for camera, message in zip(cameras, make_pair(tester.get_clock().now().nanoseconds), strict=True):
            camera.publish(message)
        return wait_for(lambda: fused, 1 / 30)

    for stop, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 0)):
        child = subprocess.Popen([sys.executable, "-m", "ivif_ros"], env=graph.environment)
        try:
            assert wait_for(sent_and_fused)
        finally:
            child.send_signal(stop)
            assert child.wait(15) == status
        last = tester.get_clock().now().nanoseconds
        assert fused[-1].header.stamp.sec <= last // SECOND
        fused.clear()
