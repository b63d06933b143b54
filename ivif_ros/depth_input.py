"""The newest depth image, from the thread that receives it to the one that fuses."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np

from ivif_core.errors import InputError
from ivif_core.imaging.messages import to_depth


class TakesDepth(Protocol):
    """A registration that depends on how far away the scene is."""

    def set_depth(self, depth: np.ndarray | None) -> None: ...


class DepthInput:
    """Gives each depth image to the registration once, and takes it back when it is too old."""

    LIFETIME = 0.5
    """Seconds since its receipt for which a depth image serves."""

    def __init__(self) -> None:
        self._newest: tuple[float, Any] = (float("-inf"), None)
        self._given: tuple[object, object] = (None, None)
        self._broken = ""

    def put(self, message: Any) -> None:
        """Take an Image as it is received."""
        self._newest = (time.monotonic(), message)

    def update(self, registration: TakesDepth) -> None:
        """Before a frame is registered: hand over what is new."""
        received, message = self._newest
        if time.monotonic() - received > self.LIFETIME:
            message = None
        if registration is self._given[0] and message is self._given[1]:
            return
        self._given = (registration, message)
        self._broken, depth = "", None
        try:
            depth = None if message is None else to_depth(message)
        except InputError as error:
            self._broken = str(error)
        registration.set_depth(depth)

    @property
    def problem(self) -> str:
        """Why the set distance serves in place of depth; empty: it does not."""
        age = time.monotonic() - self._newest[0]
        if age > self.LIFETIME:
            since = f"for {age:.1f} s" if np.isfinite(age) else "yet"
            return f"no depth image on rgb/depth {since}; the set distance is used"
        return self._broken and f"rgb/depth: {self._broken}; the set distance is used"
