from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from ivif_core.backends import StudentModel
from ivif_core.backends.onnxruntime import OnnxRuntimeRunner
from ivif_core.errors import ModelError
from ivif_core.models import read_metadata
from ivif_core.models.onnx_graph import check_for_tensorrt, operators
from ivif_core.training import export
from ivif_core.training.export import export_student
from ivif_core.training.networks.learned_student import LearnedStudent


@pytest.fixture(scope="module")
def student() -> LearnedStudent:
    torch.manual_seed(0)
    made = LearnedStudent().eval()
    with torch.no_grad():
        made.maps.head.weight.normal_(0, 0.05)
    return made


class Whole(OnnxRuntimeRunner):
    """Does not take the form for CPUs in place of the 8-bit one."""

    takes_maps = False


def test_exported_files_compute_what_torch_computes(student, tmp_path) -> None:
    rng = np.random.default_rng(0)
    for file, kind in zip(
        export_student(student, tmp_path, recipe="r"), (Whole, Whole, OnnxRuntimeRunner), strict=True
    ):
        with StudentModel(kind, file) as backend:
            for size in ((32, 32), (67, 70), (95, 64), (120, 160)):
                infrared, visible = rng.integers(0, 256, (2, *size), np.uint8)
                scaled = (torch.from_numpy(image / 255).float()[None, None] for image in (infrared, visible))
                with torch.no_grad():
                    expected = student(*scaled, torch.tensor([0.3]))[0, 0].numpy() * 255
                assert np.abs(backend.infer(infrared, visible, 0.3) - expected).max() <= 0.51


def test_exported_files_are_of_operators_that_tensorrt_parses(student, tmp_path) -> None:
    for file in export_student(student, tmp_path, recipe="r"):
        model = onnx.load(file)
        check_for_tensorrt(model)
        # Padding by amounts that depend on the size would come as arithmetic on shapes.
        assert not {"Mod", "Transpose", "ConstantOfShape", "Constant"} & operators(model).keys()
        assert read_metadata(file)["ivif.stride"] == "32"


def test_broken_weights_are_not_exported(student, tmp_path) -> None:
    broken = LearnedStudent()
    with torch.no_grad():
        broken.maps.head.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="NaN"):
        export_student(broken, tmp_path, recipe="r")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_real_parser_refuses_is_not_written(student, tmp_path, monkeypatch) -> None:
    """An attribute value that ONNX takes and TensorRT does not."""
    pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx-cu12 (x86-64)")
    real = export.fold_constants

    def with_antialiasing(model):
        folded = real(model)
        node = next(node for node in folded.graph.node if node.op_type == "Relu")
        node.op_type = "LpPool"  # in ONNX's set, in neither list of TensorRT's
        node.attribute.append(onnx.helper.make_attribute("kernel_shape", [1, 1]))
        node.attribute.append(onnx.helper.make_attribute("p", 3))
        return folded

    monkeypatch.setattr(export, "fold_constants", with_antialiasing)
    monkeypatch.setattr(export, "check_for_tensorrt", lambda model: None)  # our own list, which is asked first
    with pytest.raises(ModelError, match=r"tensorrt-rtx .* cannot parse the model: .*LpPool"):
        export_student(student, tmp_path, recipe="r")
    assert list(tmp_path.iterdir()) == []
