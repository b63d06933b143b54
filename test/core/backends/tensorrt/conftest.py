from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from ivif_core.backends import EngineOptions
from test.core.backends.test_backends import write_model
from test.standins.in_process import StandIn
from test.standins.tensorrt_module import RELEASES


@pytest.fixture(params=list(RELEASES))
def release(request) -> str:
    return request.param


@pytest.fixture
def standin(release, monkeypatch) -> StandIn:
    return StandIn(release, monkeypatch)


@pytest.fixture
def model(tmp_path) -> Path:
    return Path(write_model(tmp_path / "model.onnx", element=onnx.TensorProto.UINT8))


@pytest.fixture
def options(tmp_path) -> EngineOptions:
    return EngineOptions(cache=tmp_path / "cache", maximum=(480, 640))
