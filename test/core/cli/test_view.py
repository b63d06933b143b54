from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request

import cv2
import pytest

from ivif_core.cli.main import main
from test.core import flir_photo as flir
from test.core.recorded_bag import INFRARED, VISIBLE, frames, record


@pytest.fixture
def pairs(tmp_path):
    for index, (counts, visible) in enumerate(frames(2)):
        for name, image in (("infrared", counts), ("visible", visible)):
            (tmp_path / "pairs" / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "pairs" / name / f"{index}.png"), image)
    return tmp_path / "pairs"


def names_of(*arguments):
    """Start the command, read the names of its frames from its page, look at the last, and end it with Ctrl-C."""
    code = "import sys; from ivif_core.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "view", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            assert found, line + process.stderr.read()
            with urllib.request.urlopen(found[0] + "state", timeout=20) as answer:
                names = json.loads(answer.read())["names"]
            body = json.dumps({"frame": len(names) - 1}).encode()
            look = urllib.request.Request(found[0] + "look", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(look, timeout=20) as answer:
                assert json.loads(answer.read())["key"] == 1
        finally:
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0 and said == "", said
    return names


def test_pairs_and_bags_are_shown(pairs, tmp_path):
    assert names_of(pairs) == ["0", "1"]
    record(tmp_path / "bag", frames(3))
    assert names_of(tmp_path / "bag") == ["0.00 s", "0.03 s", "0.07 s"]


def test_photos_are_shown(tmp_path, rng):
    pytest.importorskip("flyr", reason="flyr is not installed (extra radiometric)")
    for name in ("a", "b"):
        (tmp_path / f"{name}.jpg").write_bytes(flir.make_photo(rng))
    assert names_of(tmp_path / "a.jpg", tmp_path / "b.jpg") == ["a", "b"]


def refused(capsys, *arguments):
    assert main(["view", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1, said.err
    return said.err


def test_what_cannot_be_shown_is_one_line(pairs, tmp_path, capsys):
    infrared, visible = pairs / "infrared", pairs / "visible"
    assert "two files or two folders" in refused(capsys, infrared, visible / "0.png")
    assert "no JPEG files" in refused(capsys, infrared)
    assert "name topics of a bag" in refused(capsys, pairs, "--infrared", INFRARED)
    assert "no names match" in refused(capsys, infrared, tmp_path)
    (visible / "0.png").write_bytes(b"")
    assert "0.png" in refused(capsys, infrared / "0.png", visible / "0.png")
    record(tmp_path / "bag", frames(2))
    assert "no images of the visible topic" in refused(capsys, tmp_path / "bag", "--visible", "/none")
    assert VISIBLE in refused(capsys, tmp_path / "bag", "--visible", "/none")
    assert "vividness" in refused(capsys, pairs, "--vividness", "2")
    pytest.importorskip("flyr", reason="flyr is not installed (extra radiometric)")
    assert "No such file" in refused(capsys, tmp_path / "nothing.jpg")
