"""How fast and how large: models × backends × image sizes on this machine, interleaved in one run."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ivif_core.backends import NAMES, ON_CPU, available
from ivif_core.benchmarks.external_onnx import ForeignNetwork
from ivif_core.benchmarks.roofline import copier, network_bytes
from ivif_core.errors import BackendUnavailable, IvifError, ModelError
from ivif_core.fusion import Fuser
from ivif_core.models import resolve_model

Size = tuple[int, int]
THERMAL_SIZE: Size = (640, 512)


@dataclass(frozen=True)
class Case:
    """What is timed: a model on a backend at a visible size (width, height)."""

    model: Path
    backend: str
    size: Size
    threads: int | None = None
    foreign: bool = False


@dataclass
class Result:
    """What was measured of a case; times in ms.

    Attributes:
        first: the first call, with whatever the runtime prepares in it; not among the samples.
        network: one sample a round, the runtime's call alone; of a GPU's with the copies to it and from it.
        on_device: the network on the GPU without these copies; empty for backends that do not tell.
        fuser: the whole of `Fuser.fuse`: 16-bit thermal of 640×512 to intensity, onto the visible grid, network,
            colour; empty for a foreign network.
        memory_mb: peak resident memory of a process that does nothing but this case; None where it cannot be read.
        bytes_moved: see `ivif_core.benchmarks.roofline`; 0 where that was not asked for.
        bandwidth: of a copy on the same device, bytes a second, one sample a round.
        file: name of the form of the model that was loaded: `student_maps.onnx` for the 8-bit one on CPUs.
        failure: why there are no numbers.
    """

    case: Case
    load: float = 0.0
    first: float = 0.0
    network: list[float] = field(default_factory=list)
    on_device: list[float] = field(default_factory=list)
    fuser: list[float] = field(default_factory=list)
    bytes_moved: int = 0
    bandwidth: list[float] = field(default_factory=list)
    memory_mb: float | None = None
    device: str = ""
    file: str = ""
    failure: str = ""

    @property
    def floor(self) -> float | None:
        """ms that the network would take if only memory counted; None where it was not measured."""
        return self.bytes_moved / float(np.median(self.bandwidth)) * 1e3 if self.bandwidth else None

    @property
    def over_floor(self) -> float | None:
        """How many times the floor the network's median is, on the device where that is known."""
        samples = self.on_device or self.network
        return float(np.median(samples)) / self.floor if self.floor and samples else None

    def summary(self) -> dict[str, Any]:
        """The result as plain values for JSON: medians, 5th, 95th and 99th percentiles."""
        return {
            "model": self.case.model.name,
            "file": self.file,
            "backend": self.case.backend,
            "size": list(self.case.size),
            "foreign": self.case.foreign,
            "device": self.device,
            "load_ms": round(self.load, 3),
            "first_ms": round(self.first, 3),
            "network_ms": quantiles(self.network),
            "on_device_ms": quantiles(self.on_device),
            "fuser_ms": quantiles(self.fuser),
            "memory_mb": self.memory_mb,
            "bytes_moved": self.bytes_moved or None,
            "copy_gb_per_second": round(float(np.median(self.bandwidth)) / 1e9, 2) if self.bandwidth else None,
            "floor_ms": None if self.floor is None else round(self.floor, 4),
            "over_floor": None if self.over_floor is None else round(self.over_floor, 3),
            "failure": self.failure or None,
        }


def quantiles(samples: Sequence[float]) -> dict[str, float] | None:
    """Median, 5th, 95th and 99th percentile (linear interpolation); None of nothing."""
    if not samples:
        return None
    values = np.percentile(samples, [50, 5, 95, 99])
    return {name: round(float(value), 3) for name, value in zip(("median", "p5", "p95", "p99"), values, strict=True)}


