from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra train)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")

from ivif_core import backends
from ivif_core.backends import EngineOptions, StudentModel
from ivif_core.backends.onnxruntime import OnnxRuntimeRunner
from ivif_core.backends.torch import TorchRunner
from ivif_core.errors import BackendUnavailable, ModelError
from ivif_core.imaging.files import pair_by_stem, read_infrared, read_visible
from ivif_core.models import resolve_model
from ivif_core.training.export import export_student
from ivif_core.training.networks.learned_student import LearnedStudent
from ivif_core.training.networks.rule_reference import RuleReference
from ivif_core.training.variants import write_variants
from test.core.backends.test_backends import noise, write_model
from test.training.test_variants import scene


class OnCpu(TorchRunner):
    """The same code without the CUDA graph, so that its numbers are checked where there is no GPU."""

    device_type = "cpu"


def difference(model, infrared, visible, vividness: float, precision: str) -> np.ndarray:
    with (
        StudentModel(OnCpu, model, engine=EngineOptions(precision=precision)) as ours,
        StudentModel(OnnxRuntimeRunner, model) as reference,
    ):
        fused = ours.infer(infrared, visible, vividness)
        assert fused.dtype == np.uint8 and fused.shape == visible.shape
        return np.abs(fused.astype(int) - reference.infer(infrared, visible, vividness))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("size", [(32, 32), (67, 70), (120, 160)])
def test_agrees_with_onnxruntime_on_the_shipped_student(precision, size) -> None:
    infrared, visible = scene(1, *size)
    for file in ("student.onnx", "student_uint8.onnx"):
        model = resolve_model().with_name(file)
        worst = difference(model, infrared, cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY), 0.8, precision)
        assert worst.max() <= 1 and worst.mean() <= (0.01 if precision == "fp32" else 0.2)


def test_agrees_on_real_pairs_in_half_precision(shared) -> None:
    """Half precision is computed in half here, operation by operation, as a GPU does it."""
    files, _ = pair_by_stem(shared / "data" / "msrs_dev" / "infrared", shared / "data" / "msrs_dev" / "visible")
    for infrared_file, visible_file in list(files.values())[::7]:
        grey = cv2.cvtColor(read_visible(visible_file), cv2.COLOR_BGR2GRAY)
        worst = difference(resolve_model(), read_infrared(infrared_file), grey, 0.5, "fp16")
        assert worst.max() <= 1 and worst.mean() <= 0.1


@pytest.fixture(params=["learned", "of the first release"])
def trained(request, tmp_path) -> Path:
    """All files of a student that does something, of another width than the shipped one."""
    torch.manual_seed(3)
    student = LearnedStudent(8, (1, 3), 8, (1,)) if request.param == "learned" else RuleReference(8, (1, 3))
    with torch.no_grad():
        student.maps.head.weight.normal_(0, 0.05)
    export_student(student, tmp_path, recipe="r")
    write_variants(tmp_path / "student.onnx", tmp_path, ["fp16", "bgr"])
    return tmp_path


def test_the_file_alone_says_which_module_it_is(trained) -> None:
    infrared, visible = scene(2, 41, 53)
    grey = cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)
    for file in ("student.onnx", "student_uint8.onnx", "student_fp16.onnx"):
        for precision in ("fp32", "fp16"):
            assert difference(trained / file, infrared, grey, 0.3, precision).max() <= 1
    for precision in ("fp32", "fp16"):
        assert difference(trained / "student_bgr.onnx", infrared, visible, 0.3, precision).max() <= 3


LEARNED = (
    '{"name": "learned-maps", "channels": %d, "dilations": [%s], "wide_channels": 32, '
    '"wide_dilations": [1, 2, 4, 4, 2, 1]}'
)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (None, "does not say which network it is"),
        ("[1]", "none of local-affine"),
        ('{"name": "os"}', "none of local-affine"),
        ('{"name": "local-affine", "channels": 32}', "expected channels, dilations"),
        ('{"name": "local-affine", "channels": 99999999, "dilations": [1]}', "whole numbers up to 1024"),
        ('{"name": "local-affine", "channels": true, "dilations": [1]}', "whole numbers up to 1024"),
        ('{"name": "local-affine", "channels": 32, "dilations": [1, 2, 4, 1]}', "the file has"),
        (LEARNED % (16, "1, 2, 4, 1"), r"the file has \(32, "),
        (LEARNED % (32, "1, 2, 4, 1, 1"), "the file has nothing"),
    ],
)
def test_a_file_that_is_of_no_known_network_is_refused_in_one_line(entry, told, tmp_path) -> None:
    model = onnx.load(resolve_model())
    kept = [one for one in model.metadata_props if one.key != "ivif.network"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    if entry:
        model.metadata_props.add(key="ivif.network", value=entry)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=told) as caught:
        StudentModel(OnCpu, tmp_path / "m.onnx").open()
    assert "\n" not in str(caught.value)


def test_another_contract_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match="torch runs a whole student"):
        StudentModel(OnCpu, write_model(tmp_path / "m.onnx")).open()


