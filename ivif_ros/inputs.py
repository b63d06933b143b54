"""The node's subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any

from geometry_msgs.msg import Point, PointStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ivif_core.types import Source

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # PyPI has no wheel of it; every ROS distribution brings it
    TFMessage = None

TF_STATIC = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Of all who publish fixed transforms: also who comes late gets them."""
TOPICS: dict[Source, str] = {"infrared": "thermal", "visible": "rgb"}


def subscribe(
    node: Node,
    settings: Mapping[str, Any],
    on_frame: Callable[[Source, Any], None],
    on_camera_info: Callable[[Source, CameraInfo], None],
    on_depth: Callable[[Image], None],
    on_transforms: Callable[[Any], None],
    on_point: Callable[[Point | PointStamped], None],
) -> list[Any]:
    """All that the node listens to, best effort, so that every driver is heard.

    Args:
        settings: values of the node's parameters, by name.
    """
    subscriptions = []
    for source, topic in TOPICS.items():
        received = partial(on_frame, source)
        subscriptions.append(_subscribe_images(node, f"{topic}/image_raw", settings[f"{topic}_transport"], received))
    subscriptions += [
        node.create_subscription(
            CameraInfo, info_topic(node, topic), partial(on_camera_info, source), qos_profile_sensor_data
        )
        for source, topic in TOPICS.items()
    ]
    if settings["registration.depth"]:
        subscriptions.append(node.create_subscription(Image, "rgb/depth", on_depth, qos_profile_sensor_data))
    if TFMessage is not None:
        subscriptions.append(node.create_subscription(TFMessage, "/tf_static", on_transforms, TF_STATIC))
    clicks = f"{node.resolve_topic_name('ivif/fused')}_mouse_left"  # of rqt_image_view
    subscriptions.append(node.create_subscription(Point, clicks, on_point, 10))
    subscriptions.append(node.create_subscription(PointStamped, "ivif/probe", on_point, 10))
    return subscriptions


def info_topic(node: Node, camera: str) -> str:
    """The CameraInfo topic of 'thermal' or 'rgb': remapped where it is, else beside the images, as drivers have it."""
    name = f"{camera}/camera_info"
    resolved = node.resolve_topic_name(name)
    if resolved != node.resolve_topic_name(name, only_expand=True):
        return resolved
    folder, _, last = node.resolve_topic_name(f"{camera}/image_raw").rpartition("/")
    if last == "compressed":
        folder = folder.rpartition("/")[0]
    return f"{folder}/camera_info"


def _subscribe_images(node: Node, topic: str, transport: str, received: Callable[[Any], None]) -> Any:
    """`transport`: 'raw', or 'compressed' for `<topic>/compressed`. The user may override the QoS."""
    topic = node.resolve_topic_name(topic)  # a remapped base name carries its /compressed along
    kind, name = (CompressedImage, f"{topic}/compressed") if transport == "compressed" else (Image, topic)
    profile = copy(qos_profile_sensor_data)  # overrides are written into the profile that is given
    return node.create_subscription(
        kind, name, received, profile, qos_overriding_options=QoSOverridingOptions.with_default_policies()
    )
