"""One student, several files: float16, int8 with quantisation inside, and uint8 colour images from end to end.

All are made from the float32 ONNX file, so that a family has one set of weights, and all keep to operators that
TensorRT 8.6 to 11 parse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ivif_core.backends.onnxruntime_quantizer import quantise
from ivif_core.backends.tensorrt.builder import check_with_real_parser
from ivif_core.errors import ConfigError, ModelError
from ivif_core.files.writing import make_folder, write_bytes
from ivif_core.imaging.colour import luminance
from ivif_core.models import check_model_target
from ivif_core.models.onnx_graph import check_for_tensorrt, fold_constants, to_half
from ivif_core.training.export import to_onnx

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto
    from torch import Tensor, nn

VARIANTS = ("fp16", "int8", "bgr")

Pair = tuple[np.ndarray, np.ndarray]
"""Registered infrared intensity and visible BGR, uint8."""

_FLOAT = 1  # TensorProto.DataType
_ORDER = ("infrared", "visible", "vividness", "aim")


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
    if any(v.type.tensor_type.elem_type != _FLOAT for v in original.graph.input if v.name != "aim"):
        raise ModelError(f"{model} has no float32 images; give the float32 file, from which the others are made")

    from ivif_core.training.networks.eight_bit import FromColour, FromGrey, ToColour, ToGrey  # torch takes seconds

    made = {variant: make_folder(folder) / f"{model.stem}_{variant}.onnx" for variant in variants}
    for file in made.values():
        check_model_target(file, [model])
    for variant in variants:
        if variant == "bgr":
            whole = _between(original, FromColour(), ToColour(), ("visible_y", "bgr"))
            result = to_half(whole, lambda node: _needs_float32(node) or "/luminance/" in node.name)
        elif variant == "fp16":
            result = to_half(_between(original, FromGrey(), ToGrey(), ()), _needs_float32)
        else:
            result = _quantised(_between(original, FromGrey(), ToGrey(), ()), calibration)
        check_for_tensorrt(result)
        properties = {entry.key: entry.value for entry in original.metadata_props}
        properties["ivif.precision"] = "int8" if variant == "int8" else "fp16"
        properties["ivif.made_from"] = hashlib.sha256(model.read_bytes()).hexdigest()
        onnx.helper.set_model_props(result, properties)
        content = result.SerializeToString()
        check_with_real_parser(content)
        write_bytes(made[variant], content)
    return made


def _between(model: ModelProto, before: nn.Module, after: nn.Module, kept: Sequence[str]) -> ModelProto:
    """The float model between 8-bit images; `kept` is what `before` gives to `after` beside the sources."""
    import onnx
    import torch
    from onnx import compose

    grey, colour = torch.zeros(1, 1, 34, 46, dtype=torch.uint8), torch.zeros(1, 34, 46, 3, dtype=torch.uint8)
    images = {"infrared": grey, "visible": colour if kept else grey}
    scaled = ["infrared/scaled", "visible/scaled"]
    first = _exported(before, images, [*scaled, *kept], "before/", "visible" if kept else "")
    values = dict(zip([*scaled, *kept], before(*images.values()), strict=True))
    fused = {"core/fused": values[scaled[0]], **{name: values[name] for name in kept}}
    last = _exported(after, fused, ["fused"], "after/", "fused" if kept else "")
    core = onnx.ModelProto()
    core.CopyFrom(model)
    renamed = {"infrared": scaled[0], "visible": scaled[1], "fused": "core/fused"}
    for value in (*core.graph.input, *core.graph.output):
        value.name = renamed.get(value.name, value.name)
    for node in core.graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    first.ir_version = last.ir_version = core.ir_version
    through = [(name, name) for name in scaled]
    whole = compose.merge_models(first, core, through, outputs=["core/fused", *kept])
    whole = compose.merge_models(whole, last, [(name, name) for name in ("core/fused", *kept)])
    del whole.opset_import[:]  # merging lists one entry for each part
    whole.opset_import.extend(model.opset_import)
    whole.graph.input.sort(key=lambda value: _ORDER.index(value.name))
    return fold_constants(whole)


def _exported(
    network: nn.Module, inputs: dict[str, Tensor], outputs: list[str], prefix: str, interleaved: str
) -> ModelProto:
    """A module as ONNX, its inner names with a prefix; inputs and outputs keep theirs."""
    import onnx
    from onnx import compose

    content = to_onnx(network, inputs, outputs, interleaved)
    model = onnx.load_model_from_string(content)
    return compose.add_prefix(model, prefix, rename_inputs=False, rename_outputs=False)


def _quantised(model: ModelProto, calibration: Iterable[Pair]) -> ModelProto:
    """The trained convolutions in int8 (symmetric, weights by channel), the rest in float16.

    Trained convolutions are those with a bias; the fixed kernels at full resolution stay.
    """
    taken = {value.name for value in model.graph.input}
    feeds = []
    for index, (infrared, visible) in enumerate(calibration):
        images = {"infrared": infrared[None, None], "visible": luminance(visible)[None, None]}
        for vividness in (0.0, 1.0) if index % 2 else (0.5,):
            asked = {"vividness": np.array([vividness], np.float32), "aim": np.array([0], np.int32)}
            feeds.append({**images, **{name: value for name, value in asked.items() if name in taken}})
    if not feeds:
        raise ConfigError("int8 needs pairs to calibrate on; give a folder of them")
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 3]
    if not convolutions:
        raise ModelError("int8: the model has no trained convolution to quantise")
    # The last one gives the coefficients themselves, whose rounding would be seen all over the image.
    quantised = quantise(model, convolutions[:-1] or convolutions, feeds)
    in_float = _beside_quantisation(quantised)
    return to_half(quantised, lambda node: _needs_float32(node) or node.name in in_float)


def _needs_float32(node: NodeProto) -> bool:
    """Whether a node at 1/4 resolution is none of the trained layers: it costs next to nothing but magnifies rounding,
    since logarithms and differences of small numbers are taken, and large terms cancel in the maps."""
    trained = ("/maps/stem", "/maps/to_wide", "/maps/wide", "/maps/from_wide", "/maps/body", "/maps/mix", "/maps/head")
    at_cells = ("/statistics/", "/of_cells/", "/maps/")
    return node.name.startswith(at_cells) and not node.name.startswith(trained)


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
