from __future__ import annotations

import json

import pytest

from ivif_core.sync.dropout_policy import STATUSES
from ivif_ros.tools import soak
from ivif_ros.tools.camera_faults import FAULTS, CameraPair


def test_every_fault_makes_messages_and_names_a_status_that_there_is():
    cameras = CameraPair()
    for fault in FAULTS:
        assert fault.status in ("", *STATUSES)
        for tick in range(6):
            for source, message in fault.frames(cameras, tick * 10**8):
                assert message.encoding == {"infrared": "mono16", "visible": "bgr8"}[source]


def test_slope_is_of_what_follows_the_warm_up():
    growing = [(float(second), 100_000 + second * 1024, 20, 26) for second in range(0, 3600, 10)]
    assert soak.slope(growing, 60) == pytest.approx(3600)
    warming_up = [(at, max(kilobytes, 100_000 + 300 * 1024), 20, 26) for at, kilobytes, *_ in growing[:31]]
    level = [(at, warming_up[-1][1], 20, 26) for at, *_ in growing[31:]]
    assert soak.slope(warming_up + level, 60) == 0
    assert soak.slope(growing[:2], 60) is None


def test_a_short_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(soak, "WELL", 1.0)
    monkeypatch.setattr(soak, "FAULT", 1.0)
    soak.main(["--minutes", "0.05", "--faults", "--json", str(tmp_path / "soak.json")])
    said = capsys.readouterr()
    result = json.loads((tmp_path / "soak.json").read_text())
    assert json.loads(said.out) == result
    assert result["pairs"]["good"]["fused"] > 0 and "thermal frozen" in result["pairs"]
    assert result["node exit status"] == 0 and result["tracebacks"] == 0