def sample_pair(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Thermal counts, uint16 512×640, and a visible image, uint8 H×W×3; smooth, the same in every run."""
    random = np.random.default_rng(0)

    def smooth(width: int, height: int, channels: int) -> np.ndarray:
        coarse = random.integers(0, 256, (max(2, height // 16), max(2, width // 16), channels), np.uint8)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    return smooth(*THERMAL_SIZE, 1).astype(np.uint16) * 16 + 20000, smooth(*size, 3)


class Sample(NamedTuple):
    """Seconds of one call: the network, the whole of `Fuser.fuse`, and the network on the GPU; None: there is none."""

    network: float
    whole: float | None = None
    on_device: float | None = None


def run_cases(
    cases: Sequence[Case],
    *,
    rounds: int,
    memory: bool = True,
    floor: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Result]:
    """Measure all cases; one that cannot run carries its reason.

    A round calls every case once, so that whatever else the machine does falls on all alike.

    Args:
        rounds: samples of each case.
        memory: measure that too, each case in a process of its own (about a second each).
        floor: count the bytes that each network moves, and measure the bandwidth of a copy in every round.
        progress: told what is going on.
    """
    results = [Result(case) for case in cases]
    ready: list[tuple[Result, Callable[[], Sample], Callable[[], None]]] = []
    copiers: dict[str, Callable[[], float]] = {}
    for result in results:
        case = result.case
        progress(f"loading {case.model.name} on {case.backend} for {case.size[0]}×{case.size[1]}")
        try:
            result.memory_mb = _in_own_process(case) if memory else None
            started = time.perf_counter()
            call, close, result.device, result.file = _load(case)
            result.load = (time.perf_counter() - started) * 1e3
            started = time.perf_counter()
            call()
            result.first = (time.perf_counter() - started) * 1e3
            if floor and not case.foreign:
                result.bytes_moved = network_bytes(case.model, case.backend, case.size)
                if device_of(case.backend) not in copiers:
                    copiers[device_of(case.backend)] = copier(device_of(case.backend))
        except IvifError as error:
            result.failure = str(error)
            continue
        ready.append((result, call, close))
    try:
        for number in range(rounds):
            progress(f"round {number + 1} of {rounds}")
            bandwidth = {device: measure() for device, measure in copiers.items()}
            for result, call, _ in ready:
                sample = call()
                result.network.append(sample.network * 1e3)
                if sample.whole is not None:
                    result.fuser.append(sample.whole * 1e3)
                if sample.on_device is not None:
                    result.on_device.append(sample.on_device * 1e3)
                if result.bytes_moved:
                    result.bandwidth.append(bandwidth[device_of(result.case.backend)])
    finally:
        for _, _, close in ready:
            close()
    return results


def device_of(backend: str) -> str:
    """Whose memory the backend works in: 'cpu' or 'cuda'."""
    return "cuda" if backend in NAMES and backend not in ON_CPU else "cpu"


def _load(case: Case) -> tuple[Callable[[], Sample], Callable[[], None], str, str]:
    """A call, a close, the device, and the name of the file that is really loaded."""
    if case.foreign:
        network = ForeignNetwork(case.model, case.size, threads=case.threads)
        return lambda: Sample(network.run()), network.close, network.describe(), case.model.name
    infrared, visible = sample_pair(case.size)
    fuser = Fuser(case.model, case.backend, threads=case.threads)

    def call() -> Sample:
        started = time.perf_counter()
        fuser.fuse(infrared, visible)
        whole = time.perf_counter() - started
        return Sample(fuser.backend.run_seconds, whole, getattr(fuser.backend, "device_seconds", None))

    return call, fuser.close, fuser.backend.describe(), fuser.backend.file.name


def _in_own_process(case: Case) -> float | None:
    """Peak memory of a fresh process that loads the case and calls it three times, MB."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_peak_memory, case).result()
        except BrokenProcessPool as error:
            raise BackendUnavailable(f"{case.backend} killed its process; is memory short?") from error


def _peak_memory(case: Case) -> float | None:
    call, close, *_ = _load(case)
    for _ in range(3):
        call()
    close()
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(peak.split()[1]) / 1024, 1)


def choice_of_auto(results: Sequence[Result], threads: int | None = None) -> dict[str, Any]:
    """What `auto` takes for the shipped model, and at each measured size the fastest by median of the whole Fuser.

    Returns:
        {"backend", "model", "is_fastest": every measured size, "sizes": {"640x480": {"fastest", "ratio"}}}; ratio is
        auto's median over the fastest's, 1 where they are the same.
    """
    with Fuser(threads=threads) as fuser:
        backend, model = fuser.backend.name, fuser.model
    sizes: dict[str, dict[str, Any]] = {}
    for size in dict.fromkeys(result.case.size for result in results):
        medians = {
            result.case.backend: float(np.median(result.fuser))
            for result in results
            if result.case.size == size and result.case.model.resolve() == model.resolve() and result.fuser
        }
        if backend in medians:
            fastest = min(medians, key=medians.__getitem__)
            ratio = round(medians[backend] / medians[fastest], 3)
            sizes[f"{size[0]}x{size[1]}"] = {"fastest": fastest, "ratio": ratio}
    fastest_everywhere = bool(sizes) and all(entry["fastest"] == backend for entry in sizes.values())
    return {"backend": backend, "model": model.name, "is_fastest": fastest_everywhere, "sizes": sizes}


def make_cases(
    models: Sequence[Path], backends: Sequence[str], sizes: Sequence[Size], foreign: Sequence[Path], threads: int | None
) -> list[Case]:
    """All combinations.

    Args:
        models: files that follow the contract; empty: the shipped ones, every precision of them.
        backends: names; empty: those that can be used here.

    Raises:
        BackendUnavailable: none can be used.
        ModelError: a file is not there.
    """
    names = list(backends) or [name for name, reason in available().items() if reason is None]
    if not names:
        raise BackendUnavailable("no backend can be used here; `ivif info` says what is missing")
    files = [resolve_model(model) for model in models] or [
        file
        for file in sorted(resolve_model().parent.glob("student*.onnx"))
        if not file.stem.endswith("_maps")  # taken for the 8-bit one by the backends that can
    ]
    for path in foreign:
        if not path.is_file():
            raise ModelError(f"--onnx: no file at {path}")
    return [
        *(Case(model, name, size, threads) for size in sizes for model in files for name in names),
        *(Case(path, "onnxruntime", size, threads, foreign=True) for size in sizes for path in foreign),
    ]


def as_json(results: Sequence[Result], rounds: int, threads: int | None) -> dict[str, Any]:
    """Everything that was measured, as plain values."""
    return {
        "rounds": rounds,
        "threads": threads,
        "thermal_size": list(THERMAL_SIZE),
        "results": [result.summary() for result in results],
        "auto": choice_of_auto(results, threads),
    }
