"""TensorRT for RTX as it is on PyPI: the real parser and builder, which need no GPU; and the stand-ins held against it.

Only what a GPU does (deserialise, execute) is left to the stand-ins.
"""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import onnx
import pytest

from ivif_core.backends import EngineOptions
from ivif_core.backends.cuda import why_no_driver
from ivif_core.backends.tensorrt.builder import build_engine, make_logger
from ivif_core.backends.tensorrt.engine_cache import BuildCancelled, EngineCache
from ivif_core.backends.tensorrt.library import LIBRARIES, choose
from ivif_core.backends.tensorrt.runner import TensorRtRunner
from ivif_core.cli.main import main
from ivif_core.errors import BackendUnavailable, ConfigError, ModelError
from ivif_core.files.interruption import Terminated, ended_by_signals
from ivif_core.models import read_metadata, resolve_model
from test.core.backends.test_backends import write_model
from test.standins.cuda_runtime import CudaRuntime
from test.standins.tensorrt_module import make_tensorrt
from test.standins.tensorrt_release import NAMES, names_of

rtx = pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx-cu12 (x86-64)")

REPOSITORY = Path(__file__).resolve().parents[4]
SHIPPED = sorted(resolve_model().parent.glob("*.onnx"))
SMALL = EngineOptions(minimum=(32, 32), optimum=(64, 64), maximum=(96, 128), library="tensorrt-rtx")
LIBRARY = LIBRARIES["tensorrt-rtx"]

NOT_IN_RTX = {
    "Builder": {"platform_has_fast_fp16"},
    "BuilderFlag": {"FP16", "INT8"},
    "NetworkDefinitionCreationFlag": {"EXPLICIT_BATCH"},
}
"""What our code asks for by `hasattr` and RTX does not have."""


@pytest.fixture
def model(tmp_path) -> Path:
    return Path(write_model(tmp_path / "model.onnx", element=onnx.TensorProto.UINT8))


@pytest.fixture
def options(tmp_path) -> EngineOptions:
    return EngineOptions(**{**vars(SMALL), "cache": tmp_path / "cache"})


def parsed(content: bytes):
    """Builder, network and the parser's complaints."""
    logger = make_logger(rtx)
    builder = rtx.Builder(logger)
    network = builder.create_network(1 << int(rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = rtx.OnnxParser(network, logger)
    parser.parse(content)
    errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
    return builder, network, errors, (parser, logger)


def built_bytes(file: Path) -> int:
    """Size of the engine of a file; maps have other inputs, so shapes are set here."""
    if "maps" not in file.name:
        types = read_metadata(file).get("ivif.precision", "fp32")
        chosen = EngineOptions(**{**vars(SMALL), "precision": types})
        engine, timings = build_engine(LIBRARY, rtx, None, file.read_bytes(), types, chosen, logger=make_logger(rtx))
        assert timings == b""
        return len(engine)
    builder, network, errors, _kept = parsed(file.read_bytes())
    assert errors == []
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("statistics", (1, 4, 8, 8), (1, 4, 16, 16), (1, 4, 24, 32))
    config.add_optimization_profile(profile)
    return builder.build_serialized_network(network, config).nbytes


def test_all_six_forms_are_shipped() -> None:
    assert len(SHIPPED) == 6


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_real_builder_makes_an_engine_of_every_shipped_file(file) -> None:
    assert 1e6 < built_bytes(file) < 3e7


def test_real_parser_names_what_it_does_not_take(tmp_path, options) -> None:
    model = onnx.load(write_model(tmp_path / "m.onnx"))
    model.graph.node[2].op_type = "Frobnicate"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"tensorrt-rtx .* cannot parse the model: .*Frobnicate"):
        TensorRtRunner(tmp_path / "m.onnx", engine=options).build()
    assert EngineCache(options.cache).entries() == []


def test_built_once_described_and_listed(model, options, capsys) -> None:
    runner = TensorRtRunner(model, engine=options)
    assert runner.needs_build()
    of = runner.build()
    assert of["library"] == "tensorrt-rtx" and of["tensorrt"] == rtx.__version__ and "8.9" in of["gpu"]
    path = EngineCache(options.cache).path(runner.plan()[0])
    first = path.stat()
    TensorRtRunner(model, engine=options).build()
    assert not runner.needs_build() and path.stat().st_mtime_ns >= first.st_mtime_ns
    assert path.stat().st_ino == first.st_ino  # not written again
    arguments = ["--cache", str(options.cache)]
    assert main(["engines", "list", *arguments]) == 0
    assert "library tensorrt-rtx" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-7])
    assert runner.needs_build()
    runner.build()
    assert not runner.needs_build()
    assert main(["engines", "clear", *arguments]) == 0


