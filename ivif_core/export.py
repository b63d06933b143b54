"""Student checkpoint -> ONNX files that follow the contract in `ivif_core.models`."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ivif_core import __version__
from ivif_core.errors import ModelError
from ivif_core.onnx_graph import check_for_tensorrt, fold_constants

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ivif_core.networks.student import Student

OPSET = 17
"""Read by every runtime that is supported, from TensorRT 8.6 (JetPack 6.0) on."""


def export_student(student: Student, folder: str | Path, *, recipe: str, name: str = "student") -> list[Path]:
    """Write `<name>.onnx` (float32) and `<name>_uint8.onnx` (8 bits in and out, the same network).

    Args:
        student: a trained student.
        folder: made where it is missing.
        recipe: text of the recipe; its hash goes into the files.

    Returns:
        The two paths.

    Raises:
        ModelError: the network does not export, or gives NaN.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "ivif.version": __version__,
        "ivif.stride": str(student.stride),
        "ivif.receptive_field": str(student.receptive_field),
        "ivif.recipe_sha256": hashlib.sha256(recipe.encode()).hexdigest(),
    }
    written = []
    for suffix, eight_bit in (("", False), ("_uint8", True)):
        content = _with_metadata(_to_onnx(student, eight_bit), metadata)
        written.append(folder / f"{name}{suffix}.onnx")
        _write(written[-1], content)
    return written


def _to_onnx(student: Student, eight_bit: bool) -> bytes:
    import torch

    # A size that is no multiple of the stride, so that padding and cropping are traced.
    pair = [torch.rand(1, 1, 67, 70) for _ in range(2)]
    network: nn.Module = student.cpu().eval()
    if eight_bit:
        network, pair = _eight_bit(network), [(255 * image).to(torch.uint8) for image in pair]
    axes = {key: {0: "N", 2: "H", 3: "W"} for key in ("infrared", "visible", "fused")}
    buffer = io.BytesIO()
    arguments = (*pair, torch.tensor([0.5]))
    with torch.no_grad():
        if not torch.isfinite(network(*arguments).float()).all():
            raise ModelError("export: the student gives NaN or infinity; its weights are broken")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is announced as the older one; it keeps the graph small
        torch.onnx.export(
            network,
            arguments,
            buffer,
            input_names=["infrared", "visible", "vividness"],
            output_names=["fused"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


def _eight_bit(student: nn.Module) -> nn.Module:
    """The student between 8-bit images."""
    import torch

    class EightBit(torch.nn.Module):
        def forward(self, infrared: Tensor, visible: Tensor, vividness: Tensor) -> Tensor:
            fused = student(infrared.float() / 255, visible.float() / 255, vividness)
            return (255 * fused + 0.5).to(torch.uint8)

    network = EightBit()
    network.student = student
    return network.eval()


def _with_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    import onnx

    model = fold_constants(onnx.load_model_from_string(content))
    check_for_tensorrt(model)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
