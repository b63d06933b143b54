"""Model files: damaged ones, and graphs that are valid ONNX but not what the network should be."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from test.fuzz import command
from test.fuzz.damage import damage
from test.fuzz.mill import Case, Mill, Verdict
from test.fuzz.targets import PAIR

OUTPUT = "out.png"
SIDES = (1, 8, 48, 200_000)
FREE = ["N", 1, "H", "W"]
STUDENTS = ("student.onnx", "student_uint8.onnx", "student_maps.onnx")
EXTERNAL = (
    "/etc/passwd",
    "../../../../etc/passwd",
    "/dev/zero",
    ".",
    "infrared.png",
    "https://example.com/w",
    "a" * 5000,
)


class Models(Mill):
    name = "models"

    def open(self, scratch: Path) -> None:
        folder = command.ROOT / "ivif_core" / "models"
        self._students = {name: (folder / name).read_bytes() for name in STUDENTS if (folder / name).is_file()}
        Case("", PAIR).write(scratch)
        model = str(folder / "student.onnx")
        for backend in ("onnxruntime", "openvino"):
            command.preload([["fuse", *PAIR, "-o", f"{backend}.png", "--model", model, "--backend", backend]], scratch)
        command.preload([["info", "--model", model]], scratch)

    def make(self, random: random.Random) -> Case:
        if random.random() < 0.4:
            kind, name, model = "graph", random.choice(STUDENTS), graph(random, self._students["student.onnx"])
        else:
            name = random.choice(list(self._students))
            kind, (_, model) = "damaged", damage(self._students[name], random, head=2000)
        files = {**PAIR, name: model}
        if random.random() < 0.3:  # what lies beside it is looked for, too
            files = {**self._students, **files}
        backend = random.choice(("onnxruntime", "onnxruntime", "openvino", "auto"))
        arguments = ["fuse", *PAIR, "-o", OUTPUT, "--model", name, "--backend", backend]
        if random.random() < 0.1:
            arguments = ["info", "--model", name]
        return Case(kind, files, {"arguments": arguments})

    def judge(self, case: Case, folder: Path) -> Verdict:
        arguments = case.options["arguments"]
        verdict = command.judge(case, folder, command.run(arguments, folder), [OUTPUT])
        faults = list(verdict.faults)
        if verdict.taken and arguments[0] == "fuse":
            pixels = cv2.imread(str(folder / OUTPUT)) if (folder / OUTPUT).is_file() else None
            if pixels is None or pixels.shape[:2] != (48, 48):
                faults.append("done, and the image is missing, cut or of another size")
        return Verdict(verdict.taken, faults, verdict.said)


def graph(random: random.Random, student: bytes) -> bytes:
    """A valid file that is no network of this kind, or the student with wrong metadata."""
    return random.choice((_odd_nodes, _odd_inputs, _external, _metadata))(random, student)


def _model(nodes: list, inputs: list, shape: list, initializers: list | None = None) -> bytes:
    body = helper.make_graph(nodes, "g", inputs, [_value("fused", shape)], initializers or [])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def _value(name: str, shape: list, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _inputs() -> list:
    return [_value("infrared", FREE), _value("visible", FREE), _value("vividness", [1])]


def _odd_nodes(random: random.Random, student: bytes) -> bytes:
    """NaN, infinities, other shapes, more memory than there is, operators that nobody has."""
    side = random.choice(SIDES)
    size = numpy_helper.from_array(np.array([1, 1, side, side], np.int64), "size")
    minus = numpy_helper.from_array(np.array([1, 1, -7, 3], np.int64), "size")
    node = helper.make_node
    bodies = [
        ([node("Sub", ["infrared"] * 2, ["z"]), node("Div", ["z", "z"], ["fused"])], []),
        ([node("Sub", ["infrared"] * 2, ["z"]), node("Div", ["infrared", "z"], ["fused"])], []),
        ([node("Transpose", ["infrared"], ["fused"], perm=random.choice(([0, 1, 3, 2], [2, 3, 0, 1])))], []),
        ([node("ReduceMean", ["infrared"], ["fused"], keepdims=random.choice((0, 1)))], []),
        ([node("Expand", ["vividness", "size"], ["fused"])], [size]),
        ([node("Expand", ["vividness", "size"], ["x"]), node("ReduceMax", ["x"], ["fused"], keepdims=1)], [size]),
        ([node("Reshape", ["infrared", "size"], ["fused"])], [random.choice((size, minus))]),
        ([node("Nope", ["infrared"], ["fused"])], []),
        ([node("Add", ["infrared", "visible"], ["fused"], domain="elsewhere")], []),
        ([node("Add", ["infrared", "nobody"], ["fused"])], []),
        ([node("Add", ["fused", "visible"], ["fused"])], []),
        ([node("Add", ["infrared", "visible"], ["other"])], []),
        ([node("Identity", ["infrared"], ["fused"])] * 2, []),
        ([], []),
    ]
    nodes, initializers = random.choice(bodies)
    return _model(nodes, _inputs(), random.choice((FREE, [], [1, 1, 8, 8])), initializers)


def _odd_inputs(random: random.Random, student: bytes) -> bytes:
    kinds = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8, TensorProto.STRING, TensorProto.FLOAT16, 77)
    shapes = (FREE, [1, 1, 8, 8], [], [0, 0, 0, 0], [1, 3, "H", "W"], [2**40, 1, 1, 1], ["H", "W"], [-1, 1, -1, -1])
    names = random.choice(
        (["infrared", "visible"], ["a", "b"], ["infrared"], ["infrared", "visible", "more", "vividness"])
    )
    inputs = [_value(name, random.choice(shapes), random.choice(kinds)) for name in names]
    nodes = [helper.make_node("Add", [names[0], names[-1]], ["fused"])]
    return _model(nodes, inputs, random.choice(shapes))


def _external(random: random.Random, student: bytes) -> bytes:
    """Weights in another file, which is none of the model's."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 1, 4, 4], data_location=TensorProto.EXTERNAL)
    places = {"location": random.choice(EXTERNAL), "offset": random.choice(("0", "-1", "x")), "length": "64"}
    for key, value in places.items():
        weight.external_data.add(key=key, value=value)
    nodes = [
        helper.make_node("ReduceMean", ["w"], ["m"], keepdims=0),
        helper.make_node("Mul", ["infrared", "m"], ["fused"]),
    ]
    return _model(nodes, _inputs(), FREE, [weight])


def _metadata(random: random.Random, student: bytes) -> bytes:
    model = onnx.load_from_string(student)
    for entry in model.metadata_props:
        if random.random() < 0.5:
            entry.value = random.choice(
                ("", "-1", "0", "1e308", "nan", "x" * 3_000_000, "9" * 5000, "{", "\x07", "[1, 2]")
            )
    return model.SerializeToString()


def make_mill() -> Mill:
    return Models()
