"""Extrinsics from `/tf_static` on a real graph.

Where tf2_msgs is not installed (PyPI has no wheel of it), a TransformStamped at a time stands in for its TFMessage.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from geometry_msgs.msg import TransformStamped
from scipy.spatial.transform import Rotation

from ivif_ros import inputs, stream
from test.ros.conftest import wait_for
from test.ros.test_calibrated_cameras import MOVE, TURN, CalibratedRig, pinhole, rgb_info, thermal_info

UNSAID = {"registration__rotation": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0], "registration__translation": [0.0, 0.0, 0.0]}
UNSAID = {name: [float(value) for value in values] for name, values in UNSAID.items()}


@pytest.fixture
def transforms(monkeypatch):
    """(message type, message of transforms) as the node takes them here."""
    if inputs.TFMessage is not None:
        return inputs.TFMessage, lambda transform: inputs.TFMessage(transforms=[transform])
    received = stream.Stream._on_transforms
    monkeypatch.setattr(inputs, "TFMessage", TransformStamped)
    monkeypatch.setattr(
        stream.Stream, "_on_transforms", lambda self, message: received(self, SimpleNamespace(transforms=[message]))
    )
    return TransformStamped, lambda transform: transform


def between_the_cameras() -> TransformStamped:
    """The RGB camera in the thermal camera's frame: thermal point = TURN · RGB point + MOVE."""
    transform = TransformStamped(child_frame_id="rgb_optical")
    transform.header.frame_id = "thermal_optical"
    for name, value in zip("xyzw", Rotation.from_matrix(TURN).as_quat(), strict=True):
        setattr(transform.transform.rotation, name, float(value))
    for name, value in zip("xyz", MOVE, strict=True):
        setattr(transform.transform.translation, name, value)
    return transform


def infos():
    thermal, rgb = thermal_info(), rgb_info()
    thermal.header.frame_id, rgb.header.frame_id = "thermal_optical", "rgb_optical"
    return thermal, rgb


def test_pixels_are_those_by_parameters_and_a_late_node_hears_it_too(graph, transforms):
    kind, message_of = transforms
    publisher = graph.node("state").create_publisher(kind, "/tf_static", inputs.TF_STATIC)
    publisher.publish(message_of(between_the_cameras()))  # before the node is there, as on a robot
    rig = CalibratedRig(graph, **UNSAID)
    assert wait_for(lambda: publisher.get_subscription_count())
    thermal, rgb = infos()
    rig.until_like(pinhole(), (rig.thermal_info, thermal), (rig.info, rgb))


def test_parameters_override_the_transforms(graph, transforms):
    kind, message_of = transforms
    publisher = graph.node("state").create_publisher(kind, "/tf_static", inputs.TF_STATIC)
    wrong = between_the_cameras()
    wrong.transform.translation.x = 5.0
    publisher.publish(message_of(wrong))
    rig = CalibratedRig(graph)
    assert wait_for(lambda: publisher.get_subscription_count())
    thermal, rgb = infos()
    rig.until_like(pinhole(), (rig.thermal_info, thermal), (rig.info, rgb))
