"""TensorRT for RTX where it has a GPU: what it alone has, on a stand-in made from the table of its real names."""

from __future__ import annotations

import pytest

from ivif_core import backends
from ivif_core.backends import EngineOptions, StudentModel
from ivif_core.backends.tensorrt.engine_cache import EngineCache
from ivif_core.backends.tensorrt.runner import TensorRtRunner
from ivif_core.errors import BackendUnavailable
from test.standins.in_process import StandIn, assert_fuses


@pytest.fixture
def standin(monkeypatch) -> StandIn:
    made = StandIn("rtx-1.7", monkeypatch)
    made.cuda.capability = (8, 9)
    return made


def test_runs_by_auto_captures_nothing_itself_and_frees(standin, model, options) -> None:
    with backends.create("auto", model, engine=options) as backend:
        assert backend.describe().startswith(f"tensorrt-rtx {standin.trt.__version__} (Stand-in GPU")
        for seed in range(4):
            assert_fuses(backend, seed)
        assert_fuses(backend, 5, (64, 33))
        assert "cudaStreamBeginCapture" not in standin.cuda.calls
    standin.assert_nothing_is_left()


def test_compiled_code_is_kept_beside_the_engine_and_used_by_the_next_process(standin, model, options) -> None:
    def compiled(size) -> bytes:
        with StudentModel(TensorRtRunner, model, engine=options) as backend:
            assert_fuses(backend, 0, size)
            key = backend.runner.plan()[0]
        return EngineCache(options.cache).compiled(key)

    first = compiled((40, 50))
    assert "1×1×40×50" in first.decode()
    (path,) = EngineCache(options.cache).folder.glob("*.compiled")
    before = path.stat().st_mtime_ns
    assert compiled((40, 50)) == first and path.stat().st_mtime_ns == before  # nothing new, not written
    assert set(compiled((64, 33)).split()) > set(first.split())  # added to what there was
    standin.cuda.device_name = "Another GPU"
    assert compiled((40, 50)).startswith(b"Another GPU")  # the other one's is refused and compiled anew
    assert standin.builds == 1  # the engine itself serves both
    path.write_bytes(b"damaged")
    assert "1×1×40×50" in compiled((40, 50)).decode()
    assert EngineCache(options.cache).clear() == 1 and not list(path.parent.glob("*.compiled"))


def test_an_engine_that_was_built_elsewhere_is_taken(standin, model, options) -> None:
    """Built by the command for the fleet, found by the node by its own options."""
    TensorRtRunner(model, engine=EngineOptions(**{**vars(options), "library": "tensorrt-rtx"})).build()
    standin.cuda.device_name = "Another GPU"
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
        assert_fuses(backend, 1)
    assert standin.builds == 1


def test_turing_has_an_engine_of_its_own_and_hopper_none(standin, model, options) -> None:
    usual = TensorRtRunner(model, engine=options).plan()[1]["gpu"]
    standin.cuda.capability = (7, 5)
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
        assert backend.runner.plan()[1]["gpu"] == "7.5" != usual
        assert_fuses(backend, 0)
    standin.cuda.capability = (9, 0)
    assert "supports compute capability 7.5, 8.0" in (TensorRtRunner.why_unavailable() or "")
    named = TensorRtRunner(model, engine=EngineOptions(**{**vars(options), "library": "tensorrt-rtx"}))
    assert named.build()["gpu"] == usual  # a server with such a GPU builds for others
    with pytest.raises(BackendUnavailable, match=r"this GPU has 9\.0"):
        named.open()
