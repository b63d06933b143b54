"""TensorRT: engines from the cache or built now, run through cuda-python, without torch."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ivif_core.backends.cuda import Cuda, CudaError, compute_capability, device_count
from ivif_core.backends.runner import Feeds, Outputs, Port, Runner
from ivif_core.backends.tensorrt.builder import (
    Progress,
    build_engine,
    built_precision,
    describe,
    make_logger,
)
from ivif_core.backends.tensorrt.engine_cache import EngineCache, key_of
from ivif_core.backends.tensorrt.engine_options import EngineOptions
from ivif_core.backends.tensorrt.library import Gpu, Library, choose
from ivif_core.backends.tensorrt.slot import Slot, types_of
from ivif_core.errors import BackendUnavailable, InputError, ModelError
from ivif_core.files.installation import install_command
from ivif_core.models.variants import typed_model

_LOG = logging.getLogger(__name__)


class TensorRtRunner(Runner):
    """Runs the model as a TensorRT engine; opening it may build that engine, which may take minutes.

    `run` gives the lowest latency; `run_many` overlaps the copies of one pair with the work on another.
    """

    name: ClassVar[str] = "tensorrt"
    requirement: ClassVar[str] = (
        "an NVIDIA GPU with cuda-python and TensorRT: on Jetson 8.6 or later from JetPack, on a desktop "
        f"{install_command('tensorrt-rtx')}; see docs/jetson.md"
    )

    def __init__(
        self,
        model: str | Path,
        *,
        threads: int | None = None,
        engine: EngineOptions | None = None,
        progress: Progress | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        """
        Args:
            model, threads, engine: see `Runner`.
            progress, cancelled: see `build_engine`.
        """
        super().__init__(model, threads=threads, engine=engine)
        self._progress = progress
        self._cancelled = cancelled

    @classmethod
    def why_unavailable(cls) -> str | None:
        try:
            choose("auto")
            choose("auto", compute_capability())
        except (BackendUnavailable, CudaError) as error:
            return str(error)
        return None

    def why_it_cannot_build(self) -> str | None:
        """None where `build` can make the engine here, with or without a GPU, else why not."""
        try:
            self._library()
            self.plan()
        except BackendUnavailable as error:
            return str(error)
        return None

    def build(self) -> dict[str, Any]:
        """Make sure that the engine is in the cache, without loading it; returns all that it depends on.

        Raises:
            ModelError, BackendUnavailable, BuildCancelled: as `builder.build_engine`.
        """
        self._set_up()
        self._plan_bytes(lambda plan: True)
        return self.plan()[1]

    def _library(self) -> Library:
        """The library to use with the GPU that is there; one that builds ahead needs none."""
        gpu = self._gpu()
        library = choose(self.engine.library, gpu[1] if gpu else None)
        if gpu is None and not library.builds_ahead:
            device_count()  # says why there is none
        return library

    def _gpu(self) -> Gpu | None:
        try:
            device_count()
        except BackendUnavailable:
            return None
        cuda = Cuda(self.engine.device)
        return cuda.name, cuda.compute_capability

    def plan(self) -> tuple[str, dict[str, Any]]:
        """Cache key of the engine that `open` would use, and all that it depends on; builds nothing."""
        library = self._library()
        model, types = typed_model(self.model, self.engine.precision)
        of = describe(library, library.load(), self._gpu(), model.read_bytes(), types, self.engine)
        return key_of(of), {"file": model.name, **of}

    def needs_build(self) -> bool:
        return self._cache().load(self.plan()[0]) is None

    def _open(self) -> tuple[dict[str, Port], dict[str, Port]]:
        self._cuda = Cuda(self.engine.device)
        self._set_up()
        if reason := self._lib.why_not_on(self._cuda.compute_capability):
            raise BackendUnavailable(reason)
        trt = self._trt
        runtime = trt.Runtime(self._logger)
        if self.engine.version_compatible:
            runtime.engine_host_code_allowed = True
        if self.engine.dla_core is not None:
            runtime.DLA_core = self.engine.dla_core
        engine = self._engine(runtime)
        self._key = self.plan()[0]
        self._compiled = self._cache().compiled(self._key)
        self._config = self._lib.runtime_config(trt, engine, self._compiled)
        ports, self._limits = _read_engine(trt, engine)
        self._runtime = runtime
        self._slots = [self._slot(engine)]
        return ports

    def _set_up(self) -> None:
        self._lib = self._library()
        self._trt = self._lib.load()
        self._logger = make_logger(self._trt)

    def _cache(self) -> EngineCache:
        return EngineCache(self.engine.cache, self.engine.cache_limit_bytes)

    def _slot(self, engine: Any) -> Slot:
        return Slot(self._cuda, self._trt, engine, self._config, captures=not self._lib.captures_itself)

    def _engine(self, runtime: Any) -> Any:
        found: list[Any] = []

        def accept(plan: bytes) -> bool:
            engine = runtime.deserialize_cuda_engine(plan)
            found[:] = [] if engine is None else [engine]
            return engine is not None

        plan = self._plan_bytes(accept)
        if not found and not accept(plan):
            raise ModelError(f"TensorRT cannot load the engine that it built: {self._logger.last_errors()}")
        return found[0]

    def _plan_bytes(self, accept: Callable[[bytes], bool]) -> bytes:
        """The engine, from the cache or built now."""
        cache = self._cache()
        key, of = self.plan()
        model, types = typed_model(self.model, self.engine.precision)
        self._precision = built_precision(self._trt, types, self.engine.precision)
        timings = f"{of['tensorrt']}-{of['gpu']}".replace(" ", "_").replace("/", "_")

        def build() -> bytes:
            _LOG.warning("building a TensorRT engine from %s; this takes seconds to minutes", model.name)
            engine, measured = build_engine(
                self._lib,
                self._trt,
                self._gpu(),
                model.read_bytes(),
                types,
                self.engine,
                logger=self._logger,
                timings=cache.timing(timings),
                progress=self._progress,
                cancelled=self._cancelled,
            )
            if measured:
                cache.store_timing(timings, measured)
            return engine

        return cache.get(key, build, of=of, accept=accept, cancelled=self._cancelled)

    def _run(self, feeds: Feeds) -> Outputs:
        self._cuda.use()
        feeds, size = self._fit(feeds)
        self._slots[0].submit(feeds)
        return self._cropped(self._slots[0].collect(), size)

    def run_many(self, feeds: Iterable[Feeds]) -> Iterator[Outputs]:
        self.open()
        if len(self._slots) == 1:
            self._slots.append(self._slot(self._slots[0].engine))
        pending: list[tuple[Slot, tuple[int, int]]] = []
        try:
            for index, feed in enumerate(feeds):
                self._cuda.use()
                fitted, size = self._fit(feed)
                slot = self._slots[index % 2]
                slot.submit(fitted)
                pending.append((slot, size))
                if len(pending) == 2:
                    slot, size = pending.pop(0)
                    yield self._cropped(slot.collect(), size)
            while pending:
                slot, size = pending.pop(0)
                yield self._cropped(slot.collect(), size)
        finally:  # after an error or an abandoned iteration the next submit must not overwrite images in flight
            for slot, _ in pending:
                slot.wait()

    def _fit(self, feeds: Feeds) -> tuple[Feeds, tuple[int, int]]:
        """Images within the engine's sizes, smaller ones continued at their borders, and the size they came in."""
        smallest, largest = self._limits
        height, width = size = feeds["infrared"].shape[2:]
        if height > largest[0] or width > largest[1]:
            raise InputError(
                f"images of {width}×{height} are larger than the TensorRT engine's {largest[1]}×{largest[0]}: "
                f"build one with `ivif engines build --max {width}x{height}` or set the maximum engine size"
            )
        missing = (max(smallest[0] - height, 0), max(smallest[1] - width, 0))
        if any(missing):
            rows, columns = ((0, length) for length in missing)
            border = {"infrared": ((0, 0), (0, 0), rows, columns), "visible": ((0, 0), (0, 0), rows, columns)}
            if _interleaved(feeds["visible"].shape):
                border["visible"] = ((0, 0), rows, columns, (0, 0))
            feeds = {
                name: np.pad(feed, border[name], "edge") if name in border else feed for name, feed in feeds.items()
            }
        return feeds, size

    def _cropped(self, outputs: Outputs, size: tuple[int, int]) -> Outputs:
        rows, columns = slice(size[0]), slice(size[1])
        return {
            name: image[:, rows, columns] if _interleaved(image.shape) else image[:, :, rows, columns]
            for name, image in outputs.items()
        }

    def _close(self) -> None:
        self._cuda.use()
        with contextlib.ExitStack() as stack:
            for slot in self._slots:
                stack.callback(slot.close)
            if self._config is not None:
                compiled = self._lib.compiled(self._config)
                if compiled != self._compiled:
                    self._cache().store_compiled(self._key, compiled)
        del self._slots, self._config, self._runtime

    def describe(self) -> str:
        return f"{self._lib.name} {self._trt.__version__} ({self._cuda.name}, {self._precision})"


def _read_engine(
    trt: Any, engine: Any
) -> tuple[tuple[dict[str, Port], dict[str, Port]], tuple[tuple[int, int], tuple[int, int]]]:
    """(inputs, outputs), and the smallest and largest (height, width) of images."""
    inputs: dict[str, Port] = {}
    outputs: dict[str, Port] = {}
    for name, dtype in types_of(trt, engine).items():
        shape = tuple(None if axis < 0 else int(axis) for axis in engine.get_tensor_shape(name))
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        (inputs if is_input else outputs)[name] = Port(dtype.name, shape)
    if "infrared" not in inputs:
        raise ModelError(f"expected an input infrared, the engine takes {', '.join(inputs)}")
    sizes = engine.get_tensor_profile_shape("infrared", 0)
    return (inputs, outputs), ((sizes[0][2], sizes[0][3]), (sizes[2][2], sizes[2][3]))


def _interleaved(shape: tuple[int, ...]) -> bool:
    """Whether images are N×H×W×3."""
    return shape[-1] == 3
