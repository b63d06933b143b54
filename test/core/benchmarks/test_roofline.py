from __future__ import annotations

import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")
TensorProto, helper = onnx.TensorProto, onnx.helper
numpy_helper = onnx.numpy_helper

from ivif_core.benchmarks import roofline as bandwidth
from ivif_core.benchmarks.roofline import bytes_moved, copier, network_bytes
from ivif_core.errors import BackendUnavailable, ModelError
from ivif_core.models import resolve_model
from ivif_core.models.onnx_graph import with_shapes

PIXELS = 6 * 8
PLANE = 4 * PIXELS
"""Bytes of one float32 plane."""


def model(nodes, constants=(), outputs=("y",), shape=(1, 1, 6, 8), kind=TensorProto.FLOAT):
    """Nodes as 'Operator a b > c', from float input x of that shape to outputs of that kind."""
    made = []
    for text in nodes:
        names, result = text.split(" > ")
        operator, *inputs = names.split()
        made.append(helper.make_node(operator, inputs, result.split(), **ATTRIBUTES.get(operator, {})))
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_value_info(name, helper.make_tensor_type_proto(kind, None)) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


ONE = ("one", np.float32(1))
KERNEL = ("w", np.zeros((4, 1, 3, 3), np.float32))
ATTRIBUTES = {"Conv": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, "Cast": {"to": TensorProto.UINT8}}


@pytest.mark.parametrize(
    "nodes, constants, expected",
    [
        # One kernel: reads x and the constant, writes y.
        (["Add x one > a", "Relu a > b", "Exp b > y"], [ONE], 2 * PLANE + 4),
        # A diamond is still one kernel, and x is read once.
        (["Relu x > a", "Neg x > b", "Mul a b > y"], [], 2 * PLANE),
        # Convolution: x, weights, four planes; then these in and four out.
        (["Conv x w > a", "Relu a > y"], [KERNEL], PLANE + 4 * 36 + 4 * PLANE + 8 * PLANE),
        # The result of `a` is needed by the convolution and by `y`: written once, read by both. a and y are no kernel
        # together, since the convolution lies between.
        (
            ["Relu x > a", "Conv a w > b", "Mul a b > y"],
            [KERNEL],
            2 * PLANE + (PLANE + 4 * 36 + 4 * PLANE) + (PLANE + 4 * PLANE + 4 * PLANE),
        ),
        # Beside a convolution that it does not feed, `a` goes with `y`: x twice, weights, four planes thrice.
        (["Relu x > a", "Conv x w > b", "Mul a b > y"], [KERNEL], 2 * PLANE + 4 * 36 + 12 * PLANE),
        # Reshaping is free, and does not part a kernel.
        (["Relu x > a", "Reshape a flat > b", "Neg b > y"], [("flat", np.array([48]))], 2 * PLANE),
        # A slice reads no more than it writes.
        (
            ["Slice x start end axes > y"],
            [("start", np.array([0])), ("end", np.array([3])), ("axes", np.array([2]))],
            PLANE,
        ),
        # Padding by one: 6·8 in and 8·10 out, and its eight numbers.
        (["Pad x pads > y"], [("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1]))], PLANE + 4 * 80 + 64),
    ],
    ids=["chain", "diamond", "convolution", "circle", "beside", "reshape", "slice", "pad"],
)
def test_bytes_of_small_graphs_counted_by_hand(nodes, constants, expected):
    assert bytes_moved(model(nodes, constants)) == expected


def test_a_type_change_is_elementwise_and_counts_the_bytes_of_both_types():
    changed = model(["Mul x one > a", "Cast a > y"], [ONE], kind=TensorProto.UINT8)
    assert bytes_moved(changed) == PLANE + 4 + PIXELS


def test_what_two_outputs_need_is_written_twice_and_no_more():
    two = model(["Relu x > a", "Neg a > y"], outputs=("a", "y"))
    assert bytes_moved(two) == 3 * PLANE


def test_two_ways_round_close_no_circle_even_through_other_kernels():
    """a -> conv -> b -> conv -> y and a -> c -> y: c may go with a or with y, but not with both."""
    square = ("v", np.zeros((1, 1, 3, 3), np.float32))
    nodes = [
        "Relu x > a",
        "Conv a v > p",
        "Neg p > b",
        "Conv b v > q",
        "Exp a > c",
        "Add c q > y",
    ]
    a_and_c, b, y = 3 * PLANE, 2 * PLANE, 3 * PLANE
    assert bytes_moved(model(nodes, [square])) == a_and_c + b + y + 2 * (2 * PLANE + 36)


def test_an_unknown_shape_is_an_error():
    flexible = model(["Relu x > y"], shape=("N", 1, "H", "W"))
    flexible.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1, "H", "W"]))
    with pytest.raises(ModelError, match="'y' is not known"):
        bytes_moved(flexible)
    assert bytes_moved(with_shapes(flexible, {"x": (1, 1, 6, 8)})) == 2 * PLANE


@pytest.mark.parametrize("file", ["student.onnx", "student_uint8.onnx", "student_bgr.onnx", "student_int8.onnx"])
def test_bytes_of_the_shipped_students_grow_with_the_image(file):
    path = resolve_model().with_name(file)
    small, large = (network_bytes(path, "onnxruntime", size) for size in ((640, 512), (1280, 1024)))
    assert 3.6 < large / small < 4.1
    assert small > 640 * 512 * 3  # the images themselves


def test_a_model_of_something_else_than_images_is_an_error(tmp_path):
    onnx.save(model(["Relu x > y"]), tmp_path / "x.onnx")
    with pytest.raises(ModelError, match="takes x; expected infrared and visible"):
        network_bytes(tmp_path / "x.onnx", "onnxruntime", (64, 64))


def test_backends_that_compute_in_half_move_less():
    model = resolve_model()
    assert network_bytes(model, "torch", (640, 512)) < 0.75 * network_bytes(model, "onnxruntime", (640, 512))


def test_bandwidth_of_this_machine(monkeypatch):
    """Bytes read and written over the clock's seconds; all bytes are copied, and each copy is timed."""
    monkeypatch.setattr(bandwidth, "COPY_BYTES", 1 << 20)
    ticks, copied = iter(range(0, 1000, 2)), []
    monkeypatch.setattr(bandwidth.time, "perf_counter", lambda: next(ticks))
    copy = np.copyto
    monkeypatch.setattr(np, "copyto", lambda target, part: (copied.append(len(part)), copy(target, part)))
    assert copier("cpu")() == 2 * (1 << 20) / 2
    assert sum(copied) == next(ticks) // 4 * (1 << 20)


def test_a_gpu_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendUnavailable, match="pip install torch"):
        copier("cuda")
