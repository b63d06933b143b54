from __future__ import annotations

import json

import pytest

from ivif_core.benchmarks.bag_throughput import BagBench, StageTimes
from ivif_core.cli.main import main
from test.core.recorded_bag import INFRARED, VISIBLE, frames, record


def test_what_the_cores_allow_is_their_time_over_the_work_of_the_parts():
    parts = {"reading and decoding": 4.0, "Fuser": 30.0, "writing": 6.0, "ivif bag": 41.0}
    stages = {name: StageTimes(wall=[50.0, 25.0, 20.0], cpu=[cpu, cpu, 99.0]) for name, cpu in parts.items()}
    bench = BagBench(pairs=3, cores=2, backend="b", stages=stages)
    assert bench.allowed == pytest.approx(50.0)  # 2 × 1000 ms over 40 ms
    assert bench.stages["ivif bag"].rate == pytest.approx(40.0)


@pytest.mark.parametrize("mcap", [True, False], ids=["mcap", "db3"])
def test_the_command_measures_every_stage_and_leaves_nothing(tmp_path, capsys, monkeypatch, mcap):
    record(tmp_path / "in", frames(40), mcap=mcap)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    arguments = ["bench-bag", str(tmp_path / "in"), "--infrared", INFRARED, "--visible", VISIBLE]
    assert main([*arguments, "--rounds", "2", "--json", str(tmp_path / "bench.json")]) == 0
    summary = json.loads((tmp_path / "bench.json").read_text())
    assert summary["pairs"] == 40 and summary["allowed_per_second"] > 0
    assert list(summary["stages"]) == ["reading and decoding", "Fuser", "writing", "ivif bag"]
    assert all(stage["per_second"] > 0 and stage["cpu_ms"] > 0 for stage in summary["stages"].values())
    assert "| ivif bag |" in capsys.readouterr().out
    assert not list((tmp_path / "temporary").iterdir())


def test_a_topic_that_is_not_there_is_an_error(tmp_path, capsys):
    record(tmp_path / "in", frames(1))
    assert main(["bench-bag", str(tmp_path / "in"), "--infrared", "/none", "--visible", VISIBLE]) == 2
    assert f"image topics of this bag: {INFRARED}, {VISIBLE}" in capsys.readouterr().err
