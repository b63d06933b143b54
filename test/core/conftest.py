from __future__ import annotations

import shutil
import threading
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


@pytest.fixture(scope="session")
def chromium():
    """Headless Chromium, driven by selenium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra test)")
    from selenium.webdriver.chrome.service import Service

    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("no chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def serve():
    """Runs servers of pages in threads until the test ends."""
    running = []

    def start(server):
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join(5)
