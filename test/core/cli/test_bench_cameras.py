from __future__ import annotations

import json

from ivif_core.cli.main import main


def test_figures_of_both_sizes(capsys):
    assert main(["bench-cameras", "--frames", "2"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [entry["visible"] for entry in figures] == [[1280, 720], [1920, 1080]]
    for entry in figures:
        fastest = min(value for name, value in entry.items() if name.startswith("bare"))
        for mode in ("fixed", "percentile", "plateau"):
            assert entry[f"{mode} (ms)"] > 0
            assert abs(entry[f"{mode} / fastest bare remap"] - entry[f"{mode} (ms)"] / fastest) < 0.02
