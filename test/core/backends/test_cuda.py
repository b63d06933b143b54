from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed (extra test)")

from ivif_core.backends import cuda
from ivif_core.backends.cuda import Cuda, CudaError, host_array
from ivif_core.errors import BackendUnavailable
from test.standins import install
from test.standins.cuda_runtime import NAMES


@pytest.fixture(params=["new", "old"])
def runtime(request, monkeypatch):
    modules = {}
    _, runtime = install("10.3", request.param, modules)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return runtime


def test_copies_in_and_out_when_the_stream_is_waited_for(runtime, rng) -> None:
    gpu = Cuda()
    stream, device, host = gpu.create_stream(), gpu.allocate(24), gpu.allocate_host(24)
    array = host_array(host, (2, 3), np.dtype(np.float32))
    sent = rng.random((2, 3), np.float32)
    array[:] = sent
    gpu.copy_in(device, host, 24, stream)
    gpu.synchronize(stream)
    array[:] = 0
    gpu.copy_out(host, device, 24, stream)
    assert not array.any()  # the copy runs by itself, later
    gpu.synchronize(stream)
    np.testing.assert_array_equal(array, sent)
    gpu.free(device), gpu.free_host(host), gpu.destroy_stream(stream)
    assert runtime.live() == {}


def test_graph_repeats_what_was_recorded(runtime) -> None:
    gpu = Cuda()
    stream, device, host = gpu.create_stream(), gpu.allocate(4), gpu.allocate_host(4)
    array = host_array(host, (4,), np.dtype(np.uint8))
    gpu.begin_capture(stream)
    gpu.copy_in(device, host, 4, stream)
    with pytest.raises(CudaError, match="CaptureUnsupported"):
        gpu.allocate(1)
    graph = gpu.end_capture(stream)
    for value in (7, 9):
        array[:] = value
        gpu.launch(graph, stream)
        gpu.synchronize(stream)
        assert runtime.at(device, 4).tolist() == [value] * 4
    gpu.destroy_graph(graph), gpu.destroy_stream(stream), gpu.free(device), gpu.free_host(host)
    assert runtime.live() == {}


def test_failures_are_named(runtime) -> None:
    gpu = Cuda()
    runtime.fail_after = 0
    with pytest.raises(CudaError, match="cudaMalloc: cudaErrorMemoryAllocation"):
        gpu.allocate(1)
    with pytest.raises(CudaError, match="cudaFree: cudaErrorInvalidValue"):
        gpu.free(0xD000_0000_0000)
    assert (gpu.name, gpu.compute_capability) == ("Stand-in GPU", "8.7")


def test_missing_gpu_is_said(runtime) -> None:
    with pytest.raises(BackendUnavailable, match="GPU 1 does not exist: there are 1"):
        Cuda(1)
    runtime.devices = 0
    with pytest.raises(BackendUnavailable, match="no usable NVIDIA GPU: cudaErrorNoDevice"):
        Cuda()


def test_missing_cuda_python_is_said(monkeypatch) -> None:
    for layout in cuda.LAYOUTS:
        monkeypatch.setitem(sys.modules, layout, None)
    with pytest.raises(BackendUnavailable, match="pip install cuda-python"):
        cuda.device_count()


CHECK = """
import importlib, json, sys
module = None
for layout in sys.argv[1].split(","):
    try:
        module = importlib.import_module(layout)
        break
    except ImportError:
        pass
print("absent" if module is None else json.dumps([n for n in json.loads(sys.argv[2]) if not hasattr(module, n)]))
"""


def _real_layouts() -> list[str]:
    """Folders that hold one cuda-python each: `IVIF_CUDA_PYTHON` (as PATH is written), and the environment itself."""
    return ["", *filter(None, os.environ.get("IVIF_CUDA_PYTHON", "").split(os.pathsep))]


@pytest.mark.parametrize("folder", _real_layouts())
def test_every_name_exists_in_the_real_module(folder: str) -> None:
    import json

    environment = {**os.environ, "PYTHONPATH": folder}
    result = subprocess.run(
        [sys.executable, "-c", CHECK, ",".join(cuda.LAYOUTS), json.dumps(NAMES)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=True,
    ).stdout.strip()
    if result == "absent":
        pytest.skip("cuda-python is not installed; pip install cuda-python, or name folders in IVIF_CUDA_PYTHON")
    assert json.loads(result) == []
