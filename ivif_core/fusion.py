"""`Fuser`: the one door to fusion for every caller — node, command line, bags, Python."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from ivif_core import backends
from ivif_core.backends import EngineOptions
from ivif_core.errors import ConfigError
from ivif_core.imaging import colour
from ivif_core.imaging.palette import DEFAULT_WARM, paint
from ivif_core.models import resolve_model
from ivif_core.registration.base import Registration, Resize
from ivif_core.registration.blending import StandIn
from ivif_core.thermal.scaling import PercentileScaling, ThermalScaling, scaled

DEFAULT_VIVIDNESS = 0.0
"""Where a stock detector finds most in fused images (docs/student.md)."""

_MOST_WORKERS = 4
"""For recordings: each holds the network's memory once more; one thread that decodes hardly feeds more."""


@dataclass(frozen=True)
class Prepared:
    """One pair on the visible grid, ready for the network.

    Attributes:
        intensity: uint8 h×w, the scaled infrared on its own grid.
        counts: h×w, what the camera measured, without bad pixels; the intensity where it sends that.
        registered: uint8 H×W, intensity on the visible grid; visible luminance where the thermal camera does not see.
        visible_y: uint8 H×W, visible luminance.
        visible: uint8 H×W×3 BGR or H×W grey, as it came.
        outside: where the thermal camera does not see; None: it sees everything.
    """

    intensity: np.ndarray
    counts: np.ndarray
    registered: np.ndarray
    visible_y: np.ndarray
    visible: np.ndarray
    outside: StandIn | None


def prepare(infrared: np.ndarray, visible: np.ndarray, scaling: ThermalScaling, registration: Registration) -> Prepared:
    """Scale and register one pair: all that is done before the network, once a frame, for every caller.

    Args:
        infrared: any size. uint8 H×W is intensity; uint8 H×W×3 is a thermal image in colour, of which the luminance is
            taken; uint16, float (counts, °C, kelvin; NaN where dead) and other integers go through `scaling`.
        visible: uint8, H×W×3 BGR or H×W grey.

    Raises:
        InputError: wrong type or shape.
    """
    visible = colour.check_visible(visible)
    counts, intensity = scaled(infrared, scaling)
    visible_y = colour.luminance(visible)
    registered, outside = registration.apply(intensity, visible_y.shape)
    if outside is not None:
        registered = outside.fill(registered, visible_y)
    return Prepared(intensity, counts, registered, visible_y, visible, outside)


