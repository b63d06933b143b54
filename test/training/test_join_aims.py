"""Students of several sentences in one file: each aim gives what its own student gives, in every form and runtime."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from ivif_core.backends import ON_CPU, EngineOptions, StudentModel, backend_class
from ivif_core.backends.tensorrt.builder import build_engine, make_logger
from ivif_core.backends.tensorrt.library import LIBRARIES
from ivif_core.backends.torch import TorchRunner
from ivif_core.cli.main import main as ivif
from ivif_core.fusion import Fuser
from ivif_core.models import aims_of, read_metadata
from ivif_core.training.export import export_student
from ivif_core.training.networks.aimed_student import VIVID_ROWS, AimedStudent
from ivif_core.training.networks.learned_student import LearnedStudent
from ivif_core.training.teach_student import load_student
from ivif_core.training.variants import write_variants
from test.training.test_variants import scene

AIMS = ("clear", "people", "hidden")
SHAPE = {"channels": 8, "dilations": [1], "wide_channels": 8, "wide_dilations": [1]}


class OnCpu(TorchRunner):
    device_type = "cpu"


def save(student: LearnedStudent, path: Path) -> None:
    torch.save({"kind": "student", "step": 1, "recipe": SHAPE, "model": student.state_dict()}, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders of three sentences, the files of the first alone in `one`, and all of them joined in `joined`."""
    folder = tmp_path_factory.mktemp("aims")
    torch.manual_seed(3)
    student = LearnedStudent(8, (1,), 8, (1,))
    torch.nn.init.normal_(student.maps.head.weight, std=0.05)
    for aim in AIMS:
        (folder / aim).mkdir()
        save(student, folder / aim / "last.pt")
        with torch.no_grad():
            student.maps.head.weight[-VIVID_ROWS:] += 0.05 * torch.randn(
                VIVID_ROWS, student.maps.head.in_channels, 1, 1
            )
            student.maps.head.bias[-VIVID_ROWS:] += 0.05 * torch.randn(VIVID_ROWS)
    for aim in AIMS:
        export_student(load_student(folder / aim / "last.pt"), folder / "one" / aim, recipe="")
    aims = ", ".join(f"{aim}: {folder / aim}" for aim in AIMS)
    assert ivif(["distill", f"aims={{{aims}}}", f"output={folder / 'joined'}"]) == 0
    return folder


PAIR = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image for image in scene(1, 72, 100)]


@pytest.mark.parametrize("form", ["student.onnx", "student_uint8.onnx", "student_maps.onnx"])
@pytest.mark.parametrize("backend", ON_CPU)
def test_every_aim_is_its_own_student(folder: Path, backend: str, form: str) -> None:
    kind = backend_class(backend)
    if reason := kind.why_unavailable():
        pytest.skip(reason)
    with StudentModel(kind, folder / "joined" / form) as joined:
        assert joined.signature.aims == AIMS
        for aim in AIMS:
            with StudentModel(kind, folder / "one" / aim / form) as one:
                for vividness in (0.0, 0.4, 1.0):
                    fused = joined.infer(*PAIR, vividness, aim)
                    np.testing.assert_array_equal(fused, one.infer(*PAIR, vividness))
        first = joined.infer(*PAIR, 1.0).copy()
        np.testing.assert_array_equal(first, joined.infer(*PAIR, 1.0, "clear"))
        assert np.abs(first.astype(int) - joined.infer(*PAIR, 1.0, "people")).mean() > 3
        assert not np.array_equal(first, next(joined.infer_many([PAIR], 1.0, "people")))


def test_the_other_forms_have_the_aims(folder: Path, tmp_path: Path) -> None:
    """fp16, int8 and bgr, and torch's own module, against float32; int8 of random weights is far off in itself."""
    joined, (infrared, visible) = folder / "joined" / "student.onnx", scene(1, 72, 100)
    made = write_variants(joined, tmp_path, calibration=[(infrared, visible)])
    expected = {}
    with Fuser(joined, "onnxruntime") as fuser:
        for fuser.aim in AIMS:
            fuser.vividness = 1.0
            expected[fuser.aim] = fuser.fuse(infrared, visible, grey=True).astype(int)
    for file in made.values():
        assert aims_of(read_metadata(file)) == AIMS
        with Fuser(file, "onnxruntime", vividness=1.0) as fuser:
            for fuser.aim in AIMS:
                apart = {a: np.abs(fuser.fuse(infrared, visible, grey=True) - e).mean() for a, e in expected.items()}
                assert min(apart, key=apart.__getitem__) == fuser.aim, (file.name, apart)
    for precision, limit in (("fp32", 0.01), ("fp16", 0.5)):
        with StudentModel(OnCpu, joined, engine=EngineOptions(precision=precision)) as model:
            for aim in AIMS:
                fused = model.infer(infrared, cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY), 1.0, aim)
                assert np.abs(fused - expected[aim]).mean() <= limit
    rtx = pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx-cu12 (x86-64)")
    small = EngineOptions(minimum=(32, 32), optimum=(64, 64), maximum=(96, 128), library="tensorrt-rtx")
    library = LIBRARIES["tensorrt-rtx"]
    content = made["fp16"].read_bytes()
    assert build_engine(library, rtx, None, content, "fp16", small, logger=make_logger(rtx))[0]


def test_weights_of_the_whole_graph_stay_constant(folder: Path) -> None:
    """TensorRT 8.6 takes no others in a convolution."""
    for form in ("student.onnx", "student_uint8.onnx"):
        graph = onnx.load(folder / "joined" / form).graph
        constants = {value.name for value in graph.initializer}
        assert all(constants.issuperset(node.input[1:]) for node in graph.node if node.op_type == "Conv")


def test_a_student_of_several_goes_on_as_that_of_its_first_aim(folder: Path) -> None:
    first, again = load_student(folder / "clear" / "last.pt"), load_student(folder / "joined" / "student.onnx")
    assert not isinstance(again, AimedStudent)
    assert all(torch.equal(values, again.state_dict()[name]) for name, values in first.state_dict().items())


@pytest.mark.parametrize(
    ("aims", "told"),
    [
        ("{a: clear, b: OTHER}", r"a \(.*\) and b \(.*\) differ in more than what a sentence moves"),
        ("{a: clear}", "expected 2 to 64 of them, got 1"),
        ("{on: clear, b: people}", "got True"),
        ("{Ü: clear, b: people}", "expected a name of a-z"),
        ("{nan: clear, b: people}", "expected a name of a-z"),
        ("{a: clear, b: 3}", "b: expected a student's file or folder, got 3"),
        ("{a: clear, b: nowhere}", "no checkpoint at"),
        ("[clear, people]", "aims takes dict"),
        ("{a: clear", "the value of aims"),
        ("{a: clear, b: people} steps=3", "unknown key 'steps'"),
        ("{a: clear, b: people} output=clear", "clear holds inputs"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_line(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    aims: str,
    told: str,
) -> None:
    other = load_student(folder / "clear" / "last.pt")
    with torch.no_grad():
        other.maps.head.bias[0] += 1e-6
    save(other, tmp_path / "other.pt")
    monkeypatch.chdir(folder)
    words = f"aims={aims}".replace("OTHER", str(tmp_path / "other.pt"))
    aims, *more = words.rsplit(" ", 1) if words.endswith(("steps=3", "output=clear")) else [words]
    assert ivif(["distill", aims, *(more or [f"output={tmp_path / 'made'}"])]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    assert re.search(told, said), said
    assert not (tmp_path / "made").exists()
