from __future__ import annotations

import json

import pytest

from ivif_core.calibration.points import read_points
from ivif_core.errors import InputError


@pytest.mark.parametrize(
    "text,said",
    [
        ("[" * 100000, "cannot be read as JSON"),
        ('{"points":[{"infrared":[1' + "0" * 400 + ',1],"visible":[1,1]}]}', "no numbers"),
        ('{"points":[{"infrared":[1e308,1],"visible":[1,1]}]}', "farther than"),
        ('{"points":[{"infrared":[NaN,1],"visible":[1,1]}]}', "finite"),
        ('{"points":[]}', "expected"),
    ],
)
def test_hostile_points_are_one_line(tmp_path, text, said):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_points(tmp_path / "p.json")
    assert "\n" not in str(caught.value)


def test_points_of_a_file(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({"points": [{"infrared": [1, 2], "visible": [3.5, 4]}]}))
    infrared, visible = read_points(tmp_path / "p.json")
    assert infrared.tolist() == [[1, 2]] and visible.tolist() == [[3.5, 4]]
