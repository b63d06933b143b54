"""A small local web page on which one clicks matching points of a pair and sees the overlay."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ivif_core.calibration.fitting import Model, fit, residuals
from ivif_core.calibration.overlay import overlay
from ivif_core.calibration.points import parse_points
from ivif_core.errors import ConfigError, InputError, one_line
from ivif_core.files.local_page import LARGEST_BODY, Body, LocalPage, as_json
from ivif_core.files.reading import read_bytes
from ivif_core.files.writing import is_there, printable, write_text

MOST_POINTS = 1000

Points = list[dict[str, list[float]]]
"""`{"infrared": [x, y], "visible": [x, y]}` each, in pixels."""


class ClickServer(LocalPage):
    """Serves the page on this machine only, and writes the points to `output` whenever they change.

    Attributes:
        points: what was clicked so far; at the start, what `output` holds.
    """

    def __init__(self, infrared: np.ndarray, visible: np.ndarray, output: Path, port: int = 0) -> None:
        """
        Args:
            infrared, visible: uint8 grey.
            output: JSON file; one of an earlier run is gone on with.
            port: 0 takes any free one.

        Raises:
            InputError: the port is taken, or `output` is there and holds no points of such a pair.
        """
        self.infrared, self.visible, self.output = infrared, visible, output
        self._lock = threading.Lock()
        self.points = self._read() if is_there(output) else []
        self.picture, self._answer = self._judge(self.points)
        super().__init__("ivif_core.calibration", ("click_page.html",), port)

    def get(self, path: str, query: str) -> Body | None:
        """The two images, the overlay, or the points and what they gave."""
        if path in ("/infrared.png", "/visible.png"):
            return "image/png", _png(getattr(self, path[1:-4]))
        if path == "/overlay.png":
            return "image/png", self.picture
        return as_json(self.state()) if path == "/points" else None

    def post(self, path: str, content: Any) -> Body | None:
        """Take points."""
        return as_json(self.take(content)) if path == "/points" else None

    def take(self, content: Any) -> dict[str, Any]:
        """Check the points that the page sent, then write them, and answer with what they give.

        Raises:
            InputError: not the page's format, outside of the images, or they cannot be written; the file stays.
        """
        points = self._check(content)
        with self._lock:
            picture, answer = self._judge(points)
            write_text(self.output, json.dumps({"points": points}, indent=1) + "\n")
            self.points, self.picture, self._answer = points, picture, answer
            return answer

    def state(self) -> dict[str, Any]:
        """What a page that is loaded again needs: the points, and what they gave."""
        with self._lock:
            return {"points": self.points, **self._answer}

    def _read(self) -> Points:
        try:
            content = json.loads(read_bytes(self.output, LARGEST_BODY))
            return self._check(content.get("points") if isinstance(content, dict) else None)
        except (ConfigError, ValueError, RecursionError) as error:
            raise InputError(
                f"{printable(self.output)} exists and holds no points of these images ({one_line(error)}); "
                "name another output"
            ) from error

    def _check(self, content: Any) -> Points:
        if not isinstance(content, list) or len(content) > MOST_POINTS:
            raise InputError(f"points: expected a list of at most {MOST_POINTS}")
        if not content:
            return []
        columns = parse_points(content, "points")
        for name, column, image in zip(("infrared", "visible"), columns, (self.infrared, self.visible), strict=True):
            if (column < -0.5).any() or (column > np.array(image.shape[1::-1]) - 0.5).any():
                raise InputError(f"points: a point lies outside of the {name} image")
        return [
            {"infrared": list(map(float, first)), "visible": list(map(float, second))}
            for first, second in zip(*columns, strict=True)
        ]

    def _judge(self, points: Points) -> tuple[bytes, dict[str, Any]]:
        """The overlay as PNG, and count, residuals in pixels, and why there are none."""
        nothing = _png(np.zeros((2, 2), np.uint8))
        if len(points) < 3:
            return nothing, {"count": len(points), "residuals": [], "note": ""}
        source, target = (np.array([point[name] for point in points]) for name in ("infrared", "visible"))
        model: Model = "homography" if len(points) >= 6 else "similarity"
        try:
            matrix = fit(source, target, model)
            picture = _png(overlay(self.infrared, self.visible, matrix))
            found = residuals(matrix, source, target)
        except (InputError, cv2.error, np.linalg.LinAlgError) as error:
            return nothing, {"count": len(points), "residuals": [], "note": one_line(error)}
        if not np.isfinite(found).all():
            return nothing, {
                "count": len(points),
                "residuals": [],
                "note": f"{model}: the points contradict each other",
            }
        return picture, {"count": len(points), "residuals": found.round(2).tolist(), "note": ""}


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()
