"""One student, several files: float16, int8 with quantisation inside, and uint8 colour images from end to end.

All are made from the float32 ONNX file, so that a family has one set of weights, and all keep to operators that
TensorRT 8.6 to 11 parse.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ivif_core.errors import ConfigError, ModelError
from ivif_core.files.writing import make_folder, write_bytes
from ivif_core.imaging.colour import luminance
from ivif_core.models import check_model_target
from ivif_core.models.onnx_graph import check_for_tensorrt, fold_constants, to_half

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

VARIANTS = ("fp16", "int8", "bgr")

Pair = tuple[np.ndarray, np.ndarray]
"""Registered infrared intensity and visible BGR, uint8."""

_FLOAT, _UINT8 = 1, 2  # TensorProto.DataType
_IN_COLOUR = "colour/"
_EXACT = ("/luminance", "/rounding", "/visible_y")


def write_variants(
    model: Path, folder: Path, variants: Sequence[str] = VARIANTS, calibration: Iterable[Pair] = ()
) -> dict[str, Path]:
    """Write `<stem>_fp16.onnx`, `<stem>_int8.onnx` and `<stem>_bgr.onnx`, each whole or not at all.

    Args:
        model: the float32 file; its name without `.onnx` is the stem.
        variants: fp16: uint8 luminance in and out, float16 inside. int8: the same with the trained convolutions but
            the last in 8 bits. bgr: uint8 N×H×W×3 visible and fused, float16 inside, luminance and recomposition in the
            graph.
        calibration: pairs from which int8 takes its ranges.

    Returns:
        variant -> file.

    Raises:
        ConfigError: no such variant, or int8 without calibration pairs.
        OutputError: a file cannot be written, or is there and no model of ivif.
        ModelError: the model is not of the float32 contract, or has an operator that TensorRT does not take.
    """
    import onnx

    unknown = set(variants) - set(VARIANTS)
    if unknown:
        raise ConfigError(f"variants: {', '.join(sorted(unknown))} not known; choose from {', '.join(VARIANTS)}")
    try:
        original = fold_constants(onnx.load(model))
    except Exception as error:  # onnx raises protobuf's and its own types
        raise ModelError(f"cannot read {model}: {error}") from error
    if any(value.type.tensor_type.elem_type != _FLOAT for value in original.graph.input):
        raise ModelError(f"{model} has no float32 images; give the float32 file, from which the others are made")
    made = {variant: make_folder(folder) / f"{model.stem}_{variant}.onnx" for variant in variants}
    for file in made.values():
        check_model_target(file, [model])
    for variant in variants:
        if variant == "bgr":
            result = to_half(_with_colour(original), lambda node: _is_of_rules(node) or node.name.endswith(_EXACT))
        elif variant == "fp16":
            result = to_half(_with_eight_bits(original), _is_of_rules)
        else:
            result = _quantised(_with_eight_bits(original), calibration)
        check_for_tensorrt(result)
        properties = {entry.key: entry.value for entry in original.metadata_props}
        properties["ivif.precision"] = "int8" if variant == "int8" else "fp16"
        properties["ivif.made_from"] = hashlib.sha256(model.read_bytes()).hexdigest()
        onnx.helper.set_model_props(result, properties)
        write_bytes(made[variant], result.SerializeToString())
    return made


def _with_eight_bits(model: ModelProto) -> ModelProto:
    """The float model between uint8 images."""
    from onnx import helper

    nodes = [
        *_scaled("infrared"),
        *_scaled("visible"),
        *_core(model),
        *_rounded(),
        helper.make_node("Cast", [f"{_IN_COLOUR}fused_y"], ["fused"], name="to_uint8", to=_UINT8),
    ]
    return _assembled(model, nodes, {}, ["N", 1, "H", "W"])


def _with_colour(model: ModelProto) -> ModelProto:
    """The float model between uint8 infrared, BGR visible and BGR fused, as `colour.luminance` and `recompose`."""
    from onnx import helper

    names = {name: f"{_IN_COLOUR}{name}" for name in ("bgr", "visible_y", "luminance", "rounding", "fused_y", "sum")}
    constants = {
        "bt601": np.array([0.114, 0.587, 0.299], np.float32).reshape(1, 3, 1, 1),
        "black": np.float32(0),
        "white": np.float32(255),
        "pedestal": np.float32(16),
    }

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> NodeProto:
        return helper.make_node(kind, inputs, [output], name=output, **attributes)

    def rounded(first: str, second: str, output: str) -> list[NodeProto]:
        """The product in whole levels, as OpenCV's 8-bit arithmetic has it."""
        product, shifted = f"{output}/product", f"{output}/shifted"
        return [
            node("Mul", [first, second], product),
            node("Add", [product, "half_level"], shifted),
            node("Floor", [shifted], output),
        ]

    nodes = [
        *_scaled("infrared"),
        node("Cast", ["visible"], "visible/float", to=_FLOAT),
        node("Transpose", ["visible/float"], names["bgr"], perm=[0, 3, 1, 2]),
        node("Conv", [names["bgr"], "bt601"], names["luminance"]),
        node("Add", [names["luminance"], "half_level"], names["rounding"]),
        node("Floor", [names["rounding"]], names["visible_y"]),
        node("Mul", [names["visible_y"], "per_level"], "visible/scaled"),
        *_core(model),
        *_rounded(),
        node("Sub", [names["fused_y"], names["visible_y"]], "colour/lift"),
        node("Relu", ["colour/lift"], "colour/up"),
        node("Min", ["colour/up", names["visible_y"]], "colour/bounded"),
        node("Add", [names["visible_y"], "pedestal"], "colour/shade"),
        node("Min", ["colour/shade", "white"], "colour/divisor"),
        node("Div", ["colour/bounded", "colour/divisor"], "colour/gain"),
        *rounded("colour/gain", "white", "colour/steps"),
        node("Mul", ["colour/steps", "per_level"], "colour/factor"),
        *rounded(names["bgr"], "colour/factor", "colour/more"),
        *rounded(names["visible_y"], "colour/factor", "colour/common"),
        node("Sub", ["colour/more", "colour/common"], "colour/chrominance"),
        node("Add", ["colour/lift", "colour/chrominance"], "colour/change"),
        node("Add", [names["bgr"], "colour/change"], names["sum"]),
        node("Clip", [names["sum"], "black", "white"], "colour/clipped"),
        node("Transpose", ["colour/clipped"], "colour/interleaved", perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["colour/interleaved"], ["fused"], name="to_uint8", to=_UINT8),
    ]
    return _assembled(model, nodes, constants, ["N", "H", "W", 3])


