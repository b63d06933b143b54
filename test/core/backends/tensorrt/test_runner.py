from __future__ import annotations

import numpy as np
import pytest

from ivif_core import backends
from ivif_core.backends import EngineOptions, StudentModel
from ivif_core.backends.cuda import CudaError
from ivif_core.backends.tensorrt.engine_cache import EngineCache
from ivif_core.backends.tensorrt.runner import TensorRtRunner
from ivif_core.errors import InputError
from test.core.backends.test_backends import noise, write_model
from test.standins.in_process import SIZE, StandIn, assert_fuses, expected


def test_builds_runs_captures_and_frees(standin, model, options) -> None:
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
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
    with StudentModel(TensorRtRunner, write_model(tmp_path / "m.onnx"), engine=options) as backend:
        fused = backend.infer(infrared, visible, 0.5)
    assert np.abs(fused - np.rint(infrared * (2 / 3) + visible / 3)).max() <= 1


def test_engine_is_read_from_the_cache_and_rebuilt_when_damaged_or_foreign(standin, model, options, caplog) -> None:
    for _ in range(2):
        with StudentModel(TensorRtRunner, model, engine=options) as backend:
            assert_fuses(backend, 0)
    assert standin.builds == 1
    backend = StudentModel(TensorRtRunner, model, engine=options)
    assert not backend.needs_build()
    cache = EngineCache(options.cache)
    path = cache.path(backend.runner.plan()[0])
    path.write_bytes(path.read_bytes()[:-7])
    with backend:
        assert_fuses(backend, 1)
    assert standin.builds == 2
    cache.store(backend.runner.plan()[0], b"ftrt, of another release", {})
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
        assert_fuses(backend, 1)
    assert standin.builds == 3
    assert "is damaged" in caplog.text and "refuses" in caplog.text
    standin.assert_nothing_is_left()


def test_many_pairs_overlap_and_keep_their_order(standin, model, options) -> None:
    sizes = [SIZE] * 5 + [(33, 64)] * 3
    pairs = [(noise(2 * i, *size), noise(2 * i + 1, *size)) for i, size in enumerate(sizes)]
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
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
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
        pairs = [(noise(0, *SIZE), noise(1, *SIZE)), (noise(0, 500, 50), noise(1, 500, 50))]
        with pytest.raises(InputError, match="larger"):
            list(backend.infer_many(pairs, 0.5))
        assert_fuses(backend, 3)
    standin.assert_nothing_is_left()


def test_too_large_is_an_error_and_too_small_is_padded(standin, model, tmp_path) -> None:
    fixed = EngineOptions(minimum=(48, 64), optimum=(48, 64), maximum=(48, 64), cache=tmp_path)
    with StudentModel(TensorRtRunner, model, engine=fixed) as backend:
        with pytest.raises(InputError, match=r"65×48 are larger than the TensorRT engine's 64×48.*--max 65x48"):
            backend.infer(noise(0, 48, 65), noise(1, 48, 65), 0.5)
        for size in ((48, 64), (32, 64), (47, 33)):
            assert_fuses(backend, 0, size)
    standin.assert_nothing_is_left()


@pytest.mark.parametrize("allocations", range(6))
def test_out_of_memory_frees_what_was_taken(standin, model, options, allocations) -> None:
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
        standin.cuda.fail_after = allocations
        with pytest.raises(CudaError, match="MemoryAllocation"):
            backend.infer(noise(0, *SIZE), noise(1, *SIZE), 0.5)
        assert set(standin.cuda.live()) == {"streams"}
        standin.cuda.fail_after = None
        assert_fuses(backend, 0)
    standin.assert_nothing_is_left()


def test_runs_without_a_graph_where_the_engine_cannot_be_captured(release, monkeypatch, model, options) -> None:
    standin = StandIn(release, monkeypatch, refuse_capture=True)
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
        for seed in range(4):
            assert_fuses(backend, seed)
        assert "cudaGraphLaunch" not in standin.cuda.calls
        assert standin.cuda.calls.count("cudaStreamBeginCapture") == 1
    standin.assert_nothing_is_left()


def test_several_backends_in_one_process(standin, model, options) -> None:
    opened = [StudentModel(TensorRtRunner, model, engine=options).open() for _ in range(3)]
    for step in range(4):
        for index, backend in enumerate(opened):
            assert_fuses(backend, step, (40 + index, 50))
    opened[1].close()
    assert_fuses(opened[2], 9)
    for backend in opened:
        backend.close()
    standin.assert_nothing_is_left()


def test_engine_that_cannot_be_kept_is_used(standin, model, tmp_path, caplog) -> None:
    (tmp_path / "file").touch()
    with StudentModel(TensorRtRunner, model, engine=EngineOptions(cache=tmp_path / "file" / "cache")) as backend:
        assert_fuses(backend, 0)
    assert "cannot keep the engine" in caplog.text
