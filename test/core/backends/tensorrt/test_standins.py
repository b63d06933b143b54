"""That the stand-ins catch what they are for, and that what is used exists in the real classes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

from ivif_core.backends import EngineOptions, StudentModel
from ivif_core.backends.cuda import why_no_driver
from test.core.backends.test_backends import noise, write_model
from test.standins import install
from test.standins.tensorrt_module import RELEASES
from test.standins.tensorrt_release import NAMES

REPOSITORY = Path(__file__).resolve().parents[4]
MODULES = (
    "cuda",
    "tensorrt.engine_cache",
    "tensorrt.builder",
    "tensorrt.slot",
    "tensorrt.runner",
)  # in the order of their imports


def _mutated(module: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The backend module, with one text replaced in it or in a module that it uses."""
    loaded = {}
    for name in MODULES:
        source = (REPOSITORY / "ivif_core" / "backends" / f"{name.replace('.', '/')}.py").read_text()
        if name == module:
            assert old in source, f"{name} does not contain {old!r}: the mutation is out of date"
            source = source.replace(old, new)
        loaded[name] = ModuleType(f"ivif_core.backends.{name}")
        monkeypatch.setitem(sys.modules, f"ivif_core.backends.{name}", loaded[name])
        exec(compile(source, f"{name} (mutated)", "exec"), loaded[name].__dict__)
    return loaded["tensorrt.runner"]