def _scaled(name: str) -> list[NodeProto]:
    """uint8 image -> [0, 1]."""
    from onnx import helper

    return [
        helper.make_node("Cast", [name], [f"{name}/levels"], name=f"{name}/levels", to=_FLOAT),
        helper.make_node("Mul", [f"{name}/levels", "per_level"], [f"{name}/scaled"], name=f"{name}/scaled"),
    ]


def _core(model: ModelProto) -> list[NodeProto]:
    """The float model's nodes between scaled images."""
    import onnx

    renamed = {"infrared": "infrared/scaled", "visible": "visible/scaled", "fused": "core/fused"}
    nodes = []
    for original in model.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
        nodes.append(node)
    return nodes


def _rounded() -> list[NodeProto]:
    """Fused in [0, 1] -> whole levels 0…255."""
    from onnx import helper

    steps = (("Mul", "core/fused", "levels"), ("Add", "core/levels", "half_level"), ("Floor", "core/shifted", ""))
    names = ("core/levels", "core/shifted", f"{_IN_COLOUR}fused_y")
    return [
        helper.make_node(kind, [source, constant] if constant else [source], [name], name=name)
        for (kind, source, constant), name in zip(steps, names, strict=True)
    ]


def _assembled(
    model: ModelProto, nodes: list[NodeProto], constants: dict[str, np.ndarray], visible: list[str | int]
) -> ModelProto:
    """`model` with other nodes around its own, taking and giving uint8; `visible` is the shape of visible and fused."""
    import onnx
    from onnx import helper, numpy_helper

    own = {"per_level": np.float32(1 / 255), "levels": np.float32(255), "half_level": np.float32(0.5), **constants}
    inputs = [
        helper.make_tensor_value_info("infrared", _UINT8, ["N", 1, "H", "W"]),
        helper.make_tensor_value_info("visible", _UINT8, visible),
        *(value for value in model.graph.input if value.name == "vividness"),
    ]
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = helper.make_graph(
        nodes,
        model.graph.name,
        inputs,
        [helper.make_tensor_value_info("fused", _UINT8, visible)],
        [*model.graph.initializer, *(numpy_helper.from_array(np.asarray(v), name) for name, v in own.items())],
    )
    result.graph.CopyFrom(graph)
    onnx.checker.check_model(result, full_check=True)
    return result


