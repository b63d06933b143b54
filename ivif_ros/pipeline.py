"""From a pair of messages to fused pixels: the node's work, callable without a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ivif_core.fusion import Fuser
from ivif_ros.conversion import infrared_pixels, visible_pixels
from ivif_ros.parameters import Settings


@dataclass(frozen=True)
class FusedFrame:
    """One fused pair.

    Attributes:
        fused: uint8 H×W×3 BGR, or H×W where the visible image is grey.
        intensity: uint8 h×w, the scaled infrared before registration.
        visible: uint8, as it came, BGR or grey.
    """

    fused: np.ndarray
    intensity: np.ndarray
    visible: np.ndarray


class Pipeline:
    """Conversion, scaling and fusion with the node's settings."""

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            IvifError: the model or the backend cannot be had.
        """
        self._fuser = Fuser(
            settings["model"] or None,
            settings["backend"],
            vividness=settings["vividness"],
            scaling=settings.scaling(),
            registration=settings.registration(),
            threads=settings["threads"] or None,
        )

    @property
    def facts(self) -> dict[str, str]:
        """Backend and model, for logs and diagnostics."""
        backend = self._fuser.backend
        version = backend.metadata.get("ivif.version", "of unknown version")
        return {"backend": backend.describe(), "model": f"{self._fuser.model.name} {version}"}

    @property
    def network_seconds(self) -> float:
        """The backend's share of the last `fuse`."""
        return self._fuser.backend.run_seconds

    def apply(self, settings: Settings, changed: set[str]) -> None:
        """Take over settings that may change live; scaling and registration keep their state unless they changed."""
        self._fuser.vividness = settings["vividness"]
        if any(name.startswith("thermal_scaling.") for name in changed):
            self._fuser.scaling = settings.scaling()
        if any(name.startswith("registration.") for name in changed):
            self._fuser.registration = settings.registration()

    def reset(self) -> None:
        """The stream starts anew: forget earlier frames."""
        self._fuser.scaling.reset()

    def fuse(self, infrared: Any, visible: Any) -> FusedFrame:
        """Fuse two messages (Image or CompressedImage).

        Raises:
            InputError: one of them is malformed or of an unknown encoding.
        """
        counts, pixels = infrared_pixels(infrared), visible_pixels(visible)
        intensity = counts if counts.dtype == np.uint8 else self._fuser.scaling(counts)
        return FusedFrame(self._fuser.fuse(intensity, pixels), intensity, pixels)

    def side_by_side(self, frame: FusedFrame) -> np.ndarray:
        """Thermal | RGB | fused on the visible grid, uint8 H×3W×3 BGR."""
        visible_y = frame.visible if frame.visible.ndim == 2 else cv2.cvtColor(frame.visible, cv2.COLOR_BGR2GRAY)
        registered = self._fuser.register(frame.intensity, visible_y)
        return cv2.hconcat([as_bgr(image) for image in (registered, frame.visible, frame.fused)])

    def close(self) -> None:
        """Free the model."""
        self._fuser.close()


def as_bgr(image: np.ndarray) -> np.ndarray:
    """Grey H×W as H×W×3; BGR as it is."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