def test_shapes_change_and_everything_is_dropped_on_close() -> None:
    with StudentModel(OnCpu, resolve_model()) as backend:
        for size in ((40, 50), (64, 32), (40, 50)):
            assert backend.infer(noise(0, *size), noise(1, *size), 0.5).shape == size
        assert backend.describe().startswith("torch ")
    assert not [value for value in vars(backend.runner).values() if isinstance(value, (torch.nn.Module, torch.Tensor))]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA GPU")
def test_on_the_gpu_with_and_without_a_graph(monkeypatch) -> None:
    infrared, visible = scene(3, 480, 640)
    grey = cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)
    with StudentModel(OnnxRuntimeRunner, resolve_model()) as reference:
        expected = reference.infer(infrared, grey, 0.5).astype(int)
    with StudentModel(TorchRunner, resolve_model()) as backend:
        for _ in range(3):
            assert np.abs(backend.infer(infrared, grey, 0.5) - expected).max() <= 1
        assert backend.runner._graph is not None
        assert 0 < backend.device_seconds < backend.run_seconds
    monkeypatch.setattr(TorchRunner, "_capture", lambda self: None)
    with StudentModel(TorchRunner, resolve_model()) as backend:
        assert np.abs(backend.infer(infrared, grey, 0.5) - expected).max() <= 1
        assert backend.device_seconds is None


def test_time_on_the_device_is_that_between_two_events_around_the_graph() -> None:
    calls: list[str] = []

    class Event:
        def __init__(self, name: str) -> None:
            self.name = name

        def record(self) -> None:
            calls.append(self.name)

        def elapsed_time(self, end: Event) -> float:
            assert (self.name, end.name) == ("before", "after")
            return 2.5  # ms

    with StudentModel(OnCpu, resolve_model()) as backend:
        expected = backend.infer(noise(0, 40, 50), noise(1, 40, 50), 0.5)
        assert backend.device_seconds is None
        backend.runner._fused = torch.from_numpy(expected.copy())[None, None]
        backend.runner._graph = SimpleNamespace(replay=lambda: calls.append("replay"))
        backend.runner._events = (Event("before"), Event("after"))
        np.testing.assert_array_equal(backend.infer(noise(0, 40, 50), noise(1, 40, 50), 0.5), expected)
        assert calls == ["before", "replay", "after"] and backend.device_seconds == 0.0025


def test_looking_for_backends_without_a_gpu_imports_no_torch() -> None:
    code = (
        "import sys; from ivif_core import backends; reasons = backends.available(); "
        "print('torch' in sys.modules, reasons['torch'])"
    )
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, for which torch is imported")
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.startswith("False no NVIDIA driver")


class FakeRuntime:
    """Records how an ONNX Runtime session is asked for; starts only the CPU provider, as without a GPU."""

    def __init__(self, monkeypatch, starts: bool) -> None:
        import onnxruntime

        self.asked: list = []
        real = onnxruntime.InferenceSession

        def session(path, options, providers):
            self.asked = providers
            made = real(path, options, providers=["CPUExecutionProvider"])
            if not starts:
                return made
            monkeypatch.setattr(made, "get_providers", lambda: [providers[0][0]], raising=False)
            return made

        monkeypatch.setattr(onnxruntime, "InferenceSession", session)
        monkeypatch.setattr(
            onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
        )
        monkeypatch.setattr("ivif_core.backends.onnxruntime_gpu.why_no_driver", lambda: None)


def test_onnxruntimes_gpu_providers_by_name(monkeypatch, tmp_path) -> None:
    runtime = FakeRuntime(monkeypatch, starts=True)
    options = EngineOptions(cache=tmp_path, device=0)
    with backends.create("onnxruntime:cuda", resolve_model(), engine=options) as backend:
        assert runtime.asked == [("CUDAExecutionProvider", {"device_id": 0})]
        assert "(CUDA)" in backend.describe()
    with backends.create("onnxruntime:tensorrt", resolve_model(), engine=options):
        ((provider, settings),) = runtime.asked
        assert provider == "TensorrtExecutionProvider" and settings["trt_engine_cache_enable"]
        assert settings["trt_engine_cache_path"] == str(tmp_path / "onnxruntime")


def test_silent_fall_back_of_onnxruntime_to_the_cpu_is_an_error(monkeypatch) -> None:
    FakeRuntime(monkeypatch, starts=False)
    with pytest.raises(BackendUnavailable, match="could not start CUDAExecutionProvider"):
        backends.create("onnxruntime:cuda", resolve_model())


def test_onnxruntime_without_gpu_providers_says_so(monkeypatch) -> None:
    monkeypatch.setattr("ivif_core.backends.onnxruntime_gpu.why_no_driver", lambda: None)
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BackendUnavailable, match=r"no CUDAExecutionProvider here.*onnxruntime-gpu"):
        backends.create("onnxruntime:cuda", resolve_model())


def test_the_form_for_cpus_is_refused_by_name():
    maps = resolve_model().with_name("student_maps.onnx")
    with pytest.raises(ModelError, match=r"student_maps.onnx is the form for CPUs; give the one with _uint8"):
        StudentModel(OnCpu, maps).open()