def _exercise(release: str, backend_module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Build, load, run plainly and as a graph, change the shape, overlap, close; every result and every leak counts."""
    modules, builds = {}, []
    layout = "old" if release == "8.6" else "new"
    trt, cuda = install(release, layout, modules, on_build=lambda: builds.append(release))
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    model = write_model(folder / "model.onnx", element=onnx.TensorProto.UINT8)
    options = EngineOptions(cache=folder / "cache", optimum=(40, 50), maximum=(100, 100), version_compatible=True)
    for _ in range(2):  # built, then from the cache
        with StudentModel(backend_module.TensorRtRunner, model, engine=options) as backend:
            pairs = [(noise(s, *size), noise(s + 9, *size)) for s in range(4) for size in ((40, 50),)]
            pairs += [(noise(s, 64, 33), noise(s + 9, 64, 33)) for s in range(3)]
            fused = [backend.infer(*pair, 0.5).copy() for pair in pairs]
            fused += list(backend.infer_many(pairs, 0.5))
            for result, (infrared, visible) in zip(fused, pairs * 2, strict=True):
                expected = np.floor(infrared.astype(float) * 2 / 3 + visible.astype(float) / 3 + 1e-4)
                assert np.abs(result - expected).max() <= 1, "wrong numbers"
            assert cuda.calls.count("cudaMallocHost") <= 18, "memory is allocated anew for each run"
        assert cuda.live() == {}, "something on the GPU was not freed"
        assert trt.live() == {}, "a TensorRT object outlives its backend"
        cuda.calls.clear()
    assert len(builds) == 1, "built anew although it is cached"


MUTATIONS = {
    "call renamed as in an old release": ("tensorrt.slot", "execute_async_v3(int(", "execute_async_v2(int("),
    "another call renamed": ("tensorrt.slot", "context.set_input_shape(", "context.set_binding_shape("),
    "name that no release has": ("tensorrt.builder", "set_memory_pool_limit", "set_memory_limit"),
    "flag that newer releases lack": ("tensorrt.builder", 'if hasattr(flags, "EXPLICIT_BATCH"):', "if True:"),
    "flag that older releases lack": (
        "tensorrt.builder",
        'hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED") and',
        "trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED or",
    ),
    "monitor where there is none": ("tensorrt.builder", 'hasattr(trt, "IProgressMonitor") and', "True or"),
    "no profile": ("tensorrt.builder", "if config.add_optimization_profile(profile) < 0:", "if False:"),
    "profile out of order": (
        "tensorrt.builder",
        "(options.minimum, options.optimum,",
        "(options.optimum, options.minimum,",
    ),
    "shapes never inferred": ("tensorrt.slot", "missing = context.infer_shapes()", "missing = []"),
    "an address is left out": (
        "tensorrt.slot",
        "if not context.set_tensor_address(",
        "if name == 'fused' and not context.set_tensor_address(",
    ),
    "stream given as an object": (
        "tensorrt.slot",
        "execute_async_v3(int(self._stream))",
        "execute_async_v3(str(self._stream))",
    ),
    "capture before the first run": ("tensorrt.slot", "self._graph is None and self._warm", "self._graph is None"),
    "old graph after a new shape": ("tensorrt.slot", "self._graph, self._warm = None, False", "self._warm = False"),
    "result read before it is there": ("cuda", 'self._call("cudaStreamSynchronize", stream)', "pass"),
    "input not copied": ("tensorrt.slot", "self._cuda.copy_in(device,", "(lambda *_: None)(device,"),
    "output not copied": ("tensorrt.slot", "self._cuda.copy_out(self._host[name][0],", "(lambda *_: None)(None,"),
    "copied the wrong way": ("cuda", "cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"),
    "copied too much": (
        "tensorrt.slot",
        "self._host[name][0], nbytes, self._stream",
        "self._host[name][0], nbytes + 1, self._stream",
    ),
    "device memory not freed": ("tensorrt.slot", "self._memory.callback(self._cuda.free, device)", "pass"),
    "host memory not freed": ("tensorrt.slot", "self._memory.callback(self._cuda.free_host, host)", "pass"),
    "device memory freed twice": (
        "tensorrt.slot",
        "self._memory.callback(self._cuda.free, device)",
        "[self._memory.callback(self._cuda.free, device) for _ in '12']",
    ),
    "host memory freed as device memory": (
        "tensorrt.slot",
        "(self._cuda.free_host, host)",
        "(self._cuda.free, host)",
    ),
    "graph not destroyed": ("tensorrt.slot", "self._memory.callback(self._cuda.destroy_graph, graph)", "pass"),
    "recorded graph not destroyed": ("cuda", 'self._call("cudaGraphDestroy", graph)', "pass"),
    "stream not destroyed": ("tensorrt.slot", "stack.callback(self._cuda.destroy_stream, self._stream)", "pass"),
    "memory freed while in use": (
        "tensorrt.slot",
        "self._device[name] = device, nbytes",
        "self._device[name] = device, nbytes; self._cuda.free(device)",
    ),
    "engine kept after close": (
        "tensorrt.slot",
        "self._context = self.engine = None",
        "globals().setdefault('kept', []).append(self._context)",
    ),
    "memory anew for each run": ("tensorrt.slot", "if shapes == self._shapes:", "if False:"),
    "engine of another release trusted": (
        "tensorrt.runner",
        "runtime.engine_host_code_allowed = True",
        "runtime.engine_host_code = True",
    ),
    "cache keeps half an engine": (
        "tensorrt.engine_cache",
        "self.store(key, engine, of)",
        "self.store(key, engine[:50], of)",
    ),
}


def test_the_exercise_passes_unmutated(tmp_path, monkeypatch) -> None:
    for release in RELEASES:
        (tmp_path / release).mkdir()
        _exercise(release, _mutated("cuda", "cudaMalloc", "cudaMalloc", monkeypatch), tmp_path / release, monkeypatch)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutation_is_caught(mutation, tmp_path, monkeypatch) -> None:
    """At least one release's stand-in refuses it, or the numbers or the accounts are wrong."""
    caught = []
    for release in RELEASES:
        (tmp_path / release).mkdir()
        module = _mutated(*MUTATIONS[mutation], monkeypatch)
        try:
            _exercise(release, module, tmp_path / release, monkeypatch)
        except Exception as error:
            caught.append(f"{release}: {type(error).__name__}: {error}")
            if mutation not in ("flag that newer releases lack", "flag that older releases lack"):
                break
    assert caught, "no stand-in noticed it"


LEAN = """
import json, os, sys
import tensorrt_lean_bindings as lean
from ivif_core.backends.tensorrt.builder import make_logger
names, missing, seen = json.loads(sys.argv[1]), [], []
for kind, of_kind in names.items():
    holder = lean if kind == "top_level" else getattr(lean, kind, None)
    if holder is None:
        continue  # the lean runtime has no builder
    seen.append(kind)
    missing += [f"{kind}.{name}" for name in of_kind if not hasattr(holder, name) and (kind != "top_level")]
logger = make_logger(lean)
logger.log(lean.ILogger.Severity.ERROR, "said by us")
runtime = lean.Runtime(logger)
print(json.dumps({"missing": missing, "seen": seen, "said": logger.last_errors()}), flush=True)
os._exit(0)  # without a GPU the real runtime crashes when it is freed
"""


def _lean_folders() -> list[str]:
    """Folders with one lean runtime each: `IVIF_TENSORRT_LEAN` (as PATH is written), and the environment itself."""
    return ["", *filter(None, os.environ.get("IVIF_TENSORRT_LEAN", "").split(os.pathsep))]


@pytest.mark.parametrize("folder", _lean_folders())
def test_every_name_exists_in_the_real_lean_runtime(folder: str) -> None:
    installed = importlib.util.find_spec("tensorrt_lean_bindings")
    if not folder and installed is None:
        pytest.skip(
            "the lean runtime is not installed: pip install --no-deps tensorrt-lean-cu12-bindings "
            "tensorrt-lean-cu12-libs, or name folders that hold one each in IVIF_TENSORRT_LEAN"
        )
    libraries = Path(folder or Path(installed.origin).parents[1]) / "tensorrt_lean_libs"
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{folder}", "LD_LIBRARY_PATH": str(libraries)}
    version = subprocess.run(
        [sys.executable, "-c", "import tensorrt_lean_bindings as lean; print(lean.__version__)"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    release = max((r for r in RELEASES if _order(r) <= _order(version)), key=_order)
    names = {
        kind: [name for name, releases in of_kind.items() if release in releases.split()]
        for kind, of_kind in NAMES.items()
    }
    output = subprocess.run(
        [sys.executable, "-c", LEAN, json.dumps(names)], env=environment, capture_output=True, text=True, check=True
    ).stdout
    report = json.loads(output.splitlines()[-1])
    assert report["missing"] == []
    assert "said by us" in report["said"]
    if why_no_driver():
        assert "CUDA" in report["said"], "the real runtime complains to our logger that there is no GPU"
    assert {"Runtime", "ICudaEngine", "IExecutionContext", "ILogger", "DataType", "TensorIOMode"} <= set(report["seen"])


def _order(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def test_names_agree_with_the_tables_of_the_real_bindings(shared) -> None:
    folder = shared / "facts" / "tensorrt_api"
    for release in RELEASES:
        table = json.loads((folder / f"{release}.json").read_text())
        for kind, names in NAMES.items():
            for name, releases in names.items():
                assert (name in table.get(kind, [])) == (release in releases.split()), f"{release}: {kind}.{name}"
