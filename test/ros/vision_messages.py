"""The messages of vision_msgs 4 (Humble to Kilted) that the node fills: PyPI has no wheel of them.

Only fields that vision_msgs has can be given or set, each as the type that it has there.
"""

from __future__ import annotations

from typing import Any

from std_msgs.msg import Header


def message(name: str, **kinds: type) -> type:
    """A class of messages; field -> type."""

    def fill(self: Any, **given: Any) -> None:
        for field, kind in kinds.items():
            setattr(self, field, given.pop(field) if field in given else kind())
        assert not given, given

    def check(self: Any, field: str, value: Any) -> None:
        assert isinstance(value, kinds[field]), (name, field, value)
        object.__setattr__(self, field, value)

    return type(name, (), {"__init__": fill, "__setattr__": check})


Point2D = message("Point2D", x=float, y=float)
Pose2D = message("Pose2D", position=Point2D, theta=float)
BoundingBox2D = message("BoundingBox2D", center=Pose2D, size_x=float, size_y=float)
ObjectHypothesis = message("ObjectHypothesis", class_id=str, score=float)
ObjectHypothesisWithPose = message("ObjectHypothesisWithPose", hypothesis=ObjectHypothesis)
Detection2D = message("Detection2D", header=Header, results=list, bbox=BoundingBox2D, id=str)
Detection2DArray = message("Detection2DArray", header=Header, detections=list)
