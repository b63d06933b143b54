from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

# TensorRT's stand-in reads models with onnx, which the robot has no need of (extra test).
collect_ignore = [] if find_spec("onnx") else ["backends/tensorrt"]


@pytest.fixture(scope="session")
def brighter_model(tmp_path_factory) -> Path:
    """A model that gives the brighter of both sources: what it does to a picture is plain to say."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")
    helper, proto = onnx.helper, onnx.TensorProto
    shape = ["N", 1, "H", "W"]
    inputs = [helper.make_tensor_value_info(name, proto.FLOAT, shape) for name in ("infrared", "visible")]
    output = helper.make_tensor_value_info("fused", proto.FLOAT, shape)
    graph = helper.make_graph(
        [helper.make_node("Max", ["infrared", "visible"], ["fused"])], "brighter", inputs, [output]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"ivif.version": "brighter"})
    path = tmp_path_factory.mktemp("model") / "brighter.onnx"
    onnx.save(model, path)
    return path
