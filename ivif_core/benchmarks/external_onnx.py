"""Anybody's fusion network (ONNX) with random images, to time it beside ours."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ivif_core.backends.onnxruntime import OnnxRuntimeRunner
from ivif_core.backends.runner import Port
from ivif_core.errors import BackendUnavailable, ModelError
from ivif_core.models import read_metadata

_DTYPES = ("float32", "float16", "float64", "uint8", "int32", "int64")


class ForeignNetwork:
    """Runs in ONNX Runtime as our own models do, whatever its inputs are called.

    Inputs of four axes are taken for images N×C×H×W and are given the size asked for where the model leaves it open;
    all other axes that are open become 1. Floats are in [0, 1].
    """

    def __init__(self, path: str | Path, size: tuple[int, int], *, threads: int | None = None) -> None:
        """
        Args:
            size: width, height.

        Raises:
            BackendUnavailable: no ONNX Runtime.
            ModelError: the file does not load, takes only another size, or does not run on such inputs.
        """
        if reason := OnnxRuntimeRunner.why_unavailable():
            raise BackendUnavailable(f"{reason}; {OnnxRuntimeRunner.requirement}")
        read_metadata(path)  # refuses what could run for ever
        self._runner = OnnxRuntimeRunner(path, threads=threads).open()
        random = np.random.default_rng(0)
        try:
            self._feeds = {name: _fill(name, port, size, random, path) for name, port in self._runner.inputs.items()}
            self.run()
        except ModelError:
            self.close()
            raise

    def run(self) -> float:
        """Run once; seconds."""
        started = time.perf_counter()
        self._runner.run(self._feeds)
        return time.perf_counter() - started

    def describe(self) -> str:
        """Runtime, version and device."""
        return self._runner.describe()

    def close(self) -> None:
        """Free the model's memory."""
        self._runner.close()


def _fill(name: str, port: Port, size: tuple[int, int], random: np.random.Generator, path: str | Path) -> np.ndarray:
    """Random values in the shape that an input takes."""
    if port.dtype not in _DTYPES:
        raise ModelError(f"{path}: input {name} is {port.dtype}; known are {', '.join(_DTYPES)}")
    axes = port.shape or ()
    shape = [1 if axis is None else axis for axis in axes]
    if len(axes) == 4:
        for place, wanted in ((2, size[1]), (3, size[0])):
            if axes[place] not in (None, wanted):
                raise ModelError(
                    f"{path}: input {name} takes {axes[3]}×{axes[2]} only, not {size[0]}×{size[1]}; "
                    "name that size with --sizes, or export it with open height and width"
                )
            shape[place] = wanted
    values = random.random(shape)
    return values.astype(port.dtype) if port.dtype.startswith("float") else (values * 255).astype(port.dtype)