def test_command_builds_without_a_gpu_and_says_for_which(model, tmp_path, capsys) -> None:
    command = ["engines", "build", str(model), "--library", "tensorrt-rtx", "--cache", str(tmp_path / "cache")]
    command += ["--min", "32x32", "--opt", "64x64", "--max", "96x96"]
    assert main([*command, "--compute-capability", "8.9", "8.6"]) == 0
    assert f"with tensorrt-rtx {rtx.__version__} for 8.6, 8.9" in capsys.readouterr().out
    assert main(command) == 0
    assert "for 8.0, 8.6, 8.9, 12.0 and later" in capsys.readouterr().out
    assert len(EngineCache(tmp_path / "cache").entries()) == 2
    assert main([*command, "--compute-capability", "9.0"]) == 2
    assert "9.0 is not known; choose of 7.5" in capsys.readouterr().err


def test_the_key_is_the_same_on_every_gpu_that_the_engine_serves(model, options) -> None:
    """So that an engine from a build server is found by the node."""
    serves = LIBRARY.serves
    assert serves(None, options) == serves(("RTX 4090", "8.9"), options) == serves(("RTX 5090", "12.0"), options)
    assert serves(("RTX 2080", "7.5"), options) == "7.5"
    with pytest.raises(ConfigError, match="hardware is chosen with TensorRT"):
        serves(None, EngineOptions(hardware="ampere_plus"))
    assert "not serve" not in (LIBRARY.why_not_on("12.1") or "") and LIBRARY.why_not_on("13.0") is None
    assert "9.0" in (LIBRARY.why_not_on("9.0") or "")


def test_choice_of_the_library(monkeypatch) -> None:
    installed = {"tensorrt", "tensorrt_rtx"}
    for library in LIBRARIES.values():
        monkeypatch.setattr(type(library), "is_installed", lambda self: self.module in installed)
    for machine, expected in (("x86_64", "tensorrt-rtx"), ("aarch64", "tensorrt")):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        assert choose("auto").name == expected
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert choose("auto", "9.0").name == "tensorrt"  # which TensorRT for RTX does not serve
    assert choose("tensorrt").name == "tensorrt"
    installed.remove("tensorrt")
    with pytest.raises(BackendUnavailable, match=r"supports compute capability 7.5.*tensorrt is not installed"):
        choose("auto", "9.0")


def test_a_real_build_is_given_up_and_reports_progress(model, options) -> None:
    seen: list[tuple[str, float]] = []
    cancelled = threading.Event()

    def progress(phase: str, share: float) -> None:
        seen.append((phase, share))
        cancelled.set()

    with pytest.raises(BuildCancelled):
        TensorRtRunner(model, engine=options, progress=progress, cancelled=cancelled).build()
    assert seen and all(0 < share <= 1 for _, share in seen)
    assert EngineCache(options.cache).entries() == []


BUILD = """
import sys
from ivif_core.backends import EngineOptions
from ivif_core.backends.tensorrt import runner
from ivif_core.backends.tensorrt.engine_cache import EngineCache
real = runner.build_engine
def build(*arguments, **more):
    print("builds", flush=True)
    return real(*arguments, **more)
runner.build_engine = build
options = EngineOptions(library="tensorrt-rtx", cache=sys.argv[2], maximum=(96, 128), optimum=(64, 64))
made = runner.TensorRtRunner(sys.argv[1], engine=options)
made.build()
print(len(EngineCache(sys.argv[2]).load(made.plan()[0])))
"""


def start(model: Path, cache: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(model), str(cache)], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_three_processes_build_one_real_engine(model, tmp_path) -> None:
    processes = [start(model, tmp_path / "cache") for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0].split() for process in processes]
    assert sum("builds" in output for output in outputs) == 1
    assert len({output[-1] for output in outputs}) == 1 and int(outputs[0][-1]) > 1e4


def test_a_killed_build_leaves_nothing_and_the_next_one_builds(tmp_path) -> None:
    student = resolve_model().with_name("student_fp16.onnx")  # takes long enough to be killed in the middle
    process = start(student, tmp_path / "cache")
    assert process.stdout is not None and process.stdout.readline().strip() == "builds"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    cache = EngineCache(tmp_path / "cache")
    assert cache.entries() == [] and not list(cache.folder.glob("*.part"))
    small = Path(write_model(tmp_path / "m.onnx", element=onnx.TensorProto.UINT8))
    assert "builds" in start(small, tmp_path / "cache").communicate(timeout=120)[0]


@pytest.mark.skipif(why_no_driver() is None, reason="there is a GPU, on which the engine loads")
def test_without_a_gpu_an_engine_is_not_loaded_and_the_reason_is_said(model, options) -> None:
    TensorRtRunner(model, engine=options).build()
    with pytest.raises(BackendUnavailable, match=r"driver|cuda-python"):
        TensorRtRunner(model, engine=options).open()


