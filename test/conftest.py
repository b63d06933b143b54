from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# As a background job or under nohup signals are ignored, and so they would be in all children.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# torch's threads wait for each other at every small operation, which on a busy machine takes seconds.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure. The same cases in every run; HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_collection_finish() -> None:
    """Some 100 MB of modules and tests stay until the end: no garbage collection need look through them."""
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real image pairs that is not part of the product."""
    folder = Path(os.environ.get("IVIF_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"real image pairs are not at {folder}; set IVIF_SHARED to their folder")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def aimed_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with two aims that are plain to see: `thermal` gives the infrared image, `rgb` the visible one."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")
    helper, proto = onnx.helper, onnx.TensorProto
    shape = ["N", 1, "H", "W"]
    inputs = [helper.make_tensor_value_info(name, proto.UINT8, shape) for name in ("infrared", "visible")]
    inputs.append(helper.make_tensor_value_info("aim", proto.INT32, [1]))
    nodes = [
        helper.make_node("Concat", ["infrared", "visible"], ["both"], axis=1),
        helper.make_node("Gather", ["both", "aim"], ["fused"], axis=1),
    ]
    graph = helper.make_graph(nodes, "aims", inputs, [helper.make_tensor_value_info("fused", proto.UINT8, shape)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"ivif.version": "aims", "ivif.aims": '["thermal", "rgb"]'})
    path = tmp_path_factory.mktemp("aims") / "aims.onnx"
    onnx.save(model, path)
    return path
