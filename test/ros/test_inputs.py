"""Where the node looks for the CameraInfo of cameras whose images are remapped."""

from __future__ import annotations

import pytest
from rclpy.node import Node

from ivif_ros.inputs import info_topic


@pytest.mark.parametrize(
    "namespace, remapped, expected",
    [
        ("", {}, "/rgb/camera_info"),
        ("robot", {}, "/robot/rgb/camera_info"),
        ("", {"rgb/image_raw": "/camera/image_raw"}, "/camera/camera_info"),
        ("robot", {"rgb/image_raw": "front/image_color"}, "/robot/front/camera_info"),
        ("", {"rgb/image_raw": "/camera/image_raw/compressed"}, "/camera/camera_info"),
        ("", {"rgb/image_raw": "/image"}, "/camera_info"),
        ("", {"rgb/image_raw": "/camera/image_raw", "rgb/camera_info": "/other/info"}, "/other/info"),
        ("", {"rgb/camera_info": "/other/info"}, "/other/info"),
    ],
)
def test_beside_the_images_unless_it_is_remapped_itself(graph, namespace, remapped, expected):
    rules = [word for name, to in remapped.items() for word in ("-r", f"{name}:={to}")]
    arguments = ["--ros-args", *rules] if rules else None
    node = graph.add(Node("camera_user", namespace=namespace, context=graph.context, cli_args=arguments))
    assert info_topic(node, "rgb") == expected
