"""From a pair of messages to fused pixels: the node's work, callable without a graph."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from ivif_core.errors import ConfigError, InputError
from ivif_core.fusion import Fuser, Prepared
from ivif_core.registration.base import Registration, mask_onto_visible
from ivif_core.registration.camera_info import CameraInfos
from ivif_core.registration.drift import DriftWatch
from ivif_core.registration.pinhole import Pinhole
from ivif_core.registration.static_transforms import StaticTransforms
from ivif_core.settings import Settings
from ivif_core.thermal.hot_spots import HotSpot, draw_outline, find_spots
from ivif_core.types import Source
from ivif_ros.conversion import infrared_pixels, visible_pixels
from ivif_ros.depth_input import DepthInput
from ivif_ros.pixel_checks import PixelChecks

DRIFT_INTERVAL = 60
"""Every so many fused frames the registration is checked."""

FUSERS = 2
"""Frames that are fused at the same time on a CPU; of more, each would wait for Python's lock and come later."""


@dataclass(frozen=True)
class Frame:
    """What is to be fused, or shown alone.

    Attributes:
        settings, registration: that hold for it.
        visible: uint8, as it came, BGR or grey; None: that camera is missing.
        pair: scaled and registered; None: no infrared.
        hot_spots: uint8 H×W, 255 where hot; None: not asked for, or no infrared.
        is_grey: the visible camera, or where none came yet the only one, has one channel.
    """

    settings: Settings
    registration: Registration
    visible: np.ndarray | None
    pair: Prepared | None
    hot_spots: np.ndarray | None
    is_grey: bool


@dataclass(frozen=True)
class FusedFrame(Frame):
    """One image made.

    Attributes:
        fused: uint8 H×W×3 BGR, or H×W where the visible image, or `output.colour`, is grey.
    """

    fused: np.ndarray


