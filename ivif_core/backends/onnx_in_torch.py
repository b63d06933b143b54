"""An ONNX graph run by torch, for one shape of images: what the torch backend executes and captures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from onnx import ModelProto, helper, numpy_helper
from torch import Tensor
from torch.nn import functional

from ivif_core.errors import ModelError

_DTYPES = {1: torch.float32, 2: torch.uint8, 10: torch.float16}  # TensorProto.DataType


class OnnxInTorch(torch.nn.Module):
    """Runs the nodes of a model in order; weights are channels-last, so that convolutions are too."""

    def __init__(self, model: ModelProto) -> None:
        """
        Args:
            model: from `ivif_core.models.onnx_graph.with_shapes`.

        Raises:
            ModelError: it has an operator that is not known here; names it.
        """
        super().__init__()
        unknown = sorted({node.op_type for node in model.graph.node} - _OPERATORS.keys())
        if unknown:
            raise ModelError(f"torch backend: operators {', '.join(unknown)} are not supported")
        self._constants: dict[str, Tensor] = {}
        self._names: dict[str, str] = {}
        for index, value in enumerate(model.graph.initializer):
            tensor = torch.from_numpy(numpy_helper.to_array(value).copy())
            if tensor.is_floating_point():
                if tensor.ndim == 4:
                    tensor = tensor.contiguous(memory_format=torch.channels_last)
                self._names[value.name] = f"constant_{index}"
                self.register_buffer(f"constant_{index}", tensor)
            else:  # pads, axes and sizes are read on the host
                self._constants[value.name] = tensor
        self._nodes = [
            (_OPERATORS[n.op_type], {a.name: helper.get_attribute_value(a) for a in n.attribute}, n.input, n.output)
            for n in model.graph.node
        ]
        self._last_use = _last_uses(model.graph.node)

    @torch.inference_mode()
    def forward(self, feeds: Mapping[str, Tensor]) -> Tensor:
        """`fused` for inputs of the shapes that the model was made for."""
        values: dict[str, Any] = {**self._constants, **feeds, "": None}
        values |= {name: getattr(self, buffer) for name, buffer in self._names.items()}
        for index, (function, attributes, inputs, outputs) in enumerate(self._nodes):
            result = function(attributes, *(values[name] for name in inputs))
            values.update(zip(outputs, [result] if len(outputs) == 1 else result, strict=True))
            for name in self._last_use.get(index, ()):
                del values[name]
        return values["fused"]


def _last_uses(nodes: Any) -> dict[int, list[str]]:
    """Node -> intermediate tensors that are not needed after it."""
    made = {name for node in nodes for name in node.output} - {"fused"}
    last: dict[str, int] = {name: index for index, node in enumerate(nodes) for name in node.input if name in made}
    uses: dict[int, list[str]] = {}
    for name, index in last.items():
        uses.setdefault(index, []).append(name)
    return uses


def _conv(attributes: dict[str, Any], image: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    pads = attributes.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        image, pads = functional.pad(image, (pads[1], pads[3], pads[0], pads[2])), [0, 0]
    return functional.conv2d(
        image,
        weight,
        bias,
        stride=attributes.get("strides", [1, 1]),
        padding=pads[:2],
        dilation=attributes.get("dilations", [1, 1]),
        groups=attributes.get("group", 1),
    )


def _pad(attributes: dict[str, Any], image: Tensor, pads: Tensor, value: Tensor | None = None) -> Tensor:
    modes = {b"edge": "replicate", b"reflect": "reflect", b"constant": "constant"}
    mode = modes[attributes.get("mode", b"constant")]
    amounts = pads.tolist()
    rank = image.ndim
    torch_order = [amount for axis in (3, 2) for amount in (amounts[axis], amounts[axis + rank])]
    if rank != 4 or any(amounts[axis] or amounts[axis + rank] for axis in (0, 1)):
        raise ModelError(f"torch backend: Pad of {amounts} is not supported; only rows and columns of images")
    if not any(torch_order):
        return image
    if mode == "constant":
        return functional.pad(image, torch_order, value=0.0 if value is None else float(value))
    return functional.pad(image, torch_order, mode=mode)


def _slice(
    attributes: dict[str, Any], image: Tensor, starts: Tensor, ends: Tensor, axes: Tensor, steps: Tensor | None = None
) -> Tensor:
    index: list[slice] = [slice(None)] * image.ndim
    strides = [1] * len(starts) if steps is None else steps.tolist()
    for axis, start, end, step in zip(axes.tolist(), starts.tolist(), ends.tolist(), strides, strict=True):
        index[axis] = slice(start, end, step)
    return image[tuple(index)]


def _depth_to_space(attributes: dict[str, Any], image: Tensor) -> Tensor:
    block = attributes["blocksize"]
    if attributes.get("mode", b"DCR") == b"CRD":
        return functional.pixel_shuffle(image, block)
    n, c, h, w = image.shape
    rows = image.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return rows.reshape(n, c // block**2, h * block, w * block)


def _split(attributes: dict[str, Any], image: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
    return torch.split(image, sizes.tolist(), dim=attributes.get("axis", 0))


def _resize(attributes: dict[str, Any], image: Tensor, roi: Tensor | None, scales: Tensor) -> Tensor:
    known = attributes.get("coordinate_transformation_mode", b"half_pixel") in (b"half_pixel", b"pytorch_half_pixel")
    if attributes.get("mode") != b"linear" or not known:
        raise ModelError("torch backend: Resize is supported as linear, by scales, with half-pixel centres only")
    factors = [float(scale) for scale in scales.tolist()[2:]]
    return functional.interpolate(image, scale_factor=factors, mode="bilinear", align_corners=False)


def _unsqueeze(attributes: dict[str, Any], image: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(axes.tolist()):
        image = image.unsqueeze(axis)
    return image


def _clip(attributes: dict[str, Any], image: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return torch.clamp(image, low, high)


def _reduce(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda a, image: function(image, dim=list(a["axes"]), keepdim=bool(a.get("keepdims", 1)))


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Abs": lambda a, x: torch.abs(x),
    "Add": lambda a, x, y: x + y,
    "AveragePool": lambda a, x: functional.avg_pool2d(x, a["kernel_shape"], a.get("strides", 1)),
    "Cast": lambda a, x: x.to(_DTYPES[a["to"]]),
    "Clip": _clip,
    "Concat": lambda a, *parts: torch.cat(parts, dim=a["axis"]),
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "Div": lambda a, x, y: x / y,
    "Exp": lambda a, x: torch.exp(x),
    "Floor": lambda a, x: torch.floor(x),
    "Identity": lambda a, x: x,
    "Log": lambda a, x: torch.log(x),
    "Max": lambda a, x, y: torch.maximum(x, y),
    "MaxPool": lambda a, x: functional.max_pool2d(x, a["kernel_shape"], a.get("strides", 1)),
    "Min": lambda a, x, y: torch.minimum(x, y),
    "Mul": lambda a, x, y: x * y,
    "Neg": lambda a, x: -x,
    "Pad": _pad,
    "Pow": lambda a, x, y: x**y,
    "ReduceMean": _reduce(torch.mean),
    "Relu": lambda a, x: torch.relu(x),
    "Reshape": lambda a, x, shape: x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())]),
    "Resize": _resize,
    "Round": lambda a, x: torch.round(x),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Slice": _slice,
    "Split": _split,
    "Sub": lambda a, x, y: x - y,
    "Tanh": lambda a, x: torch.tanh(x),
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Unsqueeze": _unsqueeze,
}
