"""All that needs a GPU, as far as it goes without one; sections that need one run on another backend or a stand-in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")

from ivif_core.backends import EngineOptions
from ivif_core.benchmarks import gpu
from ivif_core.errors import IvifError
from ivif_core.fusion import Fuser
from ivif_core.models import resolve_model
from test.core.backends.test_backends import write_model
from test.standins.in_process import StandIn


@pytest.fixture
def model(tmp_path) -> Path:
    return Path(write_model(tmp_path / "model.onnx", element=onnx.TensorProto.UINT8))


def test_one_call_runs_what_it_can_and_says_what_it_could_not(model, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("ivif_core.benchmarks.roofline.COPY_BYTES", 1 << 20)
    monkeypatch.setattr(gpu, "engines", lambda model, options: iter(()))  # has a test of its own
    out = tmp_path / "out"
    assert gpu.main(["--out", str(out), "--model", str(model), "--rounds", "2", "--sizes", "64x48"]) == 0
    printed = capsys.readouterr().out
    assert printed == (out / "gpu.md").read_text()
    report = json.loads((out / "gpu.json").read_text())
    (row,) = report["tables"]["speed on the CPU"]
    assert row["size"] == "64×48" and row["over the floor"].endswith("×")
    if report["machine"]["GPU"].startswith("none"):
        assert "Not run:" in printed and "no backend for a GPU" in printed and "- torch: " in printed


def test_engines_section_builds_hits_rebuilds_and_shares(model, tmp_path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="pip install tensorrt-rtx-cu12 (x86-64)")
    options = EngineOptions(cache=tmp_path / "engines", library="tensorrt-rtx")
    rows = list(gpu.engines(model, options))
    assert [row["what"].split(",")[0] for row in rows] == ["build", "from the cache", "after damage", "four processes"]
    with pytest.raises(IvifError, match="build: expected a build"):
        list(gpu.engines(model, options))


def test_an_error_loses_only_the_rows_after_it() -> None:
    def section():
        yield {"a": 1}
        raise IvifError("no more\nof it")

    report = gpu.Report({"GPU": "none"})
    report.run("one", section)
    report.run("two", lambda: iter([{"a": 1, "b": 2}, {"b": 3}]))
    assert report.not_run == {"one": "no more of it"}
    assert "| a | b |\n|---|---|\n| 1 | 2 |\n| – | 3 |" in report.markdown()


def test_pixels_are_compared_at_three_vividnesses(monkeypatch) -> None:
    pairs = [(infrared[:96, :128], visible[:96, :128]) for infrared, visible in gpu.read_pairs(None)[:2]]
    (same,) = gpu.pixels(resolve_model(), pairs, ["onnxruntime"])
    assert same == {"backend": "onnxruntime", "pairs": 2, "largest": 0, "mean": 0.0}
    real, seen = Fuser.fuse, []

    def off_by_three(self, infrared, visible, *, grey=False):
        seen.append(self.vividness)
        fused = real(self, infrared, visible, grey=grey)
        return fused if len(seen) % 2 else np.where(fused > 100, fused - 3, fused + 3)

    monkeypatch.setattr(Fuser, "fuse", off_by_three)
    (off,) = gpu.pixels(resolve_model(), pairs, ["onnxruntime"])
    assert (off["largest"], off["mean"]) == (3, 3.0) and sorted(set(seen)) == [0.0, 0.5, 1.0]


def test_throughput_counts_pairs(model) -> None:
    rows = list(gpu.throughput(model, [(64, 48), (80, 64)], 3, ["onnxruntime"]))
    assert [row["size"] for row in rows] == ["64×48", "80×64"] and all(row["pairs a second"] > 0 for row in rows)


def test_memory_that_is_left_after_closing_is_seen(model, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    standin = StandIn("10.16", monkeypatch)
    (row,) = gpu.memory(model, (640, 480), ["tensorrt"])
    assert row["open MB"] > 0 and row["left after close MB"] == 0
    standin.assert_nothing_is_left()
