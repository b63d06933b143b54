"""`python -m ivif_core.benchmarks.gpu --out DIR`: all that needs a GPU, in one call of under ten minutes.

Speed against the CPU and against the card's memory bandwidth, pixels against ONNX Runtime, engines (build, cache,
damage, four processes), memory after closing, the node at 4K and 30 Hz. It runs as far as it can on what is there, says
what it could not and why, writes `gpu.json` and `gpu.md`, and prints the latter last.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ivif_core.backends import EngineOptions, available
from ivif_core.backends.cuda import Cuda, CudaError
from ivif_core.backends.tensorrt.engine_cache import EngineCache
from ivif_core.backends.tensorrt.engine_options import build_arguments
from ivif_core.backends.tensorrt.runner import TensorRtRunner
from ivif_core.benchmarks.latency import Case, Result, quantiles, run_cases, sample_pair
from ivif_core.errors import IvifError
from ivif_core.files.writing import make_folder, write_text
from ivif_core.fusion import Fuser
from ivif_core.imaging import colour
from ivif_core.imaging.files import pair_by_stem, read_infrared, read_visible
from ivif_core.models import resolve_model
from ivif_core.scene import Street

SIZES = ((640, 512), (1280, 720), (1920, 1080), (3840, 2160))
ON_GPU = ("tensorrt", "torch")
REFERENCE = "onnxruntime"
CPU_ROUNDS = 20
_PAIRS = 8  # of the rendered street, where no folder is given
_IVIF = "import sys; from ivif_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
_LONGEST_S = 240.0  # of a child process


@dataclass
class Report:
    """What was measured: a table a section, and what was not and why."""

    machine: dict[str, str]
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, section: Callable[[], Iterator[dict[str, Any]]]) -> None:
        """Add a section's rows; what stops it is noted, and the rows before are kept."""
        print(f"{name} …", file=sys.stderr, flush=True)
        rows = self.tables.setdefault(name, [])
        try:
            for row in section():  # one by one, so that an error loses only what comes after it
                rows.append(row)
        except (IvifError, OSError, subprocess.SubprocessError) as error:
            self.not_run[name] = " ".join(str(error).split())
        if not rows:
            del self.tables[name]

    def markdown(self) -> str:
        """The tables, and a list of what was not run."""
        lines = ["; ".join(f"{name} {value}" for name, value in self.machine.items())]
        for name, rows in self.tables.items():
            columns = list(dict.fromkeys(column for row in rows for column in row))
            lines += ["", f"**{name}**", "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
            lines += [f"| {' | '.join(str(row.get(column, '–')) for column in columns)} |" for row in rows]
        if self.not_run:
            lines += ["", "Not run:", "", *(f"- {name}: {reason}" for name, reason in self.not_run.items())]
        return "\n".join(lines) + "\n"


def machine() -> dict[str, str]:
    """Processor, system and GPU."""
    found = {"system": f"{platform.system()} {platform.machine()}", "Python": platform.python_version()}
    try:
        cuda = Cuda()
        found["GPU"] = f"{cuda.name} (compute capability {cuda.compute_capability})"
    except (IvifError, CudaError) as error:
        found["GPU"] = f"none ({error})"
    return found


def speed(model: Path, sizes: Sequence[tuple[int, int]], rounds: int, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Latency of the network and of the whole `Fuser`, set against the bandwidth floor of the same device."""
    for result in run_cases(
        [Case(model, name, size) for size in sizes for name in names], rounds=rounds, memory=False, floor=True
    ):
        if result.failure:
            raise IvifError(f"{result.case.backend} at {result.case.size}: {result.failure}")
        yield _speed_row(result)


def _speed_row(result: Result) -> dict[str, Any]:
    def both(samples: Sequence[float]) -> str:
        found = quantiles(samples)
        return f"{found['median']:.2f} / {found['p99']:.2f}" if found else "–"

    floor, over = result.floor, result.over_floor
    return {
        "backend": result.device,
        "size": "×".join(map(str, result.case.size)),
        "network ms, median / 99 %": both(result.network),
        "on the device": both(result.on_device),
        "Fuser": both(result.fuser),
        "copy GB/s": round(float(np.median(result.bandwidth)) / 1e9, 1) if result.bandwidth else "–",
        "floor ms": f"{floor:.3f}" if floor else "–",
        "over the floor": f"{over:.1f}×" if over else "–",
    }


def throughput(
    model: Path, sizes: Sequence[tuple[int, int]], rounds: int, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Pairs a second through `infer_many`, which overlaps copies and work where the backend can."""
    for name in names:
        with Fuser(model, name) as fuser:
            for size in sizes:
                infrared, visible = sample_pair(size)
                pair = fuser.prepare(infrared, visible)
                images = pair.registered, visible if fuser.backend.signature.colour else pair.visible_y
                fuser.backend.infer(*images, 0.5)
                started = time.perf_counter()
                for _ in fuser.backend.infer_many([images] * rounds, 0.5):
                    pass
                rate = rounds / (time.perf_counter() - started)
                yield {"backend": name, "size": "×".join(map(str, size)), "pairs a second": round(rate, 1)}


def pixels(
    model: Path, pairs: Sequence[tuple[np.ndarray, np.ndarray]], names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Fused luminance of each backend against ONNX Runtime's, in grey levels."""
    with Fuser(model, REFERENCE) as reference:
        for name in names:
            largest = 0
            means: list[float] = []
            with Fuser(model, name) as fuser:
                for infrared, visible in pairs:
                    for vividness in (0.0, 0.5, 1.0):
                        reference.vividness = fuser.vividness = vividness
                        expected, found = (one.fuse(infrared, visible, grey=True) for one in (reference, fuser))
                        difference = np.abs(found.astype(int) - expected)
                        largest = max(largest, int(difference.max()))
                        means.append(float(difference.mean()))
            yield {"backend": name, "pairs": len(pairs), "largest": largest, "mean": round(float(np.mean(means)), 4)}


def engines(model: Path, options: EngineOptions) -> Iterator[dict[str, Any]]:
    """Build, cache hit, damaged engine, and four processes at once; without a GPU where the library builds ahead."""
    runner = TensorRtRunner(model, engine=options)
    if reason := runner.why_it_cannot_build():
        raise IvifError(reason)

    def timed(what: str, expected: bool) -> dict[str, Any]:
        needed = runner.needs_build()
        started = time.perf_counter()
        of = runner.build()
        row = {"what": what, "s": round(time.perf_counter() - started, 2), "for": of["gpu"]}
        if needed != expected:
            raise IvifError(f"{what}: expected {'a build' if expected else 'no build'}")
        return row

    path = EngineCache(options.cache).path(runner.plan()[0])
    yield timed("build", True)
    yield timed("from the cache", False)
    path.write_bytes(path.read_bytes()[:-1])
    yield timed("after damage, built anew", True)
    EngineCache(options.cache).clear()
    command = [sys.executable, "-c", _IVIF, *build_arguments(model, options)]
    started = time.perf_counter()
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(4)
    ]
    try:
        said = [child.communicate(timeout=_LONGEST_S)[0] for child in children]
    finally:
        for child in children:
            child.kill()
    if any(child.returncode for child in children) or len(EngineCache(options.cache).entries()) != 1:
        raise IvifError(f"four processes: {' '.join(said)[-300:]}")
    yield {"what": "four processes, one engine", "s": round(time.perf_counter() - started, 2)}


def memory(model: Path, size: tuple[int, int], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """GPU memory that a backend takes, and what is left of it after closing, a second time (the first sets up CUDA)."""
    cuda = Cuda()
    for name in names:
        for _ in range(2):
            before = cuda.free_memory()
            with Fuser(model, name) as fuser:
                fuser.fuse(*sample_pair(size))
                open_bytes = before - cuda.free_memory()
            left = before - cuda.free_memory()
        yield {"backend": name, "open MB": round(open_bytes / 1e6, 1), "left after close MB": round(left / 1e6, 1)}


def node(folder: Path) -> Iterator[dict[str, Any]]:
    """The ROS node with streams of 3840×2160 at 30 Hz."""
    if importlib.util.find_spec("rclpy") is None:
        raise IvifError("no ROS 2 here")
    file = folder / "node.json"
    command = [sys.executable, "-m", "ivif_ros.tools.benchmark", "--visible-size", "3840x2160", "--rate", "30"]
    subprocess.run(
        [*command, "--seconds", "20", "--json", str(file)], check=True, timeout=_LONGEST_S, stdout=subprocess.DEVNULL
    )
    for name, value in json.loads(file.read_text()).items():
        if isinstance(value, (int, float, str)):
            yield {"what": name, "value": value}


def read_pairs(folder: Path | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of a folder with infrared/ and visible/, or frames of the rendered street."""
    if folder is None:
        street = Street((640, 480))
        return [street.render(index)[:2] for index in range(0, 40 * _PAIRS, 40)]
    files, _ = pair_by_stem(folder / "infrared", folder / "visible")
    return [(read_infrared(one), colour.check_visible(read_visible(other))) for one, other in files.values()]


def main(argv: Sequence[str] | None = None) -> int:
    """Run all sections."""
    parser = argparse.ArgumentParser(prog="python -m ivif_core.benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for gpu.json, gpu.md and the engines")
    parser.add_argument("--model", type=Path, help="ONNX file (default: the shipped student)")
    parser.add_argument("--pairs", type=Path, metavar="DIR", help="infrared/ and visible/ (default: a rendered street)")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--sizes", nargs="+", default=["x".join(map(str, size)) for size in SIZES], metavar="WxH")
    arguments = parser.parse_args(argv)
    folder, model = make_folder(arguments.out), resolve_model(arguments.model)
    sizes = [(int(width), int(height)) for width, height in (size.split("x") for size in arguments.sizes)]
    reasons = available()
    usable = [name for name in ON_GPU if reasons[name] is None]
    report = Report(machine())
    report.not_run |= {name: str(reasons[name]) for name in ON_GPU if reasons[name] is not None}
    options = EngineOptions(cache=folder / "engines")
    rounds = min(arguments.rounds, CPU_ROUNDS)
    report.run("engines", lambda: engines(model, options))
    report.run("speed on the CPU", lambda: speed(model, sizes, rounds, [REFERENCE]))
    if usable:
        report.run("speed on the GPU", lambda: speed(model, sizes, arguments.rounds, usable))
        report.run("throughput", lambda: throughput(model, sizes, arguments.rounds, usable))
        report.run("pixels against ONNX Runtime", lambda: pixels(model, read_pairs(arguments.pairs), usable))
        report.run("memory", lambda: memory(model, sizes[-1], usable))
        report.run("node at 3840×2160, 30 Hz", lambda: node(folder))
    else:
        sections = "speed on the GPU, throughput, pixels, memory, node at 3840×2160"
        report.not_run[sections] = "no backend for a GPU can be used here"
    write_text(folder / "gpu.json", json.dumps(vars(report), indent=1, ensure_ascii=False))
    write_text(folder / "gpu.md", report.markdown())
    print(report.markdown(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
