"""The yardstick for latency: five plain 3×3 convolutions with 16 channels at full resolution, about the time of the
smallest published fusion network. `ivif bench --onnx` times it beside the student."""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from torch import nn

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
    """Print medians in ms and ratios to the yardstick; ONNX Runtime, 2 threads, the networks taking turns."""
    with TemporaryDirectory() as folder:
        paths = [write_yardstick(Path(folder) / "yardstick.onnx"), *models]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = 2, 1
        sessions = [onnxruntime.InferenceSession(str(path), options) for path in paths]
    for height, width in SIZES:
        feeds = [{i.name: _filled(i, height, width) for i in session.get_inputs()} for session in sessions]
        times: list[list[float]] = [[] for _ in sessions]
        for turn in range(repeats + 2):
            for session, feed, series in zip(sessions, feeds, times, strict=True):
                start = time.perf_counter()
                session.run(None, feed)
                if turn >= 2:  # the first ones allocate
                    series.append(1e3 * (time.perf_counter() - start))
        medians = [statistics.median(series) for series in times]
        for path, median in zip(paths, medians, strict=True):
            print(f"{width}×{height} {path.name:24} {median:8.1f} ms  {median / medians[0]:.2f} of the yardstick")


def _filled(tensor: onnxruntime.NodeArg, height: int, width: int) -> np.ndarray:
    if tensor.name == "vividness":
        return np.array([0.5], np.float32)
    random = np.random.default_rng(0)
    channels = 2 if tensor.name == "sources" else 1
    if tensor.type == "tensor(uint8)":
        return random.integers(0, 256, (1, channels, height, width), dtype=np.uint8)
    return random.random((1, channels, height, width), dtype=np.float32)


def main() -> None:
    """`python -m training.yardstick [MODEL.onnx …]`; without a model, the shipped ones."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    shipped = resolve_model()
    compare(parser.parse_args().models or [shipped.with_name("student.onnx"), shipped.with_name("student_uint8.onnx")])


if __name__ == "__main__":
    main()
