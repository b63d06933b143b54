"""`Fuser`: the one door to fusion for every caller — node, command line, bags, Python."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from ivif_core import backends
from ivif_core.backends import EngineOptions
from ivif_core.imaging import colour
from ivif_core.models import resolve_model
from ivif_core.registration.base import Registration, Resize, onto_visible
from ivif_core.thermal.scaling import PercentileScaling, ThermalScaling, to_intensity

DEFAULT_VIVIDNESS = 0.5

_MOST_WORKERS = 4
"""Each holds the network's memory once more; one thread that decodes hardly feeds more."""


class Fuser:
    """Fuses infrared and visible images with one model on one backend.

    Attributes:
        vividness: 0 faithful to both sources … 1 language-driven; may be changed between two calls.
        scaling, registration: may be replaced between two calls.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        backend: str = "auto",
        *,
        vividness: float = DEFAULT_VIVIDNESS,
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
            scaling: how infrared that is not uint8 becomes intensity; None: percentiles of each image by itself.
            registration: how infrared comes onto the visible grid; None: resize.
            threads: CPU threads; None leaves the choice to the runtime.
            engine, wait_for_engine: see `ivif_core.backends.create`.

        Raises:
            ModelError, BackendUnavailable, ConfigError: as `ivif_core.backends.create`.
        """
        self.vividness = vividness
        self.scaling = scaling or PercentileScaling(smoothing=0.0)
        self.registration = registration or Resize()
        self.model = resolve_model(model)
        self.backend = backends.create(
            backend, self.model, threads=threads, engine=engine, wait_for_engine=wait_for_engine
        )

    def fuse(self, infrared: np.ndarray, visible: np.ndarray, *, grey: bool = False) -> np.ndarray:
        """Fuse one pair.

        Args:
            infrared: H×W of any size: uint8 intensity, float intensity in [0, 1] or uint16 counts (see `intensity`).
            visible: uint8, H×W×3 BGR or H×W grey, at least 32×32.
            grey: give fused luminance only.

        Returns:
            uint8 of the visible's shape (H×W where `grey`), a new array.

        Raises:
            InputError: wrong type, shape or size.
        """
        visible = colour.check_visible(visible)
        visible_y = colour.luminance(visible)
        registered = self.register(self.intensity(infrared), visible_y)
        if self.backend.signature.colour and visible.ndim == 3 and not grey:
            return self.backend.infer(registered, visible, self.vividness).copy()
        fused_y = self.fuse_luminance(registered, visible_y)
        if grey or visible.ndim == 2:
            return fused_y.copy()
        return colour.recompose(fused_y, visible, visible_y)

    def intensity(self, infrared: np.ndarray) -> np.ndarray:
        """Infrared as uint8 intensity: uint8 as it is, float times 255, counts through `scaling`.

        Raises:
            InputError: wrong type or shape, or float intensity outside [0, 1].
        """
        return to_intensity(infrared, self.scaling)

    def register(self, intensity: np.ndarray, visible_y: np.ndarray) -> np.ndarray:
        """Intensity on the visible grid; where the thermal camera does not see, the visible luminance stands in."""
        return onto_visible(self.registration, intensity, visible_y)

    def fuse_luminance(self, registered: np.ndarray, visible_y: np.ndarray) -> np.ndarray:
        """Fused luminance (uint8 H×W, valid until the next call) of a registered pair of that size."""
        if not self.backend.signature.colour:
            return self.backend.infer(registered, visible_y, self.vividness)
        fused = self.backend.infer(registered, cv2.cvtColor(visible_y, cv2.COLOR_GRAY2BGR), self.vividness)
        return np.ascontiguousarray(fused[:, :, 0])

    @contextmanager
    def workers(self) -> Iterator[list[Fuser]]:
        """Fusers that share this one's threads and fuse a pair each at the same time, for recordings.

        More pairs a second, each of them later. Backends that gain nothing by it give this fuser alone. `scaling` is
        shared and follows the frames, so give the workers intensity.
        """
        threads = self.backend.threads or len(os.sched_getaffinity(0))
        count = min(threads, _MOST_WORKERS) if self.backend.name in backends.ON_CPU else 1
        if count == 1:
            yield [self]
            return
        with ExitStack() as stack:
            fusers = [
                Fuser(
                    self.model,
                    self.backend.name,
                    vividness=self.vividness,
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
