"""Anybody's fusion network (ONNX) with random images, to time it beside ours."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from ivif_core.errors import BackendUnavailable, ModelError

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


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
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise BackendUnavailable("onnxruntime is not installed; pip install onnxruntime") from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as our own
        try:
            self._session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own, undocumented types
            raise ModelError(f"onnxruntime cannot load {path}: {error}") from error
        random = np.random.default_rng(0)
        self._feeds = {i.name: _fill(i, size, random, str(path)) for i in self._session.get_inputs()}
        try:
            self.run()
        except Exception as error:
            shapes = {name: feed.shape for name, feed in self._feeds.items()}
            raise ModelError(f"{path} does not run on {shapes}: {error}") from error

    def run(self) -> float:
        """Run once; seconds."""
        started = time.perf_counter()
        self._session.run(None, self._feeds)
        return time.perf_counter() - started

    def describe(self) -> str:
        """Runtime, version and device."""
        import onnxruntime as ort

        return f"onnxruntime {ort.__version__} (CPU)"

    def close(self) -> None:
        """Free the model's memory."""
        self._session = None


def _fill(port: Any, size: tuple[int, int], random: np.random.Generator, path: str) -> np.ndarray:
    """Random values in the shape that an input takes."""
    dtype = _DTYPES.get(port.type)
    if dtype is None:
        raise ModelError(f"{path}: input {port.name} is {port.type}; known are {', '.join(_DTYPES)}")
    axes = list(port.shape)
    shape = [axis if isinstance(axis, int) else 1 for axis in axes]
    if len(axes) == 4:
        for place, wanted in ((2, size[1]), (3, size[0])):
            if isinstance(axes[place], int) and axes[place] != wanted:
                raise ModelError(
                    f"{path}: input {port.name} takes {axes[3]}×{axes[2]} only, not {size[0]}×{size[1]}; "
                    "name that size with --sizes, or export it with open height and width"
                )
            shape[place] = wanted
    values = random.random(shape)
    return values.astype(dtype) if np.issubdtype(dtype, np.floating) else (values * 255).astype(dtype)
