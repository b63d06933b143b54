"""How two cameras stand to each other, as ROS launch lines and robot descriptions say it."""

from __future__ import annotations

import math
import re

import numpy as np

from ivif_core.errors import ConfigError, shown

_LOCKED = 1e-6
"""Cosine of the pitch under which roll and yaw turn about one axis."""


def transform_text(rotation: np.ndarray, translation: np.ndarray, parent: str, child: str) -> str:
    """The infrared camera's pose in the visible one's frame: a static_transform_publisher's line and a URDF joint.

    Args:
        rotation, translation: 3×3, and 3 in metres: infrared point = rotation · visible point + translation.
        parent, child: optical frames of the visible and of the infrared camera.

    Raises:
        ConfigError: a frame's name is none.
    """
    for frame in (parent, child):
        if not re.fullmatch(r"/?[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*", frame):
            raise ConfigError(f"expected the name of a frame (letters, digits, _ and /), got {shown(frame)}")
    turn = np.asarray(rotation).T
    x, y, z = (f"{value:.6g}" for value in (-turn @ translation).tolist())
    roll, pitch, yaw = (f"{value:.6g}" for value in roll_pitch_yaw(turn))
    return "\n".join(
        [
            f"ros2 run tf2_ros static_transform_publisher --x {x} --y {y} --z {z} --roll {roll} --pitch {pitch} "
            f"--yaw {yaw} --frame-id {parent} --child-frame-id {child}",
            f'<joint name="{child}_joint" type="fixed">',
            f'  <parent link="{parent}"/>',
            f'  <child link="{child}"/>',
            f'  <origin xyz="{x} {y} {z}" rpy="{roll} {pitch} {yaw}"/>',
            "</joint>",
            f'<link name="{child}"/>',
        ]
    )


def roll_pitch_yaw(turn: np.ndarray) -> tuple[float, float, float]:
    """Angles about the fixed axes x, y, z, rad, as URDF and tf2 take them: turn = Rz(yaw) · Ry(pitch) · Rx(roll)."""
    (xx, xy, _), (yx, yy, _), (zx, zy, zz) = turn.tolist()
    cosine = math.hypot(xx, yx)
    if cosine < _LOCKED:
        return 0.0, math.atan2(-zx, cosine), math.atan2(-xy, yy)
    return math.atan2(zy, zz), math.atan2(-zx, cosine), math.atan2(yx, xx)
