"""The command that measures the node, on a real graph; how fast it is here is not asserted."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from ivif_ros.tools.benchmark import ProcessMeter, main


def test_counts_latencies_and_the_share_of_each_process(tmp_path, capsys):
    arguments = ["--infrared-size", "64x64", "--visible-size", "64x64", "--rate", "20", "--seconds", "2"]
    assert main([*arguments, "--json", str(tmp_path / "result.json")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((tmp_path / "result.json").read_text())
    assert result["sent"] == 40 and 0 < result["fused"] <= 40
    assert result["fused"] + sum(result["dropped"].values()) <= 40
    assert set(result["latency_ms"]) == {"stamp to publish", "publish to receipt", "stamp to receipt"}
    assert all(0 < result[f"{name} cores"] < 16 for name in ("publisher", "node", "receiver"))


WORKED = """
import time
while time.process_time() < 1:
    pass
print(flush=True)
input()
"""


def test_processor_time_counts_from_the_meter_on_not_from_the_process():
    child = subprocess.Popen([sys.executable, "-c", WORKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdout.readline()  # a second of work is behind it
    meter = ProcessMeter(child.pid)
    time.sleep(0.3)
    meter.sample()
    idle = meter.cores
    assert idle < 0.3 and meter.peak_private > 1000
    child.communicate("\n", timeout=10)
    meter.sample()
    assert meter.cores == idle  # it has ended
