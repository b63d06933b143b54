"""Rewriting ONNX graphs: constants folded, precision lowered, operators checked against TensorRT's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ivif_core.errors import ModelError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# fmt: off
TENSORRT_OPERATORS = frozenset({
    "Abs", "Add", "AveragePool", "Cast", "Clip", "Concat", "Conv", "DepthToSpace", "DequantizeLinear", "Div", "Exp",
    "Expand", "Floor", "Gather", "GlobalAveragePool", "HardSigmoid", "Identity", "LeakyRelu", "Log", "MatMul", "Max",
    "MaxPool", "Min", "Mod", "Mul", "Neg", "Pad", "Pow", "PRelu", "QuantizeLinear", "ReduceMax", "ReduceMean",
    "ReduceMin", "Relu", "Reshape", "Resize", "Round", "Shape", "Sigmoid", "Slice", "Softmax", "SpaceToDepth",
    "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
})
# fmt: on
"""What the ONNX parsers of TensorRT 8.6 and 10 both take for images and shapes (onnx-tensorrt, docs/operators.md of
8.6-GA and 10.1-GA). ConstantOfShape is left out: 8.6 takes it for float32 only; constant ones are folded away."""

TENSORRT_OPSET = 17
"""The latest that TensorRT 8.6 reads."""

_FLOAT, _UINT8, _HALF = 1, 2, 10  # TensorProto.DataType
_FLOAT32_INPUTS = {"Resize": {1, 2}, "QuantizeLinear": {1}, "DequantizeLinear": {1}}


def operators(model: ModelProto) -> dict[str, int]:
    """Operator -> number of nodes, the most frequent first."""
    counts: dict[str, int] = {}
    for node in model.graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def check_for_tensorrt(model: ModelProto) -> None:
    """
    Raises:
        ModelError: an operator, or the opset, is not one that all supported TensorRT releases parse; names each.
    """
    problems = [
        f"operator {name} ({count}×)" for name, count in operators(model).items() if name not in TENSORRT_OPERATORS
    ]
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset > TENSORRT_OPSET:
        problems.append(f"opset {opset} (at most {TENSORRT_OPSET})")
    if problems:
        raise ModelError(f"TensorRT 8.6 to 11 do not all take {', '.join(problems)}; export the network without it")


def fold_constants(model: ModelProto) -> ModelProto:
    """The same function with everything computed beforehand that does not depend on the inputs.

    Exporters leave chains of shape arithmetic behind, among them operators that TensorRT 8.6 does not take.
    """
    import onnx
    from onnx import numpy_helper

    folded = onnx.shape_inference.infer_shapes(model, data_prop=True)
    known = {value.name: numpy_helper.to_array(value) for value in folded.graph.initializer}
    static = _static_shapes(folded)
    shape_of: dict[str, str] = {}
    kept = []
    for node in folded.graph.node:
        if node.op_type == "Shape" and not node.attribute:
            shape_of[node.output[0]] = node.input[0]
            kept.append(node)
            continue
        values = _evaluate(node, known, model) or _one_dimension(node, known, shape_of, static)
        if values is None:
            kept.append(node)
        else:
            known.update(zip(node.output, values, strict=True))
    return _rebuilt(model, kept, known)


def with_shapes(model: ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> ModelProto:
    """The model for inputs of just these shapes: all shape arithmetic is folded away."""
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        for dimension, length in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
            dimension.dim_value = length
    for value in fixed.graph.output:  # would contradict what follows from the inputs
        for dimension in value.type.tensor_type.shape.dim:
            dimension.Clear()
    del fixed.graph.value_info[:]
    return fold_constants(fold_constants(fixed))  # the second time with the shapes that the first one made known


def to_half(model: ModelProto, keep: Callable[[NodeProto], bool] = lambda node: False) -> ModelProto:
    """The same function computed in float16; inputs and outputs keep their types.

    Args:
        model: float32 inside, constants folded.
        keep: nodes that still compute in float32.
    """
    import onnx
    from onnx import helper, numpy_helper

    inferred = onnx.shape_inference.infer_shapes(model)
    types = {v.name: v.type.tensor_type.elem_type for v in [*inferred.graph.value_info, *inferred.graph.output]}
    inputs = {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
    constants = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
    floats = {name for name, value in constants.items() if value.dtype == np.float32}
    floats |= {name for name, kind in {**types, **inputs}.items() if kind == _FLOAT}
    outputs = {v.name for v in model.graph.output}
    nodes: list[NodeProto] = []
    in_half: dict[str, str] = {}  # float tensor -> its float16 twin
    in_float: dict[str, str] = {name: name for name in inputs} | {name: name for name in constants}

    def read(name: str, half: bool) -> str:
        """`name` in the wanted precision, cast where it is not there yet."""
        if name not in floats:
            return name
        have, other = (in_half, in_float) if half else (in_float, in_half)
        if name not in have:
            have[name] = f"{name}/{'half' if half else 'float'}"
            if name in constants:
                constants[have[name]] = constants[name].astype(np.float16)
            else:
                kind = _HALF if half else _FLOAT
                nodes.append(helper.make_node("Cast", [other[name]], [have[name]], name=have[name], to=kind))
        return have[name]

    for original in model.graph.node:
        node = helper.make_node(original.op_type, [], [], name=original.name)
        node.attribute.extend(original.attribute)
        half = not keep(original)
        single = _FLOAT32_INPUTS.get(original.op_type, set())
        node.input.extend(read(name, half and index not in single) for index, name in enumerate(original.input))
        for name in original.output:
            if name in floats:
                written = f"{name}/half" if half else f"{name}/float"
                (in_half if half else in_float)[name] = written
                node.output.append(written)
            else:
                node.output.append(name)
        if original.op_type == "Cast" and half and original.output[0] in floats:
            next(a for a in node.attribute if a.name == "to").i = _HALF
        nodes.append(node)
    for name in outputs & floats:
        source, origin = (in_half, _FLOAT) if name in in_half else (in_float, _FLOAT)
        nodes.append(helper.make_node("Cast", [source[name]], [name], name=f"{name}/out", to=origin))
    return _rebuilt(model, nodes, constants)


def _rebuilt(model: ModelProto, nodes: Iterable[NodeProto], constants: dict[str, np.ndarray]) -> ModelProto:
    """`model` with these nodes and constants, without those that no output needs."""
    import onnx
    from onnx import numpy_helper

    needed = {value.name for value in model.graph.output}
    alive = []
    for node in reversed(list(nodes)):
        if needed.intersection(node.output):
            needed.update(node.input)
            alive.append(node)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:], result.graph.initializer[:], result.graph.value_info[:]
    result.graph.node.extend(reversed(alive))
    result.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in needed
    )
    onnx.checker.check_model(result, full_check=True)
    return result


def _static_shapes(model: ModelProto) -> dict[str, list[int | None]]:
    graph = model.graph
    return {
        value.name: [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]
        for value in [*graph.input, *graph.value_info]
        if value.type.tensor_type.HasField("shape")
    }


def _evaluate(node: NodeProto, known: dict[str, np.ndarray], model: ModelProto) -> list[np.ndarray] | None:
    """What the node gives, if all it takes is known."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    names = [name for name in node.input if name]
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):  # quantised weights are to stay quantised
        return None
    if not all(name in known for name in names):
        return None
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(known[name].dtype), known[name].shape)
        for name in dict.fromkeys(names)
    ]
    outputs = [helper.make_value_info(name, helper.make_tensor_type_proto(_FLOAT, None)) for name in node.output]
    graph = helper.make_graph([node], "one", inputs, outputs)
    one = helper.make_model(graph, opset_imports=model.opset_import)
    return [np.asarray(value) for value in ReferenceEvaluator(one).run(None, {name: known[name] for name in names})]


def _one_dimension(
    node: NodeProto, known: dict[str, np.ndarray], shape_of: dict[str, str], static: dict[str, list[int | None]]
) -> list[np.ndarray] | None:
    """The length of one axis, taken out of a shape, if it is the same for all inputs."""
    if node.op_type != "Gather" or node.input[0] not in shape_of or node.input[1] not in known:
        return None
    index, shape = known[node.input[1]], static.get(shape_of[node.input[0]], [])
    if index.size != 1 or not -len(shape) <= index.item() < len(shape) or shape[index.item()] is None:
        return None
    return [np.array(shape[index.item()], np.int64).reshape(index.shape)]
