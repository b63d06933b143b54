from __future__ import annotations

import hashlib
import json
import logging
import threading
from pathlib import Path

import onnx
import pytest

from ivif_core.backends import EngineOptions, StudentModel
from ivif_core.backends.tensorrt.engine_cache import BuildCancelled, EngineCache
from ivif_core.backends.tensorrt.runner import TensorRtRunner
from ivif_core.errors import BackendUnavailable, ConfigError, ModelError
from ivif_core.models.variants import typed_model
from test.core.backends.test_backends import write_model
from test.standins.in_process import SIZE, StandIn, assert_fuses


def test_key_changes_with_all_that_the_engine_depends_on(standin, model, tmp_path, options) -> None:
    def key(**changes) -> str:
        return StudentModel(
            TensorRtRunner, model, engine=EngineOptions(**{"cache": tmp_path, **changes})
        ).runner.plan()[0]

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
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
        assert_fuses(backend, 0)
    standin.cuda.device_name, standin.cuda.capability = "Another GPU", (8, 9)
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
        assert_fuses(backend, 0)
    assert standin.builds == 1


def test_same_compute_capability_needs_a_release_that_has_it(standin, release, model, tmp_path) -> None:
    backend = StudentModel(TensorRtRunner, model, engine=EngineOptions(cache=tmp_path, hardware="compute_capability"))
    if release in ("8.6", "10.3"):
        with pytest.raises(BackendUnavailable, match=r"10\.13"):
            backend.open()
    else:
        with backend:
            assert_fuses(backend, 0)


def test_broken_model_is_told_with_the_parsers_words(standin, tmp_path, options) -> None:
    model = onnx.load(write_model(tmp_path / "m.onnx"))
    model.graph.node[2].op_type = "Frobnicate"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"cannot parse the model: .*Frobnicate"):
        StudentModel(TensorRtRunner, tmp_path / "m.onnx", engine=options).open()
    assert EngineCache(options.cache).entries() == []
    standin.assert_nothing_is_left()


def test_build_can_be_cancelled_and_reports_progress(standin, release, model, options) -> None:
    seen: list[tuple[str, float]] = []
    cancelled = threading.Event()

    def progress(phase: str, share: float) -> None:
        seen.append((phase, share))
        if len(seen) == 2:
            cancelled.set()

    backend = StudentModel(TensorRtRunner, model, engine=options, progress=progress, cancelled=cancelled)
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
        backend = StudentModel(TensorRtRunner, model, engine=chosen)
        with backend:
            assert_fuses(backend, 0)
        plan = (
            EngineCache(options.cache).load(backend.runner.plan()[0]).removeprefix(b"standin-plan").partition(b"\n")[0]
        )
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
        StudentModel(TensorRtRunner, model, engine=options).open()
    standin = StandIn(release, monkeypatch, dla_cores=2)
    with StudentModel(TensorRtRunner, model, engine=options) as backend:
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


def test_tensorrts_messages_go_to_logging(standin, model, options, caplog) -> None:
    from ivif_core.backends.tensorrt.builder import make_logger

    logger = make_logger(standin.trt)
    with caplog.at_level(logging.DEBUG):
        for severity in standin.trt.ILogger.Severity:
            logger.log(severity, f"said {severity.name}")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "WARNING", "DEBUG"]
    assert logger.last_errors() == "said INTERNAL_ERROR; said ERROR"