def _quantised(model: ModelProto, calibration: Iterable[Pair]) -> ModelProto:
    """The trained convolutions in int8 (symmetric, weights by channel), the rest in float16.

    Trained convolutions are those with a bias; the fixed kernels at full resolution stay.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    feeds = [
        {
            "infrared": infrared[None, None],
            "visible": luminance(visible)[None, None],
            "vividness": np.float32([vividness]),
        }
        for index, (infrared, visible) in enumerate(calibration)
        for vividness in ((0.0, 1.0) if index % 2 else (0.5,))
    ]
    if not feeds:
        raise ConfigError("int8 needs pairs to calibrate on; give a folder of them")
    taken = {value.name for value in model.graph.input}

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> dict[str, np.ndarray] | None:
            feed = next(self._feeds, None)
            return feed and {name: value for name, value in feed.items() if name in taken}

    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 3]
    if not convolutions:
        raise ModelError("int8: the model has no trained convolution to quantise")
    # The last one gives the coefficients themselves, whose rounding would be seen all over the image.
    convolutions = convolutions[:-1] or convolutions
    with tempfile.TemporaryDirectory() as folder, _quiet_root_logger():
        target = Path(folder) / "quantised.onnx"
        quantize_static(
            model,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=convolutions,
            # What TensorRT takes: zero points of zero, and no quantised bias.
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )
        quantised = onnx.load(target)
    in_float = _beside_quantisation(quantised)
    return to_half(quantised, lambda node: _is_of_rules(node) or node.name in in_float)


def _is_of_rules(node: NodeProto) -> bool:
    """Whether a node is of the student's rules at 1/4 resolution, which cost next to nothing but magnify rounding:
    small differences decide between the sources, and large terms cancel."""
    trained = ("/maps/stem", "/maps/body", "/maps/head")
    return node.name.startswith(("/statistics/", "/maps/")) and not node.name.startswith(trained)


@contextlib.contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Without what the quantiser writes to the root logger: it advises to fold constants, which is done."""

    def is_of_another_logger(record: logging.LogRecord) -> bool:
        return record.name != "root"

    logging.getLogger().addFilter(is_of_another_logger)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(is_of_another_logger)


def _beside_quantisation(model: ModelProto) -> set[str]:
    """Nodes to leave in float32 so that quantised convolutions stay whole: Q, DQ, the convolution and its ReLU."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    kept: set[str] = set()
    for node in model.graph.node:
        source = made_by.get(node.input[0]) if node.input else None
        if (
            node.op_type in ("QuantizeLinear", "DequantizeLinear")
            or (node.op_type == "Conv" and source is not None and source.op_type == "DequantizeLinear")
            or (node.op_type == "Relu" and source is not None and source.op_type == "Conv" and source.name in kept)
        ):
            kept.add(node.name)
    return kept
