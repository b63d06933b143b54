from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from ivif_core.benchmarks import latency as bench
from ivif_core.benchmarks import roofline as bandwidth
from ivif_core.benchmarks.external_onnx import ForeignNetwork
from ivif_core.benchmarks.latency import (
    Case,
    Result,
    Sample,
    choice_of_auto,
    device_of,
    quantiles,
    run_cases,
    sample_pair,
)
from ivif_core.cli.commands.bench_models import table, verdict
from ivif_core.cli.main import main
from ivif_core.errors import ModelError
from ivif_core.models import resolve_model


@pytest.fixture
def average(tmp_path) -> Path:
    """A network of nobody's contract: two float images of other names, their mean."""
    return mean_network(tmp_path / "average.onnx", ["N", 1, "H", "W"])


def mean_network(path: Path, shape: list) -> Path:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Mean", ["ir", "vi"], ["out"])],
        "average",
        [helper.make_tensor_value_info(name, kind, shape) for name in ("ir", "vi")],
        [helper.make_tensor_value_info("out", kind, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def test_quantiles_of_a_hundred_and_one_numbers():
    assert quantiles(list(range(101))) == {"median": 50.0, "p5": 5.0, "p95": 95.0, "p99": 99.0}
    assert quantiles([]) is None


def test_models_of_one_name_are_told_apart_and_compared_with_the_first():
    results = []
    for folder, network, whole in (("old", 8.0, 20.0), ("new", 2.0, 15.0)):
        case = Case(Path(folder, "student_uint8.onnx"), "onnxruntime", (64, 48))
        results.append(Result(case, network=[network] * 3, fuser=[whole] * 3, file="student_maps.onnx"))
    first, second = (line.split(" | ") for line in table(results).splitlines()[2:])
    assert first[1].strip() == "old/student_maps.onnx" and second[1].strip() == "new/student_maps.onnx"
    assert first[5].strip() == "1.00, 1.00" and second[5].strip() == "0.25, 0.75"
    assert "×" not in table(results[:1]).splitlines()[0] and table(results[:1]).count("old/") == 0


def test_the_pair_asks_for_every_step_of_the_fuser():
    infrared, visible = sample_pair((96, 64))
    assert infrared.dtype == np.uint16 and infrared.shape == (512, 640)
    assert visible.dtype == np.uint8 and visible.shape == (64, 96, 3)


def test_rounds_visit_every_case_before_the_next(monkeypatch):
    order = []

    def load(case):
        return lambda: (order.append(case.backend), Sample(0.001))[1], lambda: order.append("closed"), "device", "m"

    monkeypatch.setattr(bench, "_load", load)
    cases = [Case(Path("m"), name, (64, 64)) for name in "ab"]
    results = run_cases(cases, rounds=2, memory=False)
    assert order == ["a", "b", "a", "b", "a", "b", "closed", "closed"]  # the first of each is the warm-up
    assert [result.network for result in results] == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("ratio, fastest", [(1.0, True), (2.0, False)])
def test_auto_is_compared_with_the_fastest(ratio, fastest):
    auto = choice_of_auto([])["backend"]
    model = Path(os.path.relpath(resolve_model()))  # however the path was given
    results = [
        Result(Case(model, auto, (64, 32)), fuser=[2.0 * ratio] * 3),
        Result(Case(model, "other", (64, 32)), fuser=[2.0 if ratio > 1 else 4.0] * 3),
        Result(Case(Path("another.onnx"), "other", (64, 32)), fuser=[0.1]),
    ]
    choice = choice_of_auto(results)
    assert choice["is_fastest"] is fastest
    assert choice["sizes"]["64x32"] == {"fastest": auto if fastest else "other", "ratio": ratio}
    assert ("50 %" in verdict(choice)) is not fastest


def test_the_command_measures_ours_and_a_foreign_network(average, tmp_path, capsys):
    report = tmp_path / "bench.json"
    ours_only = ["--backends", "onnxruntime", "--model", str(resolve_model()), "--sizes", "64x48", "--rounds", "3"]
    status = main(["bench", "models", *ours_only, "--onnx", str(average), "--json", str(report)])
    assert status == 0
    content = json.loads(report.read_text())
    ours, foreign = content["results"]
    assert ours["fuser_ms"]["median"] >= ours["network_ms"]["median"] > 0
    assert 10 < ours["memory_mb"] < 2000
    assert foreign["foreign"] and foreign["fuser_ms"] is None and foreign["network_ms"]["p95"] > 0
    out = capsys.readouterr().out
    assert "average.onnx (foreign)" in out and "auto takes" in out
    assert len({len(line) for line in out.splitlines() if line.startswith("|")}) == 1  # columns are aligned


def test_the_floor_is_bytes_over_bandwidth_and_set_against_the_device_where_it_tells():
    result = Result(Case(Path("m"), "torch", (64, 64)), bytes_moved=2_000_000, bandwidth=[1e9, 4e9, 1e9])
    result.network = [9.0, 6.0, 6.0]
    assert result.floor == pytest.approx(2.0) and result.over_floor == pytest.approx(3.0)
    result.on_device = [5.0, 5.0, 7.0]
    assert result.over_floor == pytest.approx(2.5)
    assert result.summary()["floor_ms"] == 2.0 and result.summary()["copy_gb_per_second"] == 1.0
    assert Result(result.case).floor is None and Result(result.case).summary()["over_floor"] is None
    assert [device_of(name) for name in ("onnxruntime", "openvino", "torch", "onnxruntime:cuda")] == [
        *["cpu"] * 2,
        *["cuda"] * 2,
    ]


def test_the_command_sets_a_network_against_its_floor(monkeypatch, tmp_path, capsys, average):
    monkeypatch.setattr(bandwidth, "COPY_BYTES", 1 << 20)
    report = tmp_path / "bench.json"
    arguments = ["--backends", "onnxruntime", "--model", str(resolve_model()), "--sizes", "64x48", "--rounds", "3"]
    assert (
        main(["bench", "models", *arguments, "--onnx", str(average), "--no-memory", "--floor", "--json", str(report)])
        == 0
    )
    ours, foreign = json.loads(report.read_text())["results"]
    assert ours["bytes_moved"] > 3 * 64 * 48 and ours["copy_gb_per_second"] > 0.01
    floor = ours["bytes_moved"] / ours["copy_gb_per_second"] / 1e6
    assert ours["floor_ms"] == pytest.approx(floor, rel=0.3, abs=1e-3)
    assert foreign["floor_ms"] is None
    out = capsys.readouterr().out
    assert "× floor" in out and len({len(line) for line in out.splitlines() if line.startswith("|")}) == 1


def test_a_case_that_cannot_run_is_named_and_the_rest_is_measured(tmp_path, capsys):
    model = mean_network(tmp_path / "fixed.onnx", [1, 1, 256, 256])
    quick = ["--rounds", "1", "--no-memory", "--backends", "onnxruntime"]
    status = main(["bench", "models", "--sizes", "64x48", "256x256", *quick, "--onnx", str(model)])
    assert status == 1
    out = capsys.readouterr().out
    assert "takes 256×256 only, not 64×48" in out and "256×256" in out


@pytest.mark.parametrize(
    "arguments", [["--sizes", "7x7"], ["--sizes", "big"], ["--rounds", "0"], ["--threads", "-1"], ["--rounds", "x"]]
)
def test_nonsense_is_refused_by_the_parser(arguments, capsys):
    assert main(["bench", "models", *arguments]) == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_missing_foreign_file_and_an_unknown_backend_are_errors(capsys):
    assert main(["bench", "models", "--onnx", "none.onnx"]) == 2
    assert "none.onnx" in capsys.readouterr().err
    assert main(["bench", "models", "--backends", "abacus", "--sizes", "64x48", "--rounds", "1", "--no-memory"]) == 1
    assert "abacus" in capsys.readouterr().out


def test_a_foreign_file_that_is_no_network(tmp_path):
    path = tmp_path / "text.onnx"
    path.write_text("hello")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        ForeignNetwork(path, (64, 64))