class Fuser:
    """Fuses infrared and visible images with one model on one backend.

    Attributes:
        vividness: 0 faithful to both sources … 1 language-driven; may be changed between two calls.
        aim: name of one of the model's aims; empty: its first; may be changed between two calls.
        scaling, registration: may be replaced between two calls.
        colour, warm: of the fused images, as of `imaging.palette.paint`; may be changed between two calls.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        backend: str = "auto",
        *,
        vividness: float = DEFAULT_VIVIDNESS,
        aim: str = "",
        colour: str = "fused",
        warm: float = DEFAULT_WARM,
        scaling: ThermalScaling | None = None,
        registration: Registration | None = None,
        threads: int | None = None,
        engine: EngineOptions | None = None,
        wait_for_engine: bool = True,
    ) -> None:
        """
        Args:
            model: ONNX file; None takes the shipped student.
            backend: a name from `ivif_core.backends`, or 'auto' for the fastest that is installed.
            vividness: in [0, 1].
            aim: one of `aims`; empty: the first.
            colour, warm: as of `imaging.palette.paint`.
            scaling: how infrared that is not uint8 becomes intensity; None: percentiles of each image by itself.
            registration: how infrared comes onto the visible grid; None: resize.
            threads: CPU threads; None leaves the choice to the runtime.
            engine, wait_for_engine: see `ivif_core.backends.create`.

        Raises:
            ModelError, BackendUnavailable, ConfigError: as `ivif_core.backends.create`.
        """
        self.vividness, self.aim, self.colour, self.warm = vividness, aim, colour, warm
        self.scaling = scaling or PercentileScaling(smoothing=0.0)
        self.registration = registration or Resize()
        self.model = resolve_model(model)
        self.backend = backends.create(
            backend, self.model, threads=threads, engine=engine, wait_for_engine=wait_for_engine
        )
        try:
            self.check_aim(aim)
        except ConfigError:
            self.backend.close()
            raise

    @property
    def aims(self) -> tuple[str, ...]:
        """Names of the model's aims; empty: it has one, without a name."""
        return self.backend.signature.aims

    def check_aim(self, aim: str) -> None:
        """
        Raises:
            ConfigError: the model has no aim of that name.
        """
        self.backend.signature.index_of(aim)

    def prepare(self, infrared: np.ndarray, visible: np.ndarray) -> Prepared:
        """Scale and register one pair, as `prepare` does with this fuser's scaling and registration."""
        return prepare(infrared, visible, self.scaling, self.registration)

    def scale(self, infrared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Counts without bad pixels, and the uint8 intensity that `scaling` makes of them; uint8 is both as it is.

        The part of `prepare` that follows the frames: whoever prepares in several threads does it first, in order.

        Raises:
            InputError: wrong type or shape.
        """
        return scaled(infrared, self.scaling)

    def fuse(self, infrared: np.ndarray, visible: np.ndarray, *, grey: bool = False) -> np.ndarray:
        """Fuse one pair; arguments as of `prepare`, results as of `fuse_prepared`."""
        return self.fuse_prepared(self.prepare(infrared, visible), grey=grey)

    def fuse_prepared(self, pair: Prepared, *, grey: bool = False) -> np.ndarray:
        """Fuse a pair that `prepare` made.

        Args:
            grey: give fused luminance only.

        Returns:
            uint8 of the visible's shape (H×W where `grey`), a new array. In another `colour`: as `paint`.
        """
        if self.colour != "fused" and not grey:
            return self.paint(pair, self._fuse_plain(pair, grey=self.colour != "overlay"))
        return self._fuse_plain(pair, grey=grey)

    def paint(self, pair: Prepared, fused: np.ndarray) -> np.ndarray:
        """A fused image of a pair in this fuser's colour."""
        blind = None if pair.outside is None else pair.outside.touched
        return paint(fused, pair.registered, blind, self.colour, self.warm)

    def _fuse_plain(self, pair: Prepared, *, grey: bool) -> np.ndarray:
        if self.backend.signature.colour and pair.visible.ndim == 3 and not grey:
            return self.backend.infer(pair.registered, pair.visible, self.vividness, self.aim).copy()
        fused_y = self.fuse_luminance(pair.registered, pair.visible_y)
        if grey or pair.visible.ndim == 2:
            return fused_y.copy()
        return colour.recompose(fused_y, pair.visible, pair.visible_y)

    def fuse_luminance(self, registered: np.ndarray, visible_y: np.ndarray) -> np.ndarray:
        """Fused luminance (uint8 H×W, valid until the next call) of a registered pair of that size."""
        if not self.backend.signature.colour:
            return self.backend.infer(registered, visible_y, self.vividness, self.aim)
        fused = self.backend.infer(registered, cv2.cvtColor(visible_y, cv2.COLOR_GRAY2BGR), self.vividness, self.aim)
        return np.ascontiguousarray(fused[:, :, 0])

    @contextmanager
    def workers(self, most: int = _MOST_WORKERS) -> Iterator[list[Fuser]]:
        """Fusers that share this one's threads and fuse a pair each at the same time.

        More pairs a second, each of them later. Backends that gain nothing by it give this fuser alone. `scaling` is
        shared and follows the frames, so give the workers intensity, or pairs that this one prepared.

        Args:
            most: of them.
        """
        threads = self.backend.threads or len(os.sched_getaffinity(0))
        count = min(threads, most) if self.backend.name in backends.ON_CPU else 1
        if count == 1:
            yield [self]
            return
        with ExitStack() as stack:
            fusers = [
                Fuser(
                    self.model,
                    self.backend.name,
                    vividness=self.vividness,
                    aim=self.aim,
                    colour=self.colour,
                    warm=self.warm,
                    scaling=self.scaling,
                    registration=copy.copy(self.registration),  # it keeps tables of the last sizes
                    threads=threads // count,
                )
                for _ in range(count)
            ]
            for fuser in fusers:
                stack.enter_context(fuser)
            yield fusers

    def close(self) -> None:
        """Free the model's memory."""
        self.backend.close()

    def __enter__(self) -> Fuser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
