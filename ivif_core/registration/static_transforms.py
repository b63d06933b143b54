"""Fixed transforms between frames, as `/tf_static` tells them, and what lies between two of the frames."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST_FRAMES = 10_000
"""A robot has some hundred; more is not kept."""


class StaticTransforms:
    """A tree of frames, each with the latest transform to its parent."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, np.ndarray]] = {}

    def add(self, transform: Any) -> None:
        """Take a TransformStamped, which brings points of the child into its parent; no rotation is left out."""
        moved, turned = transform.transform.translation, transform.transform.rotation
        matrix = np.eye(4)
        quaternion = np.array([turned.x, turned.y, turned.z, turned.w], np.float64)
        matrix[:3, 3] = moved.x, moved.y, moved.z
        length = float(np.linalg.norm(quaternion))
        if not (np.isfinite(matrix).all() and 0.9 < length < 1.1):
            return
        matrix[:3, :3] = _rotation(quaternion / length)
        parent, child = (name.lstrip("/") for name in (transform.header.frame_id, transform.child_frame_id))
        if parent != child and (child in self._parents or len(self._parents) < MOST_FRAMES):
            self._parents[child] = parent, matrix

    def between(self, target: str, source: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Rotation 3×3 and translation in metres: target point = rotation · source point + translation.

        None: fixed transforms do not connect the two frames.
        """
        above_target, above_source = self._above(target.lstrip("/")), self._above(source.lstrip("/"))
        common = next((frame for frame in above_source if frame in above_target), None)
        if common is None:
            return None
        matrix = np.linalg.inv(above_target[common]) @ above_source[common]
        return matrix[:3, :3], matrix[:3, 3]

    def _above(self, frame: str) -> dict[str, np.ndarray]:
        """Frame -> the points of `frame` in it, from itself up to the root; a loop ends where it closes."""
        above = {frame: np.eye(4)}
        matrix = np.eye(4)
        while frame in self._parents:
            frame, step = self._parents[frame]
            if frame in above:
                break
            matrix = step @ matrix
            above[frame] = matrix
        return above


def _rotation(quaternion: np.ndarray) -> np.ndarray:
    """3×3 of a unit quaternion x, y, z, w."""
    x, y, z, w = quaternion.tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
