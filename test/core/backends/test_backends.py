from __future__ import annotations

import importlib.util
import shutil

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")
TensorProto, helper = onnx.TensorProto, onnx.helper

from ivif_core import backends
from ivif_core.backends.runner import Port
from ivif_core.backends.student_model import signature_of
from ivif_core.errors import BackendUnavailable, ConfigError, InputError, ModelError
from ivif_core.models import resolve_model

INSTALLED = [name for name, reason in backends.available().items() if reason is None]

SIZES = [(480, 640), (33, 47), (32, 32), (97, 130)]


def write_model(path, *, names=("infrared", "visible"), element=TensorProto.FLOAT, output="fused") -> str:
    """Two thirds of the first input and one third of the second, in the ONNX contract's shape."""
    shape = ["N", 1, "H", "W"]
    inputs = [helper.make_tensor_value_info(name, element, shape) for name in names]
    outputs = [helper.make_tensor_value_info(output, element, shape)]
    constants = [helper.make_tensor("p", TensorProto.FLOAT, [1], [2 / 3]), helper.make_tensor("q", 1, [1], [1 / 3])]
    cast_in = [helper.make_node("Cast", [name], [f"{name}_f"], to=TensorProto.FLOAT) for name in names[:2]]
    nodes = [
        *cast_in,
        helper.make_node("Mul", [f"{names[0]}_f", "p"], ["a"]),
        helper.make_node("Mul", [f"{names[1]}_f", "q"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Cast", ["c"], [output], to=element),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return str(path)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("name", INSTALLED)
def test_a_known_model_gives_the_known_result_on_every_backend(name, tmp_path):
    infrared, visible = noise(0, 33, 47), noise(1, 33, 47)
    expected = np.rint(infrared / 255 * (2 / 3) * 255 + visible / 3)
    with backends.create(name, write_model(tmp_path / "m.onnx")) as backend:
        fused = backend.infer(infrared, visible, 0.5)
        assert fused.dtype == np.uint8
        assert np.abs(fused - expected).max() <= 1
        assert backend.run_seconds > 0
        backend.close()
        np.testing.assert_array_equal(backend.infer(infrared, visible, 0.5), fused)  # opens again


@pytest.mark.parametrize("vividness", [0.0, 0.5, 1.0])
def test_backends_agree_on_the_shipped_student(vividness):
    """On a scene with edges, noise, saturation; every pair of sizes differs, odd ones too."""
    for seed, size in enumerate([(480, 640), (233, 317), (32, 32)]):
        visible = cv2.GaussianBlur(noise(seed, *size), (0, 0), 2)
        infrared = cv2.GaussianBlur(noise(seed + 9, *size), (0, 0), 4)
        visible[: size[0] // 4] = 255
        infrared[:, : size[1] // 4] = 0
        results = []
        for name in INSTALLED:
            with backends.create(name, resolve_model()) as backend:
                results.append(backend.infer(infrared, visible, vividness).astype(int))
        for other in results[1:]:
            difference = np.abs(other - results[0])
            assert difference.mean() <= 1 and difference.max() <= 3


def test_backends_agree_on_real_pairs(shared):
    for folder in ("msrs_dev", "tno_dev"):
        for file in sorted((shared / "data" / folder / "visible").iterdir())[::5]:
            visible = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            infrared = cv2.imread(str(file.parents[1] / "infrared" / file.name), cv2.IMREAD_GRAYSCALE)
            results = []
            for name in INSTALLED:
                with backends.create(name, resolve_model()) as backend:
                    results.append(backend.infer(infrared, visible, 1.0).astype(int))
            for other in results[1:]:
                difference = np.abs(other - results[0])
                assert difference.mean() <= 1 and difference.max() <= 3, file.name


@pytest.mark.parametrize("name", [name for name in INSTALLED if backends.backend_class(name).takes_maps])
def test_the_form_for_cpus_gives_what_the_whole_network_gives(name, tmp_path):
    alone = tmp_path / resolve_model().name
    shutil.copy(resolve_model(), alone)
    with backends.create(name, resolve_model()) as maps, backends.create(name, alone) as whole:
        assert (maps.file.name, whole.file.name) == ("student_maps.onnx", "student_uint8.onnx")
        assert maps.signature.maps and maps.model == resolve_model()
        pairs = [(cv2.GaussianBlur(noise(n, *size), (0, 0), 3), noise(n + 5, *size)) for n, size in enumerate(SIZES)]
        for vividness in (0.0, 0.4, 1.0):
            together = [fused.copy() for fused in maps.infer_many(pairs, vividness)]
            for pair, fused in zip(pairs, together, strict=True):
                np.testing.assert_array_equal(maps.infer(*pair, vividness), fused)
                difference = np.abs(fused - whole.infer(*pair, vividness).astype(int))
                assert difference.max() <= 1 and difference.mean() < 0.01
        assert maps.run_seconds > 0
        with pytest.raises(InputError, match="differ"):
            maps.infer(pairs[0][0], pairs[1][1], 0.5)


def test_auto_takes_the_first_of_the_order_that_is_installed(monkeypatch):
    with backends.create("auto", resolve_model()) as backend:
        assert backend.name == next(name for name in backends.AUTO_ORDER if name in INSTALLED)
    first = backends.backend_class(backend.name)
    monkeypatch.setattr(first, "why_unavailable", classmethod(lambda cls: "not today"))
    rest = [name for name in backends.AUTO_ORDER if name in INSTALLED and name != backend.name]
    with backends.create("auto", resolve_model()) as other:
        assert other.name == rest[0]


def test_what_is_not_installed_says_what_to_install(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find_spec(name))
    with pytest.raises(BackendUnavailable, match=r"openvino is not installed.*pip install"):
        backends.create("openvino", resolve_model())
    with pytest.raises(ConfigError, match=r"abacus.*onnxruntime"):
        backends.create("abacus", resolve_model())


def test_a_model_that_breaks_the_contract_is_refused_by_name(tmp_path):
    wrong = write_model(tmp_path / "m.onnx", names=("thermal", "visible"))
    with pytest.raises(ModelError, match=r"expected inputs infrared, visible.*thermal"):
        backends.create("onnxruntime", wrong)
    with pytest.raises(ModelError, match="expected images all uint8 or all float32"):
        signature_of(
            {"infrared": Port("uint8", None), "visible": Port("float32", None)}, {"fused": Port("uint8", None)}
        )


def test_auto_says_once_what_is_wrong_with_the_model(tmp_path):
    (tmp_path / "cut.onnx").write_bytes(resolve_model().read_bytes()[:3000])
    for model in (tmp_path / "cut.onnx", write_model(tmp_path / "m.onnx", names=("thermal", "visible"))):
        with pytest.raises(ModelError) as one:
            backends.create("onnxruntime", model)
        with pytest.raises((ModelError, BackendUnavailable)) as every:
            backends.create("auto", model)
        assert str(every.value).count(str(one.value)) == 1


@pytest.mark.parametrize(
    ("infrared", "visible", "vividness", "told"),
    [
        (noise(0, 40, 40), noise(1, 40, 41), 0.5, "differ"),
        (noise(0, 31, 40), noise(1, 31, 40), 0.5, "at least 32×32"),
        (noise(0, 40, 40).astype(float), noise(1, 40, 40), 0.5, "infrared: expected a uint8"),
        (noise(0, 40, 40), noise(1, 40, 40, 3), 0.5, "visible: expected a uint8 array of 2 axes"),
        (noise(0, 40, 40), noise(1, 40, 40), float("nan"), "vividness"),
    ],
)
def test_inputs_are_checked_in_the_base(infrared, visible, vividness, told, tmp_path):
    with (
        backends.create("onnxruntime", write_model(tmp_path / "m.onnx")) as backend,
        pytest.raises(InputError, match=told),
    ):
        backend.infer(infrared, visible, vividness)
