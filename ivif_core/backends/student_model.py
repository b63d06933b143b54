"""`StudentModel`: 8-bit images in and out, whatever form of the student a runner has loaded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from ivif_core.backends.runner import Feeds, Outputs, Port, Runner
from ivif_core.backends.tensorrt.engine_options import EngineOptions
from ivif_core.errors import ConfigError, InputError, IvifError, ModelError, one_line, shown
from ivif_core.models import AIMS, aims_of, maps_form, read_metadata
from ivif_core.models.local_affine import MAPS, STATISTICS, Skeleton, reduction_of, statistics

MINIMUM_SIDE = 32
_PROBE = (MINIMUM_SIDE, 48)
"""Height and width of the pair that a model is tried on when it is opened; unequal, so that swapped axes are seen."""
_PROBE_BYTES = 512 << 20
"""Memory that this may take; the shipped student takes less than 1 MB for it, and runtimes reserve some beside."""

Pair = tuple[np.ndarray, np.ndarray]
_Self = TypeVar("_Self", bound="StudentModel")


@dataclass(frozen=True)
class Signature:
    """What a loaded model takes.

    Attributes:
        uint8: images are uint8 0..255 in and out; otherwise float32 in [0, 1].
        vividness: the model has the run-time input `vividness`.
        colour: `visible` and `fused` are N×H×W×3 BGR with recomposition inside; otherwise N×1×H×W luminance.
        maps: the model takes statistics of the sources and gives maps, see `ivif_core.models.local_affine`.
        aims: names of its aims, of which the run-time input `aim` chooses; empty: it has one, without a name.
    """

    uint8: bool
    vividness: bool
    colour: bool = False
    maps: bool = False
    aims: tuple[str, ...] = ()

    @property
    def output(self) -> str:
        """Name of the one output."""
        return "maps" if self.maps else "fused"

    def index_of(self, aim: str) -> int:
        """Which aim that is; the first one's name may be left empty.

        Raises:
            ConfigError: there is none of that name.
        """
        if not aim:
            return 0
        if aim not in self.aims:
            there = f"choose from {', '.join(self.aims)}" if self.aims else "it has one only, without a name"
            raise ConfigError(f"aim: the model has no {shown(aim)}; {there}")
        return self.aims.index(aim)


class StudentModel:
    """Maps (infrared, visible) luminance to fused luminance with one ONNX model that follows the contract.

    Attributes:
        model: the file asked for; `file` is the form of it that is really loaded.
        signature, metadata: of the loaded file, once open.
        run_seconds: time of the last `infer`, from 8-bit sources to the 8-bit fused image.

    Use it as a context manager, or call `open` and `close`; both may be called twice. Not thread-safe: one caller at
    a time.
    """

    def __init__(
        self,
        kind: type[Runner],
        model: str | Path,
        *,
        threads: int | None = None,
        engine: EngineOptions | None = None,
        **settings: Any,
    ) -> None:
        """
        Args:
            kind: the runtime.
            model: an ONNX file that follows the contract in `ivif_core.models`.
            threads, engine: see `Runner`.
            settings: what else that runner takes.
        """
        self.name = kind.name
        self.kind = kind
        self.model = self.file = Path(model)
        self.threads = threads
        self.engine = engine or EngineOptions()
        self.metadata: dict[str, str] = {}
        self.signature = Signature(uint8=False, vividness=False)
        self.run_seconds = 0.0
        self.runner = kind(self.model, threads=threads, engine=self.engine, **settings)
        self._skeleton: Skeleton | None = None
        self._is_open = False

    def needs_build(self) -> bool:
        """Whether `open` would have to build an engine first, which takes seconds to minutes."""
        return self.runner.needs_build()

    def describe(self) -> str:
        """Runtime, version and device in one line, for logs and diagnostics."""
        return self.runner.describe()

    @property
    def device_seconds(self) -> float | None:
        """See `Runner.device_seconds`."""
        return self.runner.device_seconds

    def open(self: _Self) -> _Self:
        """Load the model and try it on a small pair.

        Raises:
            ModelError: the file is missing, broken, or does not follow the contract.
            BackendUnavailable, CudaError: the device lacks what is needed.
        """
        if self._is_open:
            return self
        self.metadata = read_metadata(self.model)
        if self.kind.takes_maps:
            self.file = self.runner.model = maps_form(self.model)
        elif self.metadata.get("ivif.form") == "maps":
            raise ModelError(
                f"{self.name} takes a whole network, and {self.model.name} is the form for CPUs; "
                "give the one with _uint8 in its name"
            )
        self.runner.open()
        try:
            self.signature = signature_of(self.runner.inputs, self.runner.outputs, aims_of(self.metadata))
            if self.kind.on_cpu:  # elsewhere the first run of a size costs too much to be made twice
                visible = np.zeros((*_PROBE, 3) if self.signature.colour else _PROBE, np.uint8)
                pair = np.zeros(_PROBE, np.uint8), visible
                self._image(self.runner.run(self._feeds(*pair, 0.5), memory=_PROBE_BYTES), *pair)
        except IvifError:
            self.runner.close()
            raise
        self._is_open = True
        return self

    def close(self) -> None:
        """Free the model's memory."""
        if self._is_open:
            self._is_open = False
            self.runner.close()

    def __enter__(self: _Self) -> _Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def infer(self, infrared: np.ndarray, visible: np.ndarray, vividness: float, aim: str = "") -> np.ndarray:
        """Fuse one pair.

        Args:
            infrared: uint8 H×W intensity on the visible grid.
            visible: uint8 H×W luminance (H×W×3 BGR where `signature.colour`).
            vividness: 0 faithful to both sources … 1 language-driven; ignored by a model without that input.
            aim: one of `signature.aims`; empty: the first.

        Returns:
            uint8 H×W (H×W×3 where `signature.colour`); valid until the next call.

        Raises:
            InputError: wrong type, shape, size or vividness.
            ConfigError: no such aim.
            ModelError: the model does not run on this size, or what it gives is no image of it.
        """
        self.open()
        started = time.perf_counter()
        fused = self._image(self.runner.run(self._feeds(infrared, visible, vividness, aim)), infrared, visible)
        self.run_seconds = time.perf_counter() - started
        return fused

    def infer_many(self, pairs: Iterable[Pair], vividness: float, aim: str = "") -> Iterator[np.ndarray]:
        """Fuse a sequence of pairs in order, as fast as the runtime can rather than each as soon as possible.

        A runtime that overlaps work takes up to two pairs before it gives the first result.

        Args, Yields and Raises: as `infer`.
        """
        self.open()
        under_way: deque[Pair] = deque()

        def feeds() -> Iterator[Feeds]:
            for pair in pairs:
                feed = self._feeds(*pair, vividness, aim)
                under_way.append(pair)
                yield feed

        for outputs in self.runner.run_many(feeds()):
            yield self._image(outputs, *under_way.popleft())

    def _feeds(
        self, infrared: np.ndarray, visible: np.ndarray, vividness: float, aim: str = ""
    ) -> dict[str, np.ndarray]:
        """What the model takes, of 8-bit images."""
        self._check(infrared, visible, vividness)
        signature = self.signature
        index = signature.index_of(aim)
        if signature.maps:
            reduction = self._reduction(visible)
            seen = [statistics(image, reduction) for image in (infrared, visible)]
            feeds = {"statistics": np.concatenate(seen)[None]}
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
        if signature.aims:
            feeds["aim"] = np.array([index], np.int32)
        return feeds

    def _image(self, outputs: Outputs, infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """The fused 8-bit image, of what the model gives for these sources."""
        signature = self.signature
        output = outputs[signature.output]
        if signature.maps:
            if self._skeleton is None or self._skeleton.shape != visible.shape:
                self._skeleton = Skeleton(visible.shape, self._reduction(visible), self.threads)
            self._check_output(output, (1, *self._skeleton.maps_shape), np.float32)
            return self._skeleton.apply(infrared, visible, output[0])
        shape = (1, *visible.shape) if signature.colour else (1, 1, *visible.shape)
        self._check_output(output, shape, np.uint8 if signature.uint8 else np.float32)
        image = output[0]
        if not signature.uint8:
            image = np.clip(np.rint(image * np.float32(255)), 0, 255).astype(np.uint8)
        fused: np.ndarray = image if signature.colour else image[0]
        return fused

    def _reduction(self, visible: np.ndarray) -> int:
        """By how much the model sees the frame smaller; models of the first release see it as it is."""
        return reduction_of(visible.shape) if self.metadata.get("ivif.scene_scale") == "1" else 1

    def _check_output(self, output: np.ndarray, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        name = f"{self.file.name}: the output {self.signature.output}"
        if output.shape != shape or output.dtype != dtype:
            raise ModelError(
                f"{name} is {output.dtype} {output.shape} where {np.dtype(dtype)} {shape} belongs to these images; "
                "export the network again"
            )
        if dtype == np.float32:
            with np.errstate(over="ignore", invalid="ignore"):
                if not np.isfinite(output.sum()):  # one pass: NaN and infinity stay in a sum
                    raise ModelError(f"{name} has NaN or infinity; the network's weights are broken")

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


def signature_of(inputs: dict[str, Port], outputs: dict[str, Port], aims: tuple[str, ...] = ()) -> Signature:
    """Read a model's signature from its ports, and the names of its aims.

    Raises:
        ModelError: names, types or shapes are not the contract's; says which.
    """
    names = inputs.keys() - {"vividness", "aim"}
    if ("aim" in inputs) != bool(aims):
        raise ModelError(
            f"expected an input aim, and the metadata {AIMS}, or neither; got inputs {sorted(inputs)} "
            f"and the aims {', '.join(map(one_line, aims)) or 'of none'}"
        )
    if aims:
        _expect("aim", inputs["aim"], "int32", (1,))
    vividness = "vividness" in inputs
    if vividness:
        _expect("vividness", inputs["vividness"], "float32", (1,))
    if names == {"statistics"} and list(outputs) == ["maps"]:
        _expect("statistics", inputs["statistics"], "float32", (1, 2 * len(STATISTICS), None, None))
        _expect("maps", outputs["maps"], "float32", (1, len(MAPS), None, None))
        return Signature(uint8=False, vividness=vividness, maps=True, aims=aims)
    if names != {"infrared", "visible"} or list(outputs) != ["fused"]:
        raise ModelError(
            f"expected inputs infrared, visible, optionally vividness and aim, and the output fused; "
            f"got inputs {sorted(inputs)} and outputs {sorted(outputs)}"
        )
    kinds = {inputs["infrared"].dtype, inputs["visible"].dtype}
    if kinds not in ({"uint8"}, {"float32"}):
        raise ModelError(f"expected images all uint8 or all float32, got {sorted(kinds)}")
    (kind,) = kinds
    colour = (inputs["visible"].shape or ())[-1:] == (3,)
    grey: tuple[int | None, ...] = (1, 1, None, None)
    image = (1, None, None, 3) if colour else grey
    for name, port, shape in (
        ("infrared", inputs["infrared"], grey),
        ("visible", inputs["visible"], image),
        ("fused", outputs["fused"], image),
    ):
        _expect(name, port, kind, shape)
    return Signature(uint8=kind == "uint8", vividness=vividness, colour=colour, aims=aims)


def _expect(name: str, port: Port, dtype: str, shape: tuple[int | None, ...]) -> None:
    """An open axis may be any; one of a fixed length must be the contract's, and height and width must be open."""
    found = port.shape
    fits = found is None or (
        len(found) == len(shape)
        and all(axis is None or axis == wanted for axis, wanted in zip(found, shape, strict=True))
    )
    if port.dtype != dtype or not fits:
        wanted = "×".join("any" if axis is None else str(axis) for axis in shape)
        got = "an unknown shape" if found is None else "×".join("any" if a is None else str(a) for a in found)
        raise ModelError(
            f"expected {name} to be {dtype} {wanted}, got {port.dtype} {got or 'of no axes'}; "
            "export the network with open height and width"
        )
