"""Student checkpoint -> ONNX files that follow the contract in `ivif_core.models`."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ivif_core import __version__
from ivif_core.backends.tensorrt.builder import check_with_real_parser
from ivif_core.errors import ModelError
from ivif_core.files.writing import make_folder, write_bytes
from ivif_core.models import AIMS, check_model_target
from ivif_core.models.onnx_graph import check_for_tensorrt, fold_constants
from ivif_core.training.networks import METADATA, describe_student

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ivif_core.training.networks.learned_student import LearnedStudent
    from ivif_core.training.networks.rule_reference import RuleReference

    Student: TypeAlias = LearnedStudent | RuleReference

OPSET = 17
"""Read by every runtime that is supported, from TensorRT 8.6 (JetPack 6.0) on."""


def export_student(
    student: Student, folder: str | Path, *, recipe: str, name: str = "student", aims: Sequence[str] = ()
) -> list[Path]:
    """Write `<name>.onnx` (float32), `<name>_uint8.onnx` (8 bits in and out) and `<name>_maps.onnx` (for CPUs).

    All three are one network, see `ivif_core.models`.

    Args:
        student: a trained student.
        folder: made where it is missing.
        recipe: text of the recipe; its hash goes into the files.
        aims: names, of an `AimedStudent`.

    Returns:
        The three paths.

    Raises:
        OutputError: a file cannot be written, or is there and no model of ivif.
        ModelError: the network does not export, gives NaN, or TensorRT does not take it.
    """
    folder = make_folder(folder)
    for suffix in ("", "_uint8", "_maps"):
        check_model_target(folder / f"{name}{suffix}.onnx")
    metadata = {
        "ivif.version": __version__,
        "ivif.scene_scale": "1",
        METADATA: describe_student(student),
        "ivif.stride": str(student.stride),
        "ivif.receptive_field": str(student.receptive_field),
        "ivif.recipe_sha256": hashlib.sha256(recipe.encode()).hexdigest(),
        **({AIMS: json.dumps(list(aims))} if aims else {}),
    }
    written = []
    for suffix, exported in (("", _float), ("_uint8", _eight_bit), ("_maps", _maps)):
        if exported is _maps:
            metadata["ivif.form"] = "maps"
        content = _with_metadata(_whole(*exported(student.cpu().eval()), aimed=bool(aims)), metadata)
        written.append(folder / f"{name}{suffix}.onnx")
        write_bytes(written[-1], content)
        metadata.setdefault("ivif.made_from", hashlib.sha256(content).hexdigest())
    return written


def _whole(network: nn.Module, inputs: dict[str, Tensor], output: str, *, aimed: bool) -> bytes:
    """A student as ONNX."""
    import torch

    inputs = {**inputs, "vividness": torch.tensor([0.5])}
    if aimed:
        inputs["aim"] = torch.tensor([0], dtype=torch.int32)
    with torch.no_grad():
        if not torch.isfinite(network(*inputs.values()).float()).all():
            raise ModelError("export: the student gives NaN or infinity; its weights are broken")
    return to_onnx(network, inputs, [output])


def to_onnx(network: nn.Module, inputs: dict[str, Tensor], outputs: list[str], interleaved: str = "") -> bytes:
    """A module as ONNX, for images of any size and number.

    Args:
        inputs: name -> example, in the order of the module's arguments.
        interleaved: the one of them that is N×H×W×3; all others are N×C×H×W, or have one number.
    """
    import torch

    planar, packed = ({0: "N", 2: "H", 3: "W"}, {0: "N", 1: "H", 2: "W"})
    images = [name for name in (*inputs, *outputs) if name not in ("vividness", "aim")]
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is announced as the older one; it keeps the graph small
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes={name: packed if name == interleaved else planar for name in images},
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


def _float(student: Student) -> tuple[nn.Module, dict[str, Tensor], str]:
    import torch

    # A size that is no multiple of the stride, so that padding and cropping are traced.
    return student, {name: torch.rand(1, 1, 67, 70) for name in ("infrared", "visible")}, "fused"


def _maps(student: Student) -> tuple[nn.Module, dict[str, Tensor], str]:
    import torch

    from ivif_core.training.networks.aimed_student import AimedMaps, AimedStudent

    maps = AimedMaps(student.maps) if isinstance(student, AimedStudent) else student.maps
    return maps, {"statistics": torch.rand(1, 4, 18, 20)}, "maps"


def _eight_bit(student: Student) -> tuple[nn.Module, dict[str, Tensor], str]:
    """The student between 8-bit images."""
    import torch

    class EightBit(torch.nn.Module):
        def forward(self, infrared: Tensor, visible: Tensor, *asked: Tensor) -> Tensor:
            fused = student(infrared.float() / 255, visible.float() / 255, *asked)
            return (255 * fused + 0.5).to(torch.uint8)

    network = EightBit()
    network.student = student
    _, pair, output = _float(student)
    return network.eval(), {name: (255 * image).to(torch.uint8) for name, image in pair.items()}, output


def _with_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    import onnx

    model = fold_constants(onnx.load_model_from_string(content))
    check_for_tensorrt(model)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    check_with_real_parser(content)
    return content
