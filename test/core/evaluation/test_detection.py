"""What a machine sees: the decoding of a YOLOX file by hand, and how objects are counted."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")
from onnx import TensorProto, helper, numpy_helper

from ivif_core.benchmarks.external_onnx import ForeignNetwork
from ivif_core.errors import ModelError
from ivif_core.evaluation.detection import (
    PERSON,
    Detection,
    Detector,
    Finding,
    is_among,
    objects_of,
    overlap,
    without_doubles,
)

SIDE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2


def detector_file(path: Path, output: np.ndarray, name: str = "images") -> Path:
    """A detector that sees the same in every image."""
    shape = (1, 3, SIDE, SIDE)
    nodes = [
        helper.make_node("ReduceSum", [name], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["seen", "nothing"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output.shape)],
        [
            numpy_helper.from_array(output.astype(np.float32), "seen"),
            numpy_helper.from_array(np.zeros((), np.float32), "zero"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def nothing_seen() -> np.ndarray:
    return np.zeros((1, CELLS, 5 + 8), np.float32)


def test_boxes_are_decoded_from_their_cells(tmp_path: Path) -> None:
    output = nothing_seen()
    # Stride 8, row 2, column 3: centre (0.5 + 3, 0.25 + 2) · 8 = (28, 18); sides 16 and 8.
    output[0, 2 * 8 + 3, :5] = 0.5, 0.25, np.log(2), 0.0, 0.9
    output[0, 2 * 8 + 3, 5 + 2] = 0.8
    # Stride 32, row 1, column 0: centre (16, 48), sides 32 and 32.
    output[0, 64 + 16 + 2, :5] = 0.5, 0.5, 0.0, 0.0, 0.6
    output[0, 64 + 16 + 2, 5 + PERSON] = 1.0
    # Of a class that does not count.
    output[0, 5, 4], output[0, 5, 5 + 4] = 1.0, 1.0
    with Detector(detector_file(tmp_path / "d.onnx", output)) as detector:
        found = detector(np.zeros((32, 128, 3), np.uint8), 0.5)  # half its size fits
        assert [one.kind for one in found] == [2, PERSON]
        assert [one.score for one in found] == pytest.approx([0.72, 0.6])
        assert found[0].box == pytest.approx((40, 28, 72, 44), abs=1e-3)
        assert found[1].box == pytest.approx((0, 64, 64, 128), abs=1e-3)
        assert len(detector(np.zeros((32, 128), np.uint8), 0.65)) == 1
        assert [one.kind for one in objects_of(detector, *np.zeros((2, 32, 128), np.uint8))] == [2, PERSON]


def test_files_of_another_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="YOLOX"):
        Detector(detector_file(tmp_path / "d.onnx", nothing_seen(), name="picture"))
    with (
        pytest.raises(ModelError, match="expected 1×84"),
        Detector(detector_file(tmp_path / "e.onnx", np.zeros((1, 12, 13)))) as detector,
    ):
        detector(np.zeros((64, 64), np.uint8), 0.5)
    (tmp_path / "f.onnx").write_text("no model")
    with pytest.raises(ModelError):
        Detector(tmp_path / "f.onnx")


boxes = st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 12)] * 2).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)


@given(boxes, boxes)
def test_overlap_is_that_of_the_pixels(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    drawn = np.zeros((2, 40, 40), bool)
    for image, (left, top, right, bottom) in zip(drawn, (first, second), strict=True):
        image[top:bottom, left:right] = True
    assert overlap(first, second) == pytest.approx((drawn[0] & drawn[1]).sum() / (drawn[0] | drawn[1]).sum())


def test_of_doubles_the_best_one_is_kept() -> None:
    person = Detection(PERSON, 0.9, (0, 0, 10, 20))
    double = Detection(PERSON, 0.5, (1, 0, 11, 20))
    beside = Detection(PERSON, 0.7, (9, 0, 19, 20))
    car = Detection(2, 0.6, (0, 0, 10, 20))
    assert without_doubles([double, car, person, beside]) == [person, beside, car]


def test_shares_and_false_alarms() -> None:
    person, car = Detection(PERSON, 0.9, (0, 0, 10, 20)), Detection(2, 0.9, (30, 0, 50, 20))
    finding = Finding({}, {})
    assert np.isnan(finding.share())
    finding.add([person, car], [Detection(PERSON, 0.4, (1, 0, 11, 20)), Detection(2, 0.4, (0, 30, 20, 50))])
    finding.add([car], [car])
    assert finding.share() == pytest.approx(2 / 3)
    assert finding.share(PERSON) == 1.0
    assert finding.share(2) == 0.5
    assert (finding.false, finding.images) == (1, 2)
    assert not is_among(car, [person])


def test_a_file_that_could_run_for_ever_is_refused(tmp_path: Path) -> None:
    function = helper.make_function("f", "Spin", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [])
    for name, node in (("loop", helper.make_node("Loop", [], [])), ("f", helper.make_node("Spin", [], [], domain="f"))):
        model = helper.make_model(helper.make_graph([node], "g", [], []), functions=[function] if name == "f" else [])
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        for load in (Detector, partial(ForeignNetwork, size=(64, 64))):
            with pytest.raises(ModelError, match="control flow"):
                load(tmp_path / "m.onnx")
