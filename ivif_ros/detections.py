"""Hot spots as `vision_msgs/Detection2DArray`, where vision_msgs is installed (PyPI has no wheel of it)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from std_msgs.msg import Header

from ivif_core.thermal.hot_spots import HotSpot

try:
    from vision_msgs.msg import BoundingBox2D, Detection2D, Detection2DArray, ObjectHypothesisWithPose
except ImportError:  # ros-<distribution>-vision-msgs
    Detection2DArray = None
ARRAY: Any = Detection2DArray
"""Type of the message; None: vision_msgs is not installed."""


def detections(spots: Iterable[HotSpot], unit: str, header: Header) -> Any:
    """One detection a spot: class `hot_spot` of score 1, its box, and its peak with the unit as id ("83.4 °C")."""
    return Detection2DArray(header=header, detections=[_detection(spot, unit, header) for spot in spots])


def _detection(spot: HotSpot, unit: str, header: Header) -> Any:
    found, box = ObjectHypothesisWithPose(), BoundingBox2D(size_x=float(spot.width), size_y=float(spot.height))
    found.hypothesis.class_id, found.hypothesis.score = "hot_spot", 1.0
    # A pixel is an area whose middle has whole coordinates.
    box.center.position.x = spot.left + (spot.width - 1) / 2
    box.center.position.y = spot.top + (spot.height - 1) / 2
    peak = f"{spot.peak:.1f} {unit}" if unit else f"{spot.peak:g}"
    return Detection2D(header=header, results=[found], bbox=box, id=peak)
