"""What every runtime adapter is: the base owns lifecycle, input checks and types; a backend fills in three hooks."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import numpy as np

from ivif_core.backends.engine_options import EngineOptions
from ivif_core.errors import InputError, IvifError, ModelError
from ivif_core.models import maps_form, read_metadata
from ivif_core.skeleton import Skeleton, reduction_of, statistics

MINIMUM_SIDE = 32


@dataclass(frozen=True)
class Signature:
    """What a loaded model takes.

    Attributes:
        uint8: images are uint8 0..255 in and out; otherwise float32 in [0, 1].
        vividness: the model has the run-time input `vividness`.
        colour: `visible` and `fused` are N×H×W×3 BGR with recomposition inside; otherwise N×1×H×W luminance.
        maps: the model takes statistics of the sources and gives maps, see `ivif_core.skeleton`.
    """

    uint8: bool
    vividness: bool
    colour: bool = False
    maps: bool = False


class Backend(ABC):
    """A runtime that maps (infrared, visible) luminance to fused luminance with one ONNX model.

    `run_seconds` is the time of the last `infer`, from 8-bit sources to the 8-bit fused image. `file` is the form of
    the model that is really loaded.

    Use it as a context manager, or call `open` and `close`; both may be called twice. Not thread-safe: one caller at
    a time.
    """

    name: ClassVar[str]
    requirement: ClassVar[str]
    """What to install to have this backend, as the error says it."""
    takes_maps: ClassVar[bool] = False
    """Whether the form for CPUs, `student_maps.onnx`, is taken where it lies beside `student_uint8.onnx`."""

    def __init__(self, model: str | Path, *, threads: int | None = None, engine: EngineOptions | None = None) -> None:
        """
        Args:
            model: an ONNX file that follows the contract in `ivif_core.models`.
            threads: CPU threads; None leaves the choice to the runtime.
            engine: GPU, precision and sizes for the backends that build an engine; None: the defaults.
        """
        self.model = self.file = Path(model)
        self.threads = threads
        self.engine = engine or EngineOptions()
        self.metadata: dict[str, str] = {}
        self.signature = Signature(uint8=False, vividness=False)
        self.run_seconds = 0.0
        self._skeleton: Skeleton | None = None
        self._is_open = False

    @classmethod
    @abstractmethod
    def why_unavailable(cls) -> str | None:
        """None where the runtime is installed and usable, else one line that says why not. Imports little."""

    @abstractmethod
    def _open(self) -> Signature:
        """Load the model; raise whatever the runtime raises."""

    @abstractmethod
    def _run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        """Run once on contiguous inputs of the signature's types; return `fused` as the model gives it."""

    @abstractmethod
    def _close(self) -> None:
        """Free what `_open` and `_run` took. Called once for each successful `_open`."""

    def needs_build(self) -> bool:
        """Whether `open` would have to build an engine first, which takes seconds to minutes."""
        return False

    def describe(self) -> str:
        """Runtime, version and device in one line, for logs and diagnostics."""
        return self.name

    def open(self) -> Backend:
        """Load the model.

        Raises:
            ModelError: the file is missing, broken, or does not follow the contract.
            BackendUnavailable, CudaError: the device lacks what is needed.
        """
        if self._is_open:
            return self
        self.metadata = read_metadata(self.model)
        if self.takes_maps:
            self.file = maps_form(self.model)
        elif self.metadata.get("ivif.form") == "maps":
            raise ModelError(
                f"{self.name} takes a whole network, and {self.model.name} is the form for CPUs; "
                "give the one with _uint8 in its name"
            )
        try:
            self.signature = self._open()
        except IvifError:
            raise
        except Exception as error:  # runtimes raise their own, undocumented types here
            raise ModelError(f"{self.name} cannot load {self.file}: {error}") from error
        self._is_open = True
        return self

    def close(self) -> None:
        """Free the model's memory."""
        if self._is_open:
            self._is_open = False
            self._close()

    def __enter__(self) -> Backend:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def infer(self, infrared: np.ndarray, visible: np.ndarray, vividness: float) -> np.ndarray:
        """Fuse one pair.

        Args:
            infrared: uint8 H×W intensity on the visible grid.
            visible: uint8 H×W luminance (H×W×3 BGR where `signature.colour`).
            vividness: 0 faithful to both sources … 1 language-driven; ignored by a model without that input.

        Returns:
            uint8 H×W (H×W×3 where `signature.colour`); valid until the next call.

        Raises:
            InputError: wrong type, shape, size or vividness.
        """
        self.open()
        started = time.perf_counter()
        fused = self._image(self._run(self._feeds(infrared, visible, vividness)), infrared, visible)
        self.run_seconds = time.perf_counter() - started
        return fused

    def infer_many(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]], vividness: float) -> Iterator[np.ndarray]:
        """Fuse a sequence of pairs in order, as fast as the runtime can rather than each as soon as possible.

        A runtime that overlaps work takes up to two pairs before it gives the first result.

        Args, Yields and Raises: as `infer`.
        """
        self.open()
        under_way: deque[tuple[np.ndarray, np.ndarray]] = deque()

        def feeds() -> Iterator[dict[str, np.ndarray]]:
            for pair in pairs:
                feed = self._feeds(*pair, vividness)
                under_way.append(pair)
                yield feed

        for output in self._run_many(feeds()):
            yield self._image(output, *under_way.popleft())

    def _run_many(self, feeds: Iterable[dict[str, np.ndarray]]) -> Iterator[np.ndarray]:
        """`_run` over a sequence; a runtime that can overlap the work on two of them does it here."""
        return map(self._run, feeds)

    def _feeds(self, infrared: np.ndarray, visible: np.ndarray, vividness: float) -> dict[str, np.ndarray]:
        """What the model takes, of 8-bit images."""
        self._check(infrared, visible, vividness)
        signature = self.signature
        if signature.maps:
            reduction = self._reduction(visible)
            feeds = {
                "statistics": np.concatenate([statistics(image, reduction) for image in (infrared, visible)])[None]
            }
        else:
            feeds = {
                "infrared": infrared[None, None],
                "visible": visible[None] if signature.colour else visible[None, None],
            }
            if not signature.uint8:
                scale = np.float32(1 / 255)
                feeds = {name: np.multiply(image, scale, dtype=np.float32) for name, image in feeds.items()}
            feeds = {name: np.ascontiguousarray(image) for name, image in feeds.items()}
        if signature.vividness:
            feeds["vividness"] = np.array([vividness], np.float32)
        return feeds

    def _image(self, output: np.ndarray, infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """The fused 8-bit image, of what the model gives for these sources."""
        if self.signature.maps:
            if self._skeleton is None or self._skeleton.shape != visible.shape:
                self._skeleton = Skeleton(visible.shape, self._reduction(visible))
            return self._skeleton.apply(infrared, visible, output[0])
        image = output[0]
        if not self.signature.uint8:
            image = np.clip(np.rint(image * np.float32(255)), 0, 255).astype(np.uint8)
        return image if self.signature.colour else image[0]

    def _reduction(self, visible: np.ndarray) -> int:
        """By how much the model sees the frame smaller; models of the first release see it as it is."""
        return reduction_of(visible.shape) if self.metadata.get("ivif.scene_scale") == "1" else 1

    def _check(self, infrared: np.ndarray, visible: np.ndarray, vividness: float) -> None:
        for name, image, ndim in (("infrared", infrared, 2), ("visible", visible, 3 if self.signature.colour else 2)):
            if image.dtype != np.uint8 or image.ndim != ndim:
                raise InputError(f"{name}: expected a uint8 array of {ndim} axes, got {image.dtype} {image.shape}")
        if infrared.shape != visible.shape[:2]:
            raise InputError(
                f"infrared {infrared.shape} and visible {visible.shape[:2]} differ: register infrared first"
            )
        if min(infrared.shape) < MINIMUM_SIDE:
            raise InputError(f"images of {infrared.shape} are too small: at least {MINIMUM_SIDE}×{MINIMUM_SIDE}")
        if not 0.0 <= vividness <= 1.0:
            raise InputError(f"vividness: expected a number in [0, 1], got {vividness}")


def signature_from_io(inputs: dict[str, tuple[str, int | None]], outputs: list[str]) -> Signature:
    """Read a model's signature from the names, element types and last axes of its inputs.

    Args:
        inputs: name -> (element type: 'uint8' or 'float32', length of the last axis or None where it is dynamic).
        outputs: names.

    Raises:
        ModelError: the names or types are not the contract's.
    """
    names = inputs.keys() - {"vividness"}
    if names == {"statistics"} and outputs == ["maps"]:
        return Signature(uint8=False, vividness="vividness" in inputs, maps=True)
    if names != {"infrared", "visible"} or outputs != ["fused"]:
        raise ModelError(
            f"expected inputs infrared, visible and optionally vividness, and the output fused; "
            f"got inputs {sorted(inputs)} and outputs {sorted(outputs)}"
        )
    kinds = {inputs["infrared"][0], inputs["visible"][0]}
    if kinds not in ({"uint8"}, {"float32"}):
        raise ModelError(f"expected images all uint8 or all float32, got {sorted(kinds)}")
    return Signature(uint8=kinds == {"uint8"}, vividness="vividness" in inputs, colour=inputs["visible"][1] == 3)
