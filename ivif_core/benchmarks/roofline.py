"""How fast a network could be if only memory counted: the bytes that its graph moves over the speed of a copy.

The roofline of networks whose operators compute little per byte (S. Williams, A. Waterman, D. Patterson, "Roofline: an
insightful visual performance model for multicore architectures", CACM 52(4), 2009).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ivif_core.backends import torch_copy
from ivif_core.errors import ModelError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# fmt: off
ELEMENTWISE = frozenset({
    "Abs", "Add", "And", "Cast", "Ceil", "Clip", "DequantizeLinear", "Div", "Equal", "Erf", "Exp", "Floor", "Greater",
    "GreaterOrEqual", "HardSigmoid", "HardSwish", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min",
    "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "QuantizeLinear", "Reciprocal", "Relu", "Round", "Sigmoid",
    "Sign", "Softplus", "Sqrt", "Sub", "Sum", "Tanh", "Where",
})
# fmt: on
"""Operators that give one number of the numbers at one place; connected ones make one kernel."""

_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Move nothing."""

_PARTS = frozenset({"Gather", "Slice", "Split"})
"""Read no more than they write."""

COPY_BYTES = 512 << 20
"""Of one buffer: far more than caches hold."""
_COPIES = 9


def bytes_moved(model: ModelProto) -> int:
    """Bytes that kernels read and write in one run.

    Element-wise operators that hang together are one kernel, where that closes no circle: it reads each tensor from
    outside once, and writes what others need once. Every other operator reads its inputs (weights too) and writes its
    outputs; reshaping is free.

    Args:
        model: with inputs of fixed shapes and constants folded (`ivif_core.models.onnx_graph.with_shapes`).

    Raises:
        ModelError: the shape of a tensor cannot be told.
    """
    sizes = _tensor_bytes(model)
    same: dict[str, str] = {}  # view -> what it is a view of
    nodes = []
    for node in model.graph.node:
        if node.op_type in _VIEWS:
            same[node.output[0]] = same.get(node.input[0], node.input[0])
        else:
            nodes.append(node)
    inputs = [{same.get(name, name) for name in node.input if name} for node in nodes]
    outputs = [{name for name in node.output if name} for node in nodes]
    results = {same.get(value.name, value.name) for value in model.graph.output}
    total = 0
    for kernel in _kernels(nodes, inputs, outputs):
        made = set().union(*(outputs[index] for index in kernel))
        others = (inputs[index] for index in range(len(nodes)) if index not in kernel)
        written = made & results.union(*others)
        read = set().union(*(inputs[index] for index in kernel)) - made
        try:
            total += sum(sizes[name] for name in written)
            is_part = nodes[next(iter(kernel))].op_type in _PARTS
            total += sum(sizes[name] for name in (written if is_part else read))
        except KeyError as error:
            raise ModelError(f"bandwidth: the shape of tensor {error} is not known; are the inputs' fixed?") from error
    return total


def _tensor_bytes(model: ModelProto) -> dict[str, int]:
    """Name -> bytes, of tensors whose shape is known."""
    import onnx
    from onnx import helper

    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {
        value.name: prod(value.dims) * helper.tensor_dtype_to_np_dtype(value.data_type).itemsize
        for value in graph.initializer
    }
    for value in [*graph.input, *graph.value_info, *graph.output]:
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(dimension.HasField("dim_value") for dimension in tensor.shape.dim):
            itemsize = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
            sizes[value.name] = prod(dimension.dim_value for dimension in tensor.shape.dim) * itemsize
    return sizes


def _kernels(nodes: Sequence[NodeProto], inputs: Sequence[set[str]], outputs: Sequence[set[str]]) -> list[set[int]]:
    """Indices of the nodes that run together."""
    maker = {name: index for index, names in enumerate(outputs) for name in names}
    feeds: list[set[int]] = [set() for _ in nodes]
    for index, names in enumerate(inputs):
        for name in names & maker.keys():
            feeds[maker[name]].add(index)
    kernel = [{index} for index in range(len(nodes))]  # node -> its kernel, one object for all of its nodes

    def closes_a_circle(both: set[int]) -> bool:
        """Whether something outside needs a result of both and gives an input to them."""
        waiting = {after for index in both for after in feeds[index]} - both
        seen: set[int] = set()
        while waiting:
            index = waiting.pop()
            seen |= kernel[index]
            after = {following for member in kernel[index] for following in feeds[member]}
            if after & both:
                return True
            waiting |= after - seen
        return False

    for index, node in enumerate(nodes):
        for before in sorted({maker[name] for name in inputs[index] & maker.keys()}):
            is_elementwise = node.op_type in ELEMENTWISE and nodes[before].op_type in ELEMENTWISE
            if is_elementwise and kernel[before] is not kernel[index]:
                both = kernel[before] | kernel[index]
                if not closes_a_circle(both):
                    for member in both:
                        kernel[member] = both
    return list({id(members): members for members in kernel}.values())


def network_bytes(model: Path, backend: str, size: tuple[int, int]) -> int:
    """`bytes_moved` by a student at an image size, in the precision in which the backend runs it by default.

    Args:
        model: a file of the contract in `ivif_core.models`.
        size: (width, height).

    Raises:
        ModelError: the file is none, or has shapes that cannot be told.
    """
    import onnx

    from ivif_core.models.onnx_graph import fold_constants, to_half, with_shapes
    from ivif_core.models.variants import typed_model

    in_half = backend in ("tensorrt", "torch")
    file, types = typed_model(model, "fp16") if in_half else (model, "fp32")
    graph = onnx.load(file)
    names = {value.name for value in graph.graph.input}
    if not {"infrared", "visible"} <= names:
        raise ModelError(f"bandwidth: {model} takes {', '.join(sorted(names))}; expected infrared and visible images")
    graph = fold_constants(graph)
    if in_half and types == "fp32":
        graph = to_half(graph)
    shapes = {}
    for value in graph.graph.input:
        axes = value.type.tensor_type.shape.dim
        image = (1, *size[::-1], 3) if axes[-1].dim_value == 3 else (1, 1, *size[::-1])
        shapes[value.name] = image if len(axes) == 4 else tuple(axis.dim_value or 1 for axis in axes)
    return bytes_moved(with_shapes(graph, shapes))


def copier(device: str) -> Callable[[], float]:
    """What measures the bandwidth of a copy in memory, bytes read and written a second, whenever it is called.

    Args:
        device: 'cuda': device to device by torch, timed by CUDA events; 'cpu': by all threads that may be used.

    Raises:
        BackendUnavailable: 'cuda' without torch or a GPU.
    """
    return torch_copy.copier(COPY_BYTES, _COPIES) if device == "cuda" else _cpu_copier(COPY_BYTES)


def _cpu_copier(length: int) -> Callable[[], float]:
    threads = len(os.sched_getaffinity(0))
    source, target = np.ones(length, np.uint8), np.zeros(length, np.uint8)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))

    def measure() -> float:
        samples = []
        with ThreadPoolExecutor(threads) as pool:
            for _ in range(_COPIES):
                started = time.perf_counter()
                list(pool.map(lambda part: np.copyto(*part), parts))
                samples.append(time.perf_counter() - started)
        return 2 * length / float(np.median(samples))

    return measure
