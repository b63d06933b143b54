from __future__ import annotations

import hashlib
import json
import logging
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest

from ivif_core import backends
from ivif_core.backends import EngineOptions
from ivif_core.backends.cuda import CudaError
from ivif_core.backends.engine_cache import BuildCancelled, EngineCache
from ivif_core.backends.tensorrt_backend import TensorRtBackend
from ivif_core.backends.tensorrt_builder import typed_model
from ivif_core.errors import BackendUnavailable, ConfigError, InputError, ModelError
from test.core.test_backends import noise, write_model
from test.standins import install
from test.standins.tensorrt_module import NAMES, RELEASES

SIZE = (40, 50)


class StandIn:
    """TensorRT of one release in this process, with its CUDA and a count of builds."""

    def __init__(self, release: str, monkeypatch: pytest.MonkeyPatch, **behaviour) -> None:
        self.builds = 0
        modules = {}
        behaviour.setdefault("on_build", self._count)
        self.trt, self.cuda = install(release, "old" if release == "8.6" else "new", modules, **behaviour)
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)

    def _count(self) -> None:
        self.builds += 1

    def assert_nothing_is_left(self) -> None:
        assert self.cuda.live() == {}
        assert self.trt.live() == {}


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


def expected(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """What `write_model` computes, for uint8: the cast cuts off."""
    return np.floor(infrared.astype(float) * 2 / 3 + visible.astype(float) / 3 + 1e-4)


def assert_fuses(backend, seed: int, size=SIZE) -> None:
    infrared, visible = noise(seed, *size), noise(seed + 1, *size)
    fused = backend.infer(infrared, visible, 0.5)
    assert fused.shape == size and fused.dtype == np.uint8
    assert np.abs(fused - expected(infrared, visible)).max() <= 1


def test_builds_runs_captures_and_frees(standin, model, options) -> None:
    with TensorRtBackend(model, engine=options) as backend:
        for seed in range(4):  # first plain, then captured, then launched
            assert_fuses(backend, seed)
        assert standin.cuda.calls.count("cudaGraphLaunch") == 3
        assert_fuses(backend, 5, (64, 33))  # another shape: new memory, no old graph
        for seed in range(3):
            assert_fuses(backend, seed, (64, 33))
    standin.assert_nothing_is_left()


def test_through_the_registry_by_name_and_by_auto(standin, model, options) -> None:
    for name in ("tensorrt", "auto"):
        with backends.create(name, model, engine=options) as backend:
            assert backend.name == "tensorrt"
            assert standin.trt.__version__ in backend.describe() and "Stand-in GPU" in backend.describe()
            assert_fuses(backend, 0)
    assert standin.builds == 1


def test_float_model_and_its_conversions(standin, tmp_path, options) -> None:
    infrared, visible = noise(0, *SIZE), noise(1, *SIZE)
    with TensorRtBackend(write_model(tmp_path / "m.onnx"), engine=options) as backend:
        fused = backend.infer(infrared, visible, 0.5)
    assert np.abs(fused - np.rint(infrared * (2 / 3) + visible / 3)).max() <= 1


def test_engine_is_read_from_the_cache_and_rebuilt_when_damaged_or_foreign(standin, model, options, caplog) -> None:
    for _ in range(2):
        with TensorRtBackend(model, engine=options) as backend:
            assert_fuses(backend, 0)
    assert standin.builds == 1
    backend = TensorRtBackend(model, engine=options)
    assert not backend.needs_build()
    cache = EngineCache(options.cache)
    path = cache.path(backend.plan()[0])
    path.write_bytes(path.read_bytes()[:-7])
    with backend:
        assert_fuses(backend, 1)
    assert standin.builds == 2
    cache.store(backend.plan()[0], b"ftrt, of another release", {})
    with TensorRtBackend(model, engine=options) as backend:
        assert_fuses(backend, 1)
    assert standin.builds == 3
    assert "is damaged" in caplog.text and "refuses" in caplog.text
    standin.assert_nothing_is_left()


def test_key_changes_with_all_that_the_engine_depends_on(standin, model, tmp_path, options) -> None:
    def key(**changes) -> str:
        return TensorRtBackend(model, engine=EngineOptions(**{"cache": tmp_path, **changes})).plan()[0]

    keys = [key(), key(precision="fp32"), key(maximum=(2160, 4096)), key(minimum=(64, 64)), key(hardware="ampere_plus")]
    keys.append(key(version_compatible=True))
    assert key(cache=tmp_path / "other") == key(cache_limit_bytes=1) == keys[0]  # where it is kept changes nothing
    standin.cuda.capability = (9, 0)
    keys.append(key())
    standin.cuda.device_name = "Another GPU"
    keys.append(key())
    standin.trt.__version__ += ".1"
    keys.append(key())
    write_model(model, output="fused", element=onnx.TensorProto.FLOAT)
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_portable_engines_are_shared_as_promised(standin, model, tmp_path) -> None:
    options = EngineOptions(cache=tmp_path, hardware="ampere_plus", version_compatible=True)
    with TensorRtBackend(model, engine=options) as backend:
        assert_fuses(backend, 0)
    standin.cuda.device_name, standin.cuda.capability = "Another GPU", (8, 9)
    with TensorRtBackend(model, engine=options) as backend:
        assert_fuses(backend, 0)
    assert standin.builds == 1


def test_same_compute_capability_needs_a_release_that_has_it(standin, release, model, tmp_path) -> None:
    backend = TensorRtBackend(model, engine=EngineOptions(cache=tmp_path, hardware="compute_capability"))
    if release in ("8.6", "10.3"):
        with pytest.raises(BackendUnavailable, match=r"10\.13"):
            backend.open()
    else:
        with backend:
            assert_fuses(backend, 0)


def test_many_pairs_overlap_and_keep_their_order(standin, model, options) -> None:
    sizes = [SIZE] * 5 + [(33, 64)] * 3
    pairs = [(noise(2 * i, *size), noise(2 * i + 1, *size)) for i, size in enumerate(sizes)]
    with TensorRtBackend(model, engine=options) as backend:
        results = list(backend.infer_many(iter(pairs), 0.5))
        assert len(results) == len(pairs)
        for fused, pair in zip(results, pairs, strict=True):
            assert np.abs(fused - expected(*pair)).max() <= 1
        assert list(backend.infer_many([], 0.5)) == []
        assert_fuses(backend, 0)
        abandoned = backend.infer_many(iter(pairs), 0.5)  # two pairs in flight, then closed
        next(abandoned)
    standin.assert_nothing_is_left()


def test_an_error_in_the_middle_of_many_leaves_the_backend_usable(standin, model, options) -> None:
    with TensorRtBackend(model, engine=options) as backend:
        pairs = [(noise(0, *SIZE), noise(1, *SIZE)), (noise(0, 500, 50), noise(1, 500, 50))]
        with pytest.raises(InputError, match="larger"):
            list(backend.infer_many(pairs, 0.5))
        assert_fuses(backend, 3)
    standin.assert_nothing_is_left()


def test_too_large_is_an_error_and_too_small_is_padded(standin, model, tmp_path) -> None:
    fixed = EngineOptions(minimum=(48, 64), optimum=(48, 64), maximum=(48, 64), cache=tmp_path)
    with TensorRtBackend(model, engine=fixed) as backend:
        with pytest.raises(InputError, match=r"65×48 are larger than the TensorRT engine's 64×48.*--max 65x48"):
            backend.infer(noise(0, 48, 65), noise(1, 48, 65), 0.5)
        for size in ((48, 64), (32, 64), (47, 33)):
            assert_fuses(backend, 0, size)
    standin.assert_nothing_is_left()


@pytest.mark.parametrize("allocations", range(6))
def test_out_of_memory_frees_what_was_taken(standin, model, options, allocations) -> None:
    with TensorRtBackend(model, engine=options) as backend:
        standin.cuda.fail_after = allocations
        with pytest.raises(CudaError, match="MemoryAllocation"):
            backend.infer(noise(0, *SIZE), noise(1, *SIZE), 0.5)
        assert set(standin.cuda.live()) == {"streams"}
        standin.cuda.fail_after = None
        assert_fuses(backend, 0)
    standin.assert_nothing_is_left()


def test_runs_without_a_graph_where_the_engine_cannot_be_captured(release, monkeypatch, model, options) -> None:
    standin = StandIn(release, monkeypatch, refuse_capture=True)
    with TensorRtBackend(model, engine=options) as backend:
        for seed in range(4):
            assert_fuses(backend, seed)
        assert "cudaGraphLaunch" not in standin.cuda.calls
        assert standin.cuda.calls.count("cudaStreamBeginCapture") == 1
    standin.assert_nothing_is_left()


def test_several_backends_in_one_process(standin, model, options) -> None:
    opened = [TensorRtBackend(model, engine=options).open() for _ in range(3)]
    for step in range(4):
        for index, backend in enumerate(opened):
            assert_fuses(backend, step, (40 + index, 50))
    opened[1].close()
    assert_fuses(opened[2], 9)
    for backend in opened:
        backend.close()
    standin.assert_nothing_is_left()


def test_broken_model_is_told_with_the_parsers_words(standin, tmp_path, options) -> None:
    model = onnx.load(write_model(tmp_path / "m.onnx"))
    model.graph.node[2].op_type = "Frobnicate"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"cannot parse the model: .*Frobnicate"):
        TensorRtBackend(tmp_path / "m.onnx", engine=options).open()
    assert EngineCache(options.cache).entries() == []
    standin.assert_nothing_is_left()


