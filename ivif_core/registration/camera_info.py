"""Registration whose cameras are told by CameraInfo messages while frames already flow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ivif_core.errors import ConfigError
from ivif_core.registration.base import Resize
from ivif_core.registration.blending import StandIn
from ivif_core.registration.distortion import Distortion
from ivif_core.registration.pinhole import Camera, Pinhole
from ivif_core.registration.static_transforms import StaticTransforms
from ivif_core.types import Source

_TOPICS: dict[Source, str] = {"infrared": "thermal/camera_info", "visible": "rgb/camera_info"}


class CameraInfos:
    """`Pinhole` once both cameras are known; plain resize until then.

    Its tables are made anew when what a camera says changes, not with every message.
    """

    def __init__(self, rotation: ArrayLike, translation: ArrayLike, distance: float) -> None:
        """
        Args:
            rotation, translation, distance: as of `Pinhole`.

        Raises:
            ConfigError: as `Pinhole`.
        """
        self._geometry = (rotation, translation, distance)
        given = Pinhole(_ANY, _ANY, *self._geometry)  # better now than when the infos come
        self._is_given = not np.array_equal(given.rotation, np.eye(3)) or given.translation.any()
        self._placed: tuple[ArrayLike, ArrayLike] = (rotation, translation)
        self._transforms = StaticTransforms()
        self._frames: dict[Source, str] = {}
        self._said: dict[Source, tuple[object, ...]] = {}
        self._cameras: dict[Source, Camera] = {}
        self._refused: dict[Source, str] = {}
        self._depth: np.ndarray | None = None
        self._registration: Resize | Pinhole = Resize()

    @property
    def problem(self) -> str:
        """What keeps it from more than plain resize; empty: nothing."""
        missing = [topic for source, topic in _TOPICS.items() if source not in self._cameras | self._refused]
        problems = [f"no {' and no '.join(missing)} yet"] if missing else []
        problems += [f"{_TOPICS[source]}: {reason}" for source, reason in self._refused.items()]
        return f"registration camera_info: {'; '.join(problems)}; plain resize is used" if problems else ""

    @property
    def current(self) -> Resize | Pinhole:
        """What serves now; the next CameraInfo replaces it and leaves it as it is."""
        return self._registration

    def set_info(self, source: Source, message: Any) -> bool:
        """Take a CameraInfo; one that says what the last one said costs nothing. True if it says something else.

        Raises:
            ConfigError: it cannot be used, said once; `problem` goes on saying it.
        """
        frame = str(getattr(getattr(message, "header", None), "frame_id", ""))
        said = (frame, *_content(message))
        if self._said.get(source) == said:
            return False
        self._said[source], self._frames[source] = said, frame
        self._cameras.pop(source, None)
        self._refused.pop(source, None)
        try:
            self._cameras[source] = Camera.from_camera_info(message)
        except ConfigError as error:
            self._refused[source] = str(error)
            raise ConfigError(self.problem) from error
        finally:
            self._registration = self._made()
        return True

    def use_transforms(self, transforms: StaticTransforms) -> bool:
        """Take what `/tf_static` tells; True if the cameras now stand otherwise to each other.

        It gives rotation and translation where the parameters leave both at their defaults.
        """
        self._transforms = transforms
        if all(map(np.array_equal, self._placed, self._between())):
            return False
        self._registration = self._made()
        return True

    def _between(self) -> tuple[ArrayLike, ArrayLike]:
        """Rotation and translation: of the parameters, else of the transforms between the infos' frames."""
        rotation, translation, _ = self._geometry
        frames = self._frames.get("infrared"), self._frames.get("visible")
        if self._is_given or not all(frames):
            return rotation, translation
        return self._transforms.between(str(frames[0]), str(frames[1])) or (rotation, translation)

    def set_depth(self, depth: np.ndarray | None) -> None:
        """As `Pinhole.set_depth`, kept until both cameras are known."""
        self._depth = depth
        if isinstance(self._registration, Pinhole):
            self._registration.set_depth(depth)

    def apply(self, infrared: np.ndarray, visible_shape: tuple[int, int]) -> tuple[np.ndarray, StandIn | None]:
        """See `ivif_core.registration.base.Registration`."""
        return self._registration.apply(infrared, visible_shape)

    def _made(self) -> Resize | Pinhole:
        if len(self._cameras) < len(_TOPICS):
            return Resize()
        self._placed = self._between()
        pinhole = Pinhole(self._cameras["infrared"], self._cameras["visible"], *self._placed, self._geometry[2])
        pinhole.set_depth(self._depth)
        return pinhole


_ANY = Camera((2, 2), np.eye(3), Distortion("none", ()))


def _content(message: Any) -> tuple[object, ...]:
    """All that `Camera.from_camera_info` reads; numbers as bytes, since NaN differs from itself."""
    roi = message.roi
    region = (roi.x_offset, roi.y_offset, roi.width, roi.height)
    numbers = (np.array(values, np.float64).tobytes() for values in (message.k, message.d, getattr(message, "p", ())))
    return (message.width, message.height, message.distortion_model, region, *numbers)
