"""What every runtime adapter is: a model file, and `run(feeds) -> outputs`. It knows nothing of images.

The base owns lifecycle and errors; a runtime fills in three hooks and imports its library in them.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TypeVar

import numpy as np

from ivif_core.backends.memory_guard import within_available_memory
from ivif_core.backends.tensorrt.engine_options import EngineOptions
from ivif_core.errors import InputError, IvifError, ModelError

Feeds = Mapping[str, np.ndarray]
Outputs = dict[str, np.ndarray]

_LONGEST_REASON = 300  # characters; runtimes print whole graphs
_Self = TypeVar("_Self", bound="Runner")


@dataclass(frozen=True)
class Port:
    """An input or an output of a model.

    Attributes:
        dtype: as NumPy names it, or as the runtime does where NumPy has no such type.
        shape: lengths of the axes, None for an open one; None: the runtime does not say how many there are.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


class Runner(ABC):
    """One model file in one runtime.

    Use it as a context manager, or call `open` and `close`; both may be called twice. Not thread-safe: one caller at
    a time.

    Attributes:
        inputs, outputs: ports by name, once open.
    """

    name: ClassVar[str]
    requirement: ClassVar[str]
    """What to install to have this runtime, as the error says it."""
    takes_maps: ClassVar[bool] = False
    """Whether the student's form for CPUs, `student_maps.onnx`, is the faster one here."""
    on_cpu: ClassVar[bool] = False
    """Whether it works in main memory, which a broken model must not exhaust."""

    def __init__(self, model: str | Path, *, threads: int | None = None, engine: EngineOptions | None = None) -> None:
        """
        Args:
            model: an ONNX file.
            threads: CPU threads; None leaves the choice to the runtime.
            engine: GPU, precision and sizes for the runtimes that build an engine; None: the defaults.
        """
        self.model = Path(model)
        self.threads = threads
        self.engine = engine or EngineOptions()
        self.inputs: dict[str, Port] = {}
        self.outputs: dict[str, Port] = {}
        self._is_open = False
        self._shapes: object = None

    @classmethod
    @abstractmethod
    def why_unavailable(cls) -> str | None:
        """None where the runtime is installed and usable, else one line that says why not. Imports little."""

    @abstractmethod
    def _open(self) -> tuple[dict[str, Port], dict[str, Port]]:
        """Load the model; returns inputs and outputs, raises whatever the runtime raises."""

    @abstractmethod
    def _run(self, feeds: Feeds) -> Outputs:
        """Run once on contiguous inputs."""

    @abstractmethod
    def _close(self) -> None:
        """Free what `_open` and `_run` took. Called once for each successful `_open`."""

    def needs_build(self) -> bool:
        """Whether `open` would have to build an engine first, which takes seconds to minutes."""
        return False

    def describe(self) -> str:
        """Runtime, version and device in one line, for logs and diagnostics."""
        return self.name

    @property
    def device_seconds(self) -> float | None:
        """What the device took for the last `run`, without copies; None where the runtime does not measure it."""
        return None

    def open(self: _Self) -> _Self:
        """Load the model.

        Raises:
            ModelError: the file is missing or broken, or the runtime cannot load it.
            BackendUnavailable, CudaError: the device lacks what is needed.
        """
        if not self._is_open:
            with self._said("load"), self._guarded():
                self.inputs, self.outputs = self._open()
            self._is_open = True
        return self

    def run(self, feeds: Feeds, *, memory: int | None = None) -> Outputs:
        """Run once.

        Args:
            feeds: input name -> contiguous array of the port's type.
            memory: bytes that a first run of these shapes may take on the CPU; None: all that there are.

        Returns:
            Output name -> array, valid until the next call.

        Raises:
            InputError: an input is missing, or one too many, or its shape is not taken.
            ModelError: the model does not run on them, or needs more memory than there is.
        """
        self.open()
        if feeds.keys() != self.inputs.keys():
            raise InputError(f"{self.model.name} takes {', '.join(self.inputs)}; got {', '.join(feeds)}")
        shapes = [feed.shape for feed in feeds.values()]
        with self._said("run"):
            if shapes == self._shapes:
                return self._run(feeds)
            with self._guarded(memory):  # memory is taken at the first run of a shape
                outputs = self._run(feeds)
        self._shapes = shapes
        return outputs

    def run_many(self, feeds: Iterable[Feeds]) -> Iterator[Outputs]:
        """`run` over a sequence, in order; a runtime that can overlap the work on two of them does it here."""
        return map(self.run, feeds)

    def close(self) -> None:
        """Free the model's memory."""
        if self._is_open:
            self._is_open = False
            self._shapes = None
            self._close()

    def __enter__(self: _Self) -> _Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _guarded(self, memory: int | None = None) -> contextlib.AbstractContextManager[None]:
        return within_available_memory(memory) if self.on_cpu else contextlib.nullcontext()

    @contextlib.contextmanager
    def _said(self, doing: str) -> Iterator[None]:
        """Turns what a runtime raises into one line."""
        try:
            yield
        except IvifError:
            raise
        except Exception as error:  # runtimes raise their own, undocumented types
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"{self.name} cannot {doing} {self.model}: {reason[:_LONGEST_REASON]}") from error