def test_build_can_be_cancelled_and_reports_progress(standin, release, model, options) -> None:
    seen: list[tuple[str, float]] = []
    cancelled = threading.Event()

    def progress(phase: str, share: float) -> None:
        seen.append((phase, share))
        if len(seen) == 2:
            cancelled.set()

    backend = TensorRtBackend(model, engine=options, progress=progress, cancelled=cancelled)
    if release == "8.6":  # has no progress monitor
        with backend:
            assert_fuses(backend, 0)
        assert seen == []
        return
    with pytest.raises(BuildCancelled):
        backend.open()
    assert seen == [("Building", 0.25), ("Building", 0.5)]
    cancelled.clear()
    with backend:
        assert_fuses(backend, 0)
    assert seen[-1] == ("Building", 1.0)


def _variant(model: Path, precision: str, made_from: Path | None = None) -> Path:
    """A file named and marked as that precision's variant of `model`."""
    loaded = onnx.load(model)
    digest = hashlib.sha256((made_from or model).read_bytes()).hexdigest()
    onnx.helper.set_model_props(loaded, {"ivif.precision": precision, "ivif.made_from": digest})
    path = model.with_name(f"{model.stem}_{precision}.onnx")
    onnx.save(loaded, path)
    return path


def test_precision_comes_from_the_file_where_tensorrt_is_strongly_typed(standin, release, model, options) -> None:
    """The flags that the stand-in wrote into its plan tell how it was asked to build."""

    def built(precision: str) -> tuple[bool, set[str]]:
        chosen = EngineOptions(cache=options.cache, precision=precision)
        backend = TensorRtBackend(model, engine=chosen)
        with backend:
            assert_fuses(backend, 0)
        plan = EngineCache(options.cache).load(backend.plan()[0]).removeprefix(b"standin-plan").partition(b"\n")[0]
        return json.loads(plan)["strongly_typed"], set(json.loads(plan)["flags"])

    always = release == "11.4"
    assert built("fp16") == (always, {"TF32"} if always else {"TF32", "FP16"})
    with pytest.raises(ModelError, match="int8 needs"):
        built("int8")
    assert built("fp32") == (release != "8.6", set())
    _variant(model, "fp16")
    _variant(model, "int8")
    assert built("fp16") == ((False, {"TF32", "FP16"}) if release == "8.6" else (True, {"TF32"}))
    assert built("int8") == ((False, {"TF32", "FP16", "INT8"}) if release == "8.6" else (True, {"TF32"}))


