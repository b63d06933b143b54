"""The yardstick for latency: five plain 3×3 convolutions with 16 channels at full resolution, about the time of the
smallest published fusion network. `ivif bench --onnx` times it beside the student too."""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from ivif_core import backends
from ivif_core.backends.onnxruntime import OnnxRuntimeRunner
from ivif_core.models import resolve_model

SIZES = ((480, 640), (720, 1280), (1080, 1920))


def write_yardstick(path: str | Path) -> Path:
    """Write the untrained network as ONNX, float32, dynamic size; returns its path."""
    widths = (2, 16, 16, 16, 16, 1)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    network = nn.Sequential(*layers[:-1], nn.Sigmoid()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is announced as the older one
        torch.onnx.export(
            network,
            (torch.rand(1, 2, 64, 64),),
            str(path),
            input_names=["sources"],
            output_names=["fused"],
            dynamic_axes={"sources": {2: "H", 3: "W"}, "fused": {2: "H", 3: "W"}},
            opset_version=17,
            dynamo=False,
        )
    return Path(path)


def compare(models: Sequence[Path], repeats: int = 15) -> None:
    """Print medians in ms and ratios to the yardstick; ONNX Runtime, 2 threads, the networks taking turns.

    The yardstick is its runtime's call alone, a student everything from 8-bit luminance to 8-bit luminance.
    """
    with TemporaryDirectory() as folder:
        # loaded, it needs the file no more
        yardstick = OnnxRuntimeRunner(write_yardstick(Path(folder) / "yardstick.onnx"), threads=2).open()
    students = [backends.create("onnxruntime", model, threads=2) for model in models]
    random = np.random.default_rng(0)
    for height, width in SIZES:
        sources = random.random((1, 2, height, width), dtype=np.float32)
        infrared, visible = random.integers(0, 256, (2, height, width), dtype=np.uint8)
        calls: dict[str, Callable[[], object]] = {"yardstick": partial(yardstick.run, {"sources": sources})}
        calls |= {student.file.name: partial(student.infer, infrared, visible, 0.5) for student in students}
        times: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(repeats + 2):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                if turn >= 2:  # the first ones allocate
                    times[name].append(1e3 * (time.perf_counter() - start))
        medians = {name: statistics.median(series) for name, series in times.items()}
        for name, median in medians.items():
            ratio = median / medians["yardstick"]
            print(f"{width}×{height} {name:24} {median:8.1f} ms  {ratio:.2f} of the yardstick")


def main() -> None:
    """`python -m ivif_core.training.reference_network [MODEL.onnx …]`; without a model, the shipped ones."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    shipped = resolve_model()
    compare(parser.parse_args().models or [shipped.with_name("student.onnx"), shipped.with_name("student_uint8.onnx")])


if __name__ == "__main__":
    main()