def used_names() -> set[str]:
    """Names that our code takes from TensorRT's objects and that the table of names knows."""
    known = {name for names in NAMES.values() for name in names}
    folder = REPOSITORY / "ivif_core" / "backends" / "tensorrt"
    text = "".join((folder / name).read_text() for name in ("builder.py", "runner.py", "library.py"))
    return known & set(re.findall(r"\.(\w+)", text))


def test_every_name_that_the_code_uses_is_one_of_the_real_classes() -> None:
    used = used_names()
    checked = 0
    for kind, names in NAMES.items():
        holder = rtx if kind == "top_level" else getattr(rtx, kind)
        for name, releases in names.items():
            assert hasattr(holder, name) == ("rtx-1.7" in releases.split()), f"{kind}.{name}: the stand-in's table"
            if name in used and name not in NOT_IN_RTX.get(kind, ()):
                assert hasattr(holder, name), f"{kind}.{name}"
                checked += 1
    assert checked > 70
    for kind, names in NOT_IN_RTX.items():
        assert not any(hasattr(getattr(rtx, kind), name) for name in names), kind


@pytest.mark.parametrize("release", ["11.4", "10.16"])
def test_stand_ins_have_the_enumerations_values_of_the_real_classes(release) -> None:
    standin = make_tensorrt(release, CudaRuntime())
    compared = 0
    for kind in ("DataType", "TensorIOMode", "HardwareCompatibilityLevel", "DeviceType", "MemoryPoolType"):
        for name, member in getattr(standin, kind).__members__.items():
            assert int(member) == int(getattr(getattr(rtx, kind), name)), f"{kind}.{name}"
            compared += 1
    for name, member in standin.ILogger.Severity.__members__.items():
        assert int(member) == int(getattr(rtx.ILogger.Severity, name)), name
    assert compared >= 10


def parameters(function) -> list[str]:
    """Names of a real function's arguments, of its first signature in the docstring."""
    first = re.search(r"\((.*?)\) ->", (function.__doc__ or "").replace("*args, **kwargs", ""), re.DOTALL)
    return re.findall(r"(\w+): ", first.group(1)) if first else []


def test_stand_ins_take_as_many_arguments_as_the_real_methods() -> None:
    release = "11.4"
    standin = make_tensorrt(release, CudaRuntime())
    logger = type("Quiet", (standin.ILogger,), {"log": lambda self, severity, message: None})()
    builder = standin.Builder(logger)
    objects = {
        "Builder": builder,
        "IBuilderConfig": builder.create_builder_config(),
        "IOptimizationProfile": builder.create_optimization_profile(),
        "INetworkDefinition": builder.create_network(0),
        "Runtime": standin.Runtime(logger),
    }
    compared = 0
    for kind, thing in objects.items():
        for name in names_of(release, kind):
            own, real = getattr(type(thing), name, None), getattr(getattr(rtx, kind), name, None)
            if inspect.isfunction(own) and parameters(real):
                assert len(inspect.signature(own).parameters) == len(parameters(real)), f"{kind}.{name}"
                compared += 1
    assert compared >= 9


def test_orders_of_arguments_are_those_of_the_real_methods() -> None:
    """What a swapped call would not show in a stand-in of our own making."""
    assert parameters(rtx.IBuilderConfig.set_compute_capability) == ["self", "compute_capability", "index"]
    assert parameters(rtx.IBuilderConfig.set_memory_pool_limit)[1:] == ["pool", "pool_size"]
    assert parameters(rtx.IOptimizationProfile.set_shape)[1:] == ["input", "min", "opt", "max"]
    assert parameters(rtx.IExecutionContext.set_input_shape)[1:] == ["name", "shape"]
    assert parameters(rtx.IExecutionContext.set_tensor_address)[1:] == ["name", "memory"]
    assert parameters(rtx.IExecutionContext.execute_async_v3)[1:] == ["stream_handle"]
    assert parameters(rtx.ICudaEngine.get_tensor_profile_shape)[1:] == ["name", "profile_index"]
    assert parameters(rtx.IRuntimeCache.deserialize)[1:] == ["blob"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_a_build_up_and_is_not_lost_in_the_library(number):
    shipped = resolve_model()
    precision = read_metadata(shipped).get("ivif.precision", "fp32")
    chosen = EngineOptions(**{**vars(SMALL), "precision": precision})
    shares: list[float] = []

    def progress(phase: str, share: float) -> None:
        shares.append(share)
        if len(shares) == 2:
            os.kill(os.getpid(), number)

    with pytest.raises((KeyboardInterrupt, Terminated)), ended_by_signals():
        build_engine(
            LIBRARY, rtx, None, shipped.read_bytes(), precision, chosen, logger=make_logger(rtx), progress=progress
        )
    assert len(shares) == 2
