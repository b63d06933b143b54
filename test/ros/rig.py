"""A fusion node under test on a real DDS graph, with cameras and listeners around it."""

from __future__ import annotations

import time

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ivif_core.imaging.messages import fill_image
from ivif_ros.fusion_node import FusionNode
from test.ros.conftest import wait_for

SECOND = 1_000_000_000


def image(pixels: np.ndarray, encoding: str, stamp: int, frame: str = "camera") -> Image:
    message = Image()
    message.header.stamp = Time(nanoseconds=stamp).to_msg()
    message.header.frame_id = frame
    fill_image(message, pixels, encoding)
    return message


def compressed(pixels: np.ndarray, extension: str, stamp: int) -> CompressedImage:
    message = CompressedImage(format=extension, data=cv2.imencode(f".{extension}", pixels)[1].tobytes())
    message.header.stamp = Time(nanoseconds=stamp).to_msg()
    return message


def scene(seed: int = 0, size: tuple[int, int] = (96, 128)) -> tuple[np.ndarray, np.ndarray]:
    """Thermal counts (uint16, half the size) and RGB (uint8 BGR) with structure."""
    random = np.random.default_rng(seed)
    counts = cv2.GaussianBlur(random.uniform(0, 1, (size[0] // 2, size[1] // 2)), (0, 0), 3)
    visible = cv2.GaussianBlur(random.uniform(0, 255, (*size, 3)), (0, 0), 2)
    return (20000 + 4000 * counts).astype(np.uint16), visible.astype(np.uint8)


class Rig:
    """A node under test, with cameras and listeners around it."""

    def __init__(self, graph, *, namespace: str = "", transport: str = "raw", start: bool = True, **parameters) -> None:
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        self.graph = graph
        self.fusion = graph.add(FusionNode(context=graph.context, namespace=namespace, parameter_overrides=overrides))
        self.tester = graph.node("tester")
        kind, suffix = (CompressedImage, "/compressed") if transport == "compressed" else (Image, "")
        prefix = f"{namespace}/" if namespace else ""
        publish = self.tester.create_publisher
        self.thermal = publish(kind, f"{prefix}thermal/image_raw{suffix}", qos_profile_sensor_data)
        self.rgb = publish(kind, f"{prefix}rgb/image_raw{suffix}", qos_profile_sensor_data)
        self.info = publish(CameraInfo, f"{prefix}rgb/camera_info", qos_profile_sensor_data)
        self.fused = self.listen(Image, f"{prefix}ivif/fused")
        self.diagnostics = self.listen(DiagnosticArray, "/diagnostics")
        if start:
            assert self.fusion.start()
            self.connect()

    def listen(self, kind, topic: str, profile=qos_profile_sensor_data) -> list:
        messages: list = []
        self.tester.create_subscription(kind, topic, messages.append, profile)
        return messages

    def connect(self) -> None:
        assert wait_for(lambda: self.thermal.get_subscription_count() and self.rgb.get_subscription_count())
        fused = self.fusion.resolve_topic_name("ivif/fused")
        assert wait_for(lambda: self.tester.count_publishers(fused) and self.fusion.count_subscribers(fused))

    def send(self, thermal, rgb) -> None:
        self.thermal.publish(thermal)
        self.rgb.publish(rgb)

    def until_fused(self, make_pair, count: int = 1, timeout: float = 15.0) -> list:
        """Send pairs (stamps 1/30 s apart) until `count` more are fused: the first may be lost to discovery."""
        before = len(self.fused)
        end = time.monotonic() + timeout
        stamp = self.tester.get_clock().now().nanoseconds
        while len(self.fused) < before + count and time.monotonic() < end:
            stamp += SECOND // 30
            self.send(*make_pair(stamp))
            wait_for(lambda: len(self.fused) >= before + count, 1 / 30)
        assert len(self.fused) >= before + count, "nothing was fused"
        return self.fused[before:]

    def status(self, contains: str, timeout: float = 15.0):
        """The first status of the node whose message contains a text."""

        def find():
            for array in self.diagnostics:
                for status in array.status:
                    if contains in status.message:
                        return status
            return None

        status = wait_for(find, timeout)
        messages = [status.message for array in self.diagnostics for status in array.status]
        assert status, f"{contains!r} not in {messages}"
        return status

    def set(self, **values) -> list:
        client = self.tester.create_client(SetParameters, f"{self.fusion.get_fully_qualified_name()}/set_parameters")
        parameters = [Parameter(n.replace("__", "."), value=v).to_parameter_msg() for n, v in values.items()]
        return self.graph.call(client, SetParameters.Request(parameters=parameters)).results

    def transition(self, transition: int) -> bool:
        client = self.tester.create_client(ChangeState, f"{self.fusion.get_fully_qualified_name()}/change_state")
        return self.graph.call(client, ChangeState.Request(transition=Transition(id=transition))).success

    def state(self) -> int:
        """One of `lifecycle_msgs.msg.State`'s primary states."""
        client = self.tester.create_client(GetState, f"{self.fusion.get_fully_qualified_name()}/get_state")
        return self.graph.call(client, GetState.Request()).current_state.id


def pair_of(counts, visible):
    return lambda stamp: (image(counts, "mono16", stamp, "thermal"), image(visible, "bgr8", stamp + 5_000_000, "rgb"))


def fixed_scaling() -> dict:
    return {"thermal_scaling__mode": "fixed", "thermal_scaling__low": 20000.0, "thermal_scaling__high": 24000.0}
