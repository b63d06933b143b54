"""Fusing on a fallback while the engine of the wanted backend is built, and the swap between two frames."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator

import numpy as np

from ivif_core.backends.student_model import StudentModel
from ivif_core.backends.tensorrt.engine_options import build_arguments
from ivif_core.errors import IvifError

_LOG = logging.getLogger(__name__)
_RUN_IVIF = "import sys; from ivif_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
_END_S = 1.0


class DeferredModel(StudentModel):
    """Starts on `fallback` at once; `wanted` takes over when its engine is in the cache and loaded.

    The build is a process of its own: it can be ended at any moment whatever TensorRT does, its crash harms nobody, and
    its result is the cached engine. Where it fails the fallback stays, and `describe` says why.
    """

    def __init__(self, wanted: StudentModel, fallback: StudentModel) -> None:
        """
        Args:
            wanted: not open; one that `needs_build`.
            fallback: not open; usable at once.
        """
        super().__init__(wanted.kind, wanted.model, threads=wanted.threads, engine=wanted.engine)
        self.name = "deferred"
        self._wanted = wanted
        self._fallback = self._current = fallback

    @property
    def current(self) -> StudentModel:
        """The model in the backend that the last `infer` used."""
        return self._current

    @property
    def device_seconds(self) -> float | None:
        return self._current.device_seconds

    def open(self) -> DeferredModel:
        if self._is_open:
            return self
        self._take(self._fallback.open())
        self._state = "an engine is built"
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._prepare, name="engine build", daemon=True)
        self._is_open = True
        self._thread.start()
        return self

    def infer(self, infrared: np.ndarray, visible: np.ndarray, vividness: float, aim: str = "") -> np.ndarray:
        """As `StudentModel.infer`, on the wanted backend from the first call after it got ready."""
        self.open()
        self._swap_when_ready()
        fused = self._current.infer(infrared, visible, vividness, aim)
        self.run_seconds = self._current.run_seconds
        return fused

    def infer_many(
        self, pairs: Iterable[tuple[np.ndarray, np.ndarray]], vividness: float, aim: str = ""
    ) -> Iterator[np.ndarray]:
        """As `StudentModel.infer_many`, all of them on the backend that is in use at the start."""
        self.open()
        self._swap_when_ready()
        return self._current.infer_many(pairs, vividness, aim)

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        with self._lock:
            self._closing.set()
            if self._child is not None:
                self._child.kill()  # at once, in the middle of a step too; the next build removes what it leaves
        self._thread.join(_END_S)  # one that loads an engine just now closes it by itself
        self._swap_when_ready()
        self._current.close()

    def describe(self) -> str:
        if self._current is self._wanted:
            return self._wanted.describe()
        return f"{self._current.describe()} in place of {self._wanted.name}: {self._state}"

    def _swap_when_ready(self) -> None:
        if self._ready.is_set():
            self._ready.clear()
            self._current.close()
            self._take(self._wanted)
            _LOG.warning("from now on with %s", self._wanted.describe())

    def _take(self, current: StudentModel) -> None:
        self._current = current
        self.signature, self.file, self.metadata = current.signature, current.file, current.metadata

    def _prepare(self) -> None:
        """The thread: build in a child process, load here, and report."""
        try:
            failure = self._build()
            if failure is None and not self._closing.is_set():
                self._wanted.open()
                wanted, fallback = self._wanted.signature, self._fallback.signature
                if (wanted.colour, wanted.aims) != (fallback.colour, fallback.aims):
                    failure = "its model variant is not of the same kind (colour, aims) as the fallback's"
                    self._wanted.close()
        except Exception as error:  # of a runtime's own too: the fallback stays, and says why
            failure = str(error) if isinstance(error, IvifError) else f"{type(error).__name__}: {error}"
        with self._lock:
            if self._closing.is_set():
                self._wanted.close()
            elif failure is None:
                self._ready.set()
            else:
                self._state = failure
                _LOG.warning("no %s, the fallback stays: %s", self._wanted.name, failure)

    def _build(self) -> str | None:
        """Run `ivif engines build`; returns its complaint, or None where the engine is in the cache."""
        with self._lock:
            if self._closing.is_set():
                return None
            command = [sys.executable, "-c", _RUN_IVIF, *build_arguments(self._wanted.model, self._wanted.engine)]
            self._child = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
            )
        line = "it says nothing"
        with self._child as child:
            for line in child.stdout or ():
                line = line.strip()
                self._state = f"an engine is built: {line}"
        return None if child.returncode == 0 else f"the build ended with {child.returncode}: {line}"
