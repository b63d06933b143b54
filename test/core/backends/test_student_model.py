"""A file that breaks the contract, or asks for more than the machine has, ends in one line."""

from __future__ import annotations

import resource

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")
from onnx import TensorProto, helper, numpy_helper

from ivif_core import backends
from ivif_core.backends.memory_guard import within_available_memory
from ivif_core.backends.runner import Port
from ivif_core.backends.student_model import signature_of
from ivif_core.errors import ModelError
from ivif_core.models import aims_of
from test.core.backends.test_backends import noise

CPU = [name for name in backends.ON_CPU if backends.backend_class(name).why_unavailable() is None]
FLOAT = TensorProto.FLOAT
OPEN = ["N", 1, "H", "W"]


def model(path, *nodes, inits=None, image=OPEN, output=OPEN, kind=FLOAT, vividness=(1,)) -> str:
    inputs = [helper.make_tensor_value_info(name, FLOAT, image) for name in ("infrared", "visible")]
    inputs.append(helper.make_tensor_value_info("vividness", FLOAT, list(vividness)))
    made = helper.make_graph(
        [helper.make_node(name, list(taken), [given], **more) for name, taken, given, more in nodes],
        "hostile",
        inputs,
        [helper.make_tensor_value_info("fused", kind, output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (inits or {}).items()],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


def step(name: str, *taken: str, to: str = "fused", **more) -> tuple:
    return name, taken, to, more


HUGE = np.array([1, 1, 200000, 200000])
SUM = step("Add", "infrared", "visible")
BY_MAXIMUM = (step("ReduceMax", "x", to="m", keepdims=0), step("Mul", "infrared", "m"))
CASES = {
    "scalar": ([step("ReduceMean", "infrared", keepdims=0)], {"output": []}, "fused to be float32 1×1×any×any"),
    "static": ([SUM], {"image": [1, 1, 8, 8], "output": [1, 1, 8, 8]}, "infrared to be .* got float32 1×1×8×8"),
    "static width": ([SUM], {"image": ["N", 1, "H", 64]}, "open height and width"),
    "five axes": (
        [step("Unsqueeze", "infrared", "axis")],
        {"inits": {"axis": np.array([0])}, "output": [1, *OPEN]},
        "fused to be",
    ),
    "another type": ([("Cast", ("infrared",), "fused", {"to": 6})],
                     {"kind": TensorProto.INT32}, "fused to be float32"),
    "vividness of 5": (
        [step("ReduceMax", "vividness", to="m", keepdims=0), step("Mul", "infrared", "m")],
        {"vividness": (5,)},
        "vividness to be float32 1, got float32 5",
    ),
    "transposed": ([step("Transpose", "infrared", perm=[0, 1, 3, 2])], {}, r"\(1, 1, 48, 32\) where"),
    "twice as large": (
        [step("Resize", "infrared", "", "scales", mode="nearest")],
        {"inits": {"scales": np.float32([1, 1, 2, 2])}},
        r"\(1, 1, 64, 96\) where",
    ),
    "NaN": ([step("Sub", "infrared", "infrared", to="zero"), step("Div", "zero", "zero")], {}, "NaN or infinity"),
    "160 GB": ([step("Expand", "vividness", "huge", to="x"), *BY_MAXIMUM], {"inits": {"huge": HUGE}},
               "cannot (run|load)"),
    "160 GB, constant": ([step("ConstantOfShape", "huge", to="x"), *BY_MAXIMUM], {"inits": {"huge": HUGE}},
                         "cannot (run|load)"),
    "400 kB a pixel": (
        [step("Expand", "infrared", "many", to="x"), step("ReduceMax", "x", axes=[1])],
        {"inits": {"many": np.array([1, 100000, 1, 1])}},
        "cannot run",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", CPU)
def test_one_line_and_the_limit_is_taken_back(name, case, tmp_path) -> None:
    nodes, more, told = CASES[case]
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(ModelError, match=told) as caught:
        backends.create(name, model(tmp_path / "m.onnx", *nodes, **more))
    assert "\n" not in str(caught.value)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize("name", CPU)
def test_output_that_fits_the_probe_alone_is_refused_where_it_shows(name, tmp_path) -> None:
    """Always 32×48, which is what the probe has."""
    fixed = step("Resize", "infrared", "", "", "sizes", mode="nearest")
    path = model(tmp_path / "m.onnx", fixed, inits={"sizes": np.array([1, 1, 32, 48])})
    try:
        student = backends.create(name, path)
    except ModelError as error:  # a runtime that tells the shape beforehand
        assert "got float32" in str(error)
        return
    with student, pytest.raises(ModelError, match=r"\(1, 1, 32, 48\) where float32 \(1, 1, 40, 50\)"):
        student.infer(noise(0, 40, 50), noise(1, 40, 50), 0.5)


def test_axes_that_a_runtime_does_not_tell_are_left_to_the_run() -> None:
    image = Port("float32", None)
    signature = signature_of({"infrared": image, "visible": image}, {"fused": image})
    assert not (signature.uint8 or signature.colour or signature.vividness or signature.maps)


def test_bounds_in_several_threads_end_with_the_last_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    first, second = within_available_memory(), within_available_memory(1 << 20)
    first.__enter__()
    second.__enter__()
    bound = resource.getrlimit(resource.RLIMIT_DATA)[0]
    assert bound != resource.RLIM_INFINITY
    first.__exit__(None, None, None)
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == bound
    second.__exit__(None, None, None)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


AIM = Port("int32", (1,))
IMAGE = Port("float32", None)


@pytest.mark.parametrize(
    ("port", "aims", "told"),
    [
        (AIM, (), "expected an input aim, and the metadata ivif.aims, or neither; .* the aims of none"),
        (None, ("clear", "people"), "or neither; got inputs .* the aims clear, people"),
        (Port("float32", (1,)), ("clear", "people"), "aim to be int32 1, got float32 1"),
        (Port("int32", (2,)), ("clear", "people"), "aim to be int32 1, got int32 2"),
    ],
)
def test_an_aim_and_its_names_come_together(port, aims, told) -> None:
    ports = {"infrared": IMAGE, "visible": IMAGE, **({"aim": port} if port else {})}
    with pytest.raises(ModelError, match=told):
        signature_of(ports, {"fused": IMAGE}, aims)


@pytest.mark.parametrize("text", ["", "3", '"clear"', "[]", "[1]", '["a", "a"]', '[""]', "[" * 9999, '{"a": 1}'])
def test_names_of_aims_that_are_none_are_refused(text) -> None:
    with pytest.raises(ModelError, match=r"ivif\.aims: expected") as caught:
        aims_of({"ivif.aims": text})
    assert len(str(caught.value)) < 300
    assert aims_of({}) == () and aims_of({"ivif.aims": '["clear"]'}) == ("clear",)
