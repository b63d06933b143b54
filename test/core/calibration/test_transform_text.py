from __future__ import annotations

import shlex
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ivif_core.calibration.transform_text import transform_text
from ivif_core.errors import ConfigError
from ivif_core.registration.static_transforms import StaticTransforms

ANGLES = [(0, 0, 0), (10, -20, 30), (180, 5, -170), (0, 90, 40), (30, -90, 0)]


@pytest.mark.parametrize("angles", ANGLES)
def test_what_tf_makes_of_the_line_is_the_pose_that_the_node_takes(angles, rng):
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    translation = rng.uniform(-1, 1, 3)
    line, *urdf = transform_text(rotation, translation, "rgb_optical", "rig/thermal").splitlines()
    words = shlex.split(line)
    assert words[:4] == ["ros2", "run", "tf2_ros", "static_transform_publisher"]
    given = dict(zip(words[4::2], words[5::2], strict=True))
    x, y, z = (float(given[f"--{name}"]) for name in "xyz")
    roll, pitch, yaw = (float(given[f"--{name}"]) for name in ("roll", "pitch", "yaw"))
    # static_transform_publisher: setRPY, fixed axes.
    quaternion = Rotation.from_euler("xyz", [roll, pitch, yaw]).as_quat()
    names = SimpleNamespace(frame_id=given["--frame-id"]), given["--child-frame-id"]
    transform = SimpleNamespace(
        translation=SimpleNamespace(x=x, y=y, z=z),
        rotation=SimpleNamespace(**dict(zip("xyzw", quaternion.tolist(), strict=True))),
    )
    transforms = StaticTransforms()
    transforms.add(SimpleNamespace(header=names[0], child_frame_id=names[1], transform=transform))
    turned, moved = transforms.between("rig/thermal", "rgb_optical")
    np.testing.assert_allclose(turned, rotation, atol=1e-5)
    np.testing.assert_allclose(moved, translation, atol=1e-5)
    joint = ElementTree.fromstring("\n".join(["<robot>", *urdf, "</robot>"])).find("joint")
    assert (joint.find("parent").get("link"), joint.find("child").get("link")) == ("rgb_optical", "rig/thermal")
    assert joint.find("origin").get("xyz").split() == [given[f"--{name}"] for name in "xyz"]
    assert joint.find("origin").get("rpy").split() == [given[f"--{name}"] for name in ("roll", "pitch", "yaw")]


@pytest.mark.parametrize("frame", ["", 'a"b', "<link>", "a b", "a//b", "a\nb"])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(ConfigError, match="name of a frame"):
        transform_text(np.eye(3), np.zeros(3), "rgb", frame)
