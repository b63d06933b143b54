from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ivif_core import backends
from ivif_core.backends import EngineOptions
from ivif_core.backends.onnxruntime import OnnxRuntimeBackend
from ivif_core.backends.torch import TorchBackend
from ivif_core.errors import BackendUnavailable, ModelError
from ivif_core.imaging.files import pair_by_stem, read_infrared, read_visible
from ivif_core.models import resolve_model
from test.core.backends.test_backends import noise, write_model
from test.core.models.test_variants import network, scene

torch = pytest.importorskip("torch")


class OnCpu(TorchBackend):
    """The same code without the CUDA graph, so that its numbers are checked where there is no GPU."""

    device_type = "cpu"


def difference(model, infrared, visible, vividness: float, precision: str) -> np.ndarray:
    with (
        OnCpu(model, engine=EngineOptions(precision=precision)) as ours,
        OnnxRuntimeBackend(model) as reference,
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


def test_shape_arithmetic_padding_and_convolutions_of_another_network(tmp_path) -> None:
    infrared, visible = scene(2, 41, 53)
    grey = cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)
    for precision in ("fp32", "fp16"):
        assert difference(network(tmp_path / "n.onnx"), infrared, grey, 0.3, precision).max() <= 1


OPERATIONS = [
    ("DepthToSpace", {"blocksize": 2, "mode": "DCR"}, (1, 8, 5, 6)),
    ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, (1, 8, 5, 6)),
    ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, (1, 3, 6, 8)),
    ("ReduceMean", {"axes": [1], "keepdims": 1}, (1, 3, 4, 5)),
    ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, (1, 3, 4, 5)),
    ("Transpose", {"perm": [0, 2, 3, 1]}, (1, 3, 4, 5)),
    *((name, {}, (1, 2, 4, 5)) for name in ("Exp", "Floor", "Neg", "Relu", "Round", "Sigmoid", "Tanh", "Identity")),
]


@pytest.mark.parametrize(("operator", "attributes", "shape"), OPERATIONS)
def test_operators_compute_what_onnx_says(operator, attributes, shape, rng) -> None:
    from onnx.reference import ReferenceEvaluator

    from ivif_core.backends.onnx_in_torch import OnnxInTorch

    node = helper.make_node(operator, ["x"], ["fused"], **attributes)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    output = helper.make_tensor_value_info("fused", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph([node], "g", [value], [output]), opset_imports=[helper.make_opsetid("", 17)]
    )
    x = (4 * rng.random(shape, np.float32) - 2).astype(np.float32)
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    result = OnnxInTorch(model)({"x": torch.from_numpy(x)}).numpy()
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_unknown_operator_is_named(tmp_path) -> None:
    model = onnx.load(write_model(tmp_path / "m.onnx"))
    model.graph.node[2].op_type = "Mod"
    onnx.save(model, tmp_path / "m.onnx")
    with OnCpu(tmp_path / "m.onnx") as backend, pytest.raises(ModelError, match="operators Mod are not supported"):
        backend.infer(noise(0, 40, 40), noise(1, 40, 40), 0.5)


def test_shapes_change_and_everything_is_dropped_on_close() -> None:
    with OnCpu(resolve_model()) as backend:
        for size in ((40, 50), (64, 32), (40, 50)):
            assert backend.infer(noise(0, *size), noise(1, *size), 0.5).shape == size
        assert backend.describe().startswith("torch ")
    assert not [value for value in vars(backend).values() if isinstance(value, (torch.nn.Module, torch.Tensor))]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA GPU")
def test_on_the_gpu_with_and_without_a_graph(monkeypatch) -> None:
    infrared, visible = scene(3, 480, 640)
    grey = cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)
    with OnnxRuntimeBackend(resolve_model()) as reference:
        expected = reference.infer(infrared, grey, 0.5).astype(int)
    with TorchBackend(resolve_model()) as backend:
        for _ in range(3):
            assert np.abs(backend.infer(infrared, grey, 0.5) - expected).max() <= 1
        assert backend._graph is not None
        assert 0 < backend.device_seconds < backend.run_seconds
    monkeypatch.setattr(TorchBackend, "_capture", lambda self: None)
    with TorchBackend(resolve_model()) as backend:
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

    with OnCpu(resolve_model()) as backend:
        expected = backend.infer(noise(0, 40, 50), noise(1, 40, 50), 0.5)
        assert backend.device_seconds is None
        backend._fused = torch.from_numpy(expected.copy())[None, None]
        backend._graph = SimpleNamespace(replay=lambda: calls.append("replay"))
        backend._events = (Event("before"), Event("after"))
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
        OnCpu(maps).open()