def test_variant_of_other_weights_is_not_taken(model, tmp_path, caplog) -> None:
    another = Path(write_model(tmp_path / "another.onnx"))
    other = _variant(model, "fp16", made_from=another)
    assert typed_model(model, "fp16") == (model, "fp32")
    assert "was not made from model.onnx" in caplog.text
    assert _variant(model, "fp16") == other
    assert typed_model(model, "fp16") == (other, "fp16")
    assert typed_model(other, "fp16") == (other, "fp16")
    eight_bit = model.with_name("model_uint8.onnx")
    eight_bit.write_bytes(another.read_bytes())
    assert typed_model(eight_bit, "fp16") == (other, "fp16")
    model.unlink()  # the float32 file need not be on the robot
    assert typed_model(eight_bit, "fp16") == (other, "fp16")


def test_dla_core(release, monkeypatch, model, tmp_path) -> None:
    options = EngineOptions(minimum=SIZE, optimum=SIZE, maximum=SIZE, dla_core=1, cache=tmp_path)
    StandIn(release, monkeypatch, dla_cores=1)
    with pytest.raises(BackendUnavailable, match="DLA core 1 does not exist: there are 1"):
        TensorRtBackend(model, engine=options).open()
    standin = StandIn(release, monkeypatch, dla_cores=2)
    with TensorRtBackend(model, engine=options) as backend:
        assert_fuses(backend, 0)
    standin.assert_nothing_is_left()


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum": (0, 32)},
        {"minimum": (600, 32)},
        {"optimum": (480, 9999)},
        {"precision": "fp8"},
        {"hardware": "all"},
        {"dla_core": 0},
    ],
)
def test_options_are_checked(wrong) -> None:
    with pytest.raises(ConfigError):
        EngineOptions(**wrong)


def test_engine_that_cannot_be_kept_is_used(standin, model, tmp_path, caplog) -> None:
    (tmp_path / "file").touch()
    with TensorRtBackend(model, engine=EngineOptions(cache=tmp_path / "file" / "cache")) as backend:
        assert_fuses(backend, 0)
    assert "cannot keep the engine" in caplog.text


def test_tensorrts_messages_go_to_logging(standin, model, options, caplog) -> None:
    from ivif_core.backends.tensorrt_builder import make_logger

    logger = make_logger(standin.trt)
    with caplog.at_level(logging.DEBUG):
        for severity in standin.trt.ILogger.Severity:
            logger.log(severity, f"said {severity.name}")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "WARNING", "DEBUG"]
    assert logger.last_errors() == "said INTERNAL_ERROR; said ERROR"


def test_names_agree_with_the_tables_of_the_real_bindings(shared) -> None:
    folder = shared / "facts" / "tensorrt_api"
    for release in RELEASES:
        table = json.loads((folder / f"{release}.json").read_text())
        for kind, names in NAMES.items():
            for name, releases in names.items():
                assert (name in table.get(kind, [])) == (release in releases.split()), f"{release}: {kind}.{name}"