class Pipeline:
    """Conversion, scaling and fusion with the node's settings.

    `prepare` takes frames in their order, one at a time. `fuse` may be called by several threads at the same time, each
    with a fuser of its own. The others may be called meanwhile: what they bring holds from the next frame on, so that a
    frame is made from one state.

    Attributes:
        fusers: for `fuse`; several where that makes more frames a second.
    """

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            IvifError: the model or the backend cannot be had.
        """
        with ExitStack() as opened:
            self._fuser = opened.enter_context(
                Fuser(
                    settings["model"] or None,
                    settings["backend"],
                    vividness=settings["vividness"],
                    aim=settings["aim"],
                    colour=settings["output.colour"],
                    warm=settings["output.warm"],
                    scaling=settings.scaling(),
                    registration=settings.registration,
                    threads=settings["threads"] or None,
                    engine=settings.engine(),
                    wait_for_engine=False,
                )
            )
            self.fusers = opened.enter_context(self._fuser.workers(FUSERS))
            self._opened = opened.pop_all()
        self._settings, self._registration = settings, settings.registration
        self._crops = settings.crops()
        self._start_anew = False
        self._depth = DepthInput() if settings["registration.depth"] else None
        self._infos: dict[Source, Any] = {}
        self._infos_lock = threading.RLock()
        self._preparing = threading.Lock()  # a registration keeps tables
        self._transforms = StaticTransforms()
        self._maximum_megapixels: float = settings["maximum_megapixels"]
        self._hot_spots = settings.hot_spots()
        self._visible_shape: tuple[int, ...] | None = None
        self._checks = PixelChecks()
        self._until_drift_check = 0
        self._watch_drift = settings["registration.check_drift"]
        self._drift: DriftWatch | None = DriftWatch() if self._watch_drift else None

    @property
    def facts(self) -> dict[str, str]:
        """Backend and model, for logs and diagnostics."""
        backend = self._fuser.backend
        version = backend.metadata.get("ivif.version", "of unknown version")
        facts = {"backend": backend.describe(), "model": f"{backend.file.name} {version}"}
        drift = self._drift
        if drift is not None and (score := drift.score) is not None:
            facts["alignment score"] = f"{score:.3f}"
        return facts

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """What looks wrong, each with the part of the diagnostics that says it: thermal, rgb or fusion."""
        drift, registration = self._drift, self._registration
        found = [
            *self._checks.warnings,
            ("fusion", drift.warning if drift is not None else ""),
            ("fusion", registration.problem if isinstance(registration, CameraInfos) else ""),
            ("fusion", self._depth.problem if self._depth is not None else ""),
        ]
        return [(part, warning) for part, warning in found if warning]

    def check(self, settings: Settings) -> None:
        """What of them the model may refuse.

        Raises:
            ConfigError: it has no such aim.
        """
        self._fuser.check_aim(settings["aim"])

    def use(self, settings: Settings) -> None:
        """Take over settings that may change live, before `prepare`.

        Scaling and registration keep their state unless they changed.
        """
        if settings is self._settings:
            return
        changed = settings.changed(self._settings)
        self._maximum_megapixels = settings["maximum_megapixels"]
        if any(name.startswith(("thermal_scaling.", "radiometry.")) for name in changed):
            self._fuser.scaling = settings.scaling()
        if settings.registration is not self._registration or "registration.check_drift" in changed:
            self._watch_drift = settings["registration.check_drift"]
            self._drift = DriftWatch() if self._watch_drift else None
        crops = settings.crops()
        if settings.registration is not self._registration or crops != self._crops:
            self._registration = settings.registration  # first: an info that comes meanwhile must not pass it by
            self._crops = crops
            with self._infos_lock:
                for source, message in self._infos.items():
                    with suppress(ConfigError):  # was said when it came
                        self.set_camera_info(source, message)
                self.add_transforms(())
        self._hot_spots = settings.hot_spots()
        self._settings = settings

    def set_camera_info(self, source: Source, message: Any) -> bool:
        """Take a camera's CameraInfo, which `registration.mode` camera_info needs. True if it says something else.

        Raises:
            ConfigError: it cannot be used; said once, `warnings` goes on saying it.
        """
        with self._infos_lock:
            self._infos[source] = message
            registration = self._registration
            changed = isinstance(registration, CameraInfos) and registration.set_info(
                source, self._crops[source].camera_info(message)
            )
            if changed:
                self._drift = DriftWatch() if self._watch_drift else None
            return changed

    def add_transforms(self, transforms: Iterable[Any]) -> None:
        """Take TransformStamped messages of /tf_static, which `registration.mode` camera_info needs."""
        with self._infos_lock:
            for transform in transforms:
                self._transforms.add(transform)
            registration = self._registration
            if isinstance(registration, CameraInfos) and registration.use_transforms(self._transforms):
                self._drift = DriftWatch() if self._watch_drift else None

    def set_depth(self, message: Any) -> None:
        """Take a depth Image of the visible camera's view, where `registration.depth` asks for it."""
        if self._depth is not None:
            self._depth.put(message)

    def reset(self) -> None:
        """The stream starts anew: forget earlier frames."""
        self._start_anew = True

    def prepare(self, infrared: Any | None, visible: Any | None) -> Frame:
        """Convert two messages (Image or CompressedImage), or the only one there is, scale and register.

        Raises:
            InputError: one of them is malformed or of an unknown encoding.
        """
        with self._preparing:
            return self._prepare(infrared, visible)

    def _prepare(self, infrared: Any | None, visible: Any | None) -> Frame:
        if self._start_anew:
            self._start_anew = False
            self._fuser.scaling.reset()
            self._checks = PixelChecks()
        chosen = self._registration
        if self._depth is not None and isinstance(chosen, (CameraInfos, Pinhole)):
            self._depth.update(chosen)
        registration = chosen.current if isinstance(chosen, CameraInfos) else chosen
        self._fuser.registration = registration
        pixels = None if visible is None else visible_pixels(visible, self._maximum_megapixels)
        if pixels is not None:
            pixels = self._crops["visible"].apply(pixels, "RGB")
            self._visible_shape = pixels.shape
        if infrared is None:
            if pixels is None:
                raise InputError("neither a thermal nor an RGB image")
            return Frame(self._settings, registration, pixels, None, None, pixels.ndim == 2)
        counts = self._crops["infrared"].apply(infrared_pixels(infrared, self._maximum_megapixels), "thermal")
        if pixels is not None:
            self._checks.look(infrared, visible, pixels, self._crops["infrared"], self._maximum_megapixels)
        shape, hot = self._visible_shape or counts.shape, None
        pair = self._fuser.prepare(counts, np.zeros(shape[:2], np.uint8) if pixels is None else pixels)
        if pixels is not None:
            self._check_drift(pair)
        if self._hot_spots is not None:
            hot = mask_onto_visible(registration, self._hot_spots(pair.counts), (shape[0], shape[1]))
        return Frame(self._settings, registration, pixels, pair, hot, len(shape) == 2)

    def fuse(self, frame: Frame, fuser: Fuser) -> FusedFrame:
        """Fuse what `prepare` gave, or show the only image there is.

        Infrared alone comes on the grid, and with the number of channels, of the last visible image.
        """
        settings, pair = frame.settings, frame.pair
        fuser.vividness, fuser.aim = settings["vividness"], settings["aim"]
        fuser.colour, fuser.warm = settings["output.colour"], settings["output.warm"]
        if frame.visible is not None:
            fused = frame.visible if pair is None else fuser.fuse_prepared(pair)
        else:
            assert pair is not None  # one of them is there
            fused = fuser.paint(pair, pair.registered if frame.is_grey else as_bgr(pair.registered))
        if frame.hot_spots is not None and settings["hot_spots.draw"]:
            fused = fused.copy()
            draw_outline(fused, frame.hot_spots)
        return FusedFrame(**vars(frame), fused=fused)

    def _check_drift(self, pair: Prepared) -> None:
        drift = self._drift
        if drift is not None and self._until_drift_check == 0:
            drift.add(pair.registered, pair.visible_y, pair.outside)
        self._until_drift_check = (self._until_drift_check - 1) % DRIFT_INTERVAL

    def side_by_side(self, frame: FusedFrame) -> np.ndarray:
        """Thermal | RGB | fused on the visible grid, uint8 H×3W×3 BGR; black where a camera is missing."""
        nothing = np.zeros_like(frame.fused)
        registered = nothing if frame.pair is None else frame.pair.registered
        visible = nothing if frame.visible is None else frame.visible
        return cv2.hconcat([as_bgr(image) for image in (registered, visible, frame.fused)])

    def spots(self, frame: FusedFrame) -> tuple[list[HotSpot], str]:
        """The hot spots of a frame on the visible grid, and the unit of their peaks: °C, or empty for the camera's own.

        Peaks are those of the thermal image itself: what is interpolated would be colder where a spot is small.
        """
        if frame.hot_spots is None or frame.pair is None:
            return [], ""
        largest = cv2.dilate(frame.pair.counts.astype(np.float32), np.ones((3, 3), np.uint8))
        counts = self._registered(frame, largest, frame.pair.visible_y.shape)
        found, radiometry = find_spots(frame.hot_spots, counts), frame.settings.radiometry()
        if radiometry is None:
            return found, ""
        return [replace(spot, peak=float(radiometry.celsius(spot.peak))) for spot in found], "°C"

    def celsius(self, frame: FusedFrame, x: float, y: float) -> float:
        """Temperature under a point of the fused image, °C, between the four nearest thermal pixels.

        Args:
            x, y: px; the middle of the first pixel is (0, 0).

        Raises:
            InputError: the point is outside, or there is no temperature, and why.
        """
        radiometry, pair = frame.settings.radiometry(), frame.pair
        if radiometry is None:
            raise InputError("what thermal values mean is not known; set radiometry.kind")
        if pair is None:
            raise InputError("this image has no thermal part")
        height, width = pair.visible_y.shape
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            raise InputError(f"({x:g}, {y:g}) is outside of the image of {width}×{height} pixels")
        place = (math.floor(y + 0.5), math.floor(x + 0.5))
        if pair.outside is not None and pair.outside.outside[place]:
            raise InputError(f"the thermal camera does not see ({x:g}, {y:g})")
        counts = self._registered(frame, pair.counts.astype(np.float32), (height, width))
        celsius = float(radiometry.celsius(float(counts[place])))
        if not math.isfinite(celsius):
            raise InputError(f"the value {counts[place]:g} at ({x:g}, {y:g}) has no temperature by radiometry.planck")
        return celsius

    def _registered(self, frame: Frame, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        with self._preparing:
            return frame.registration.apply(values, shape)[0]

    def close(self) -> None:
        """Free the models."""
        self._opened.close()


def as_bgr(image: np.ndarray) -> np.ndarray:
    """Grey H×W as H×W×3; BGR as it is."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
