"""Whatever a command writes: never over an input or over what is not of this program, and whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.files.outputs import MARK
from test.core.files.full_disk import COMMAND, full_disk
from test.core.recorded_bag import INFRARED, VISIBLE, frames, read_all, record

TOPICS = ["--infrared", INFRARED, "--visible", VISIBLE]
PAIR = ["a.png", "b.png"]


@pytest.fixture
def here(tmp_path, monkeypatch, rng, brighter_model):
    """Folders of pairs, a pair, a bag in a folder with other things, and a model; the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, shape in (("ir", (48, 56)), ("vi", (48, 56, 3))):
        Path(name).mkdir()
        for stem in "pq":
            cv2.imwrite(f"{name}/{stem}.png", rng.integers(0, 256, shape).astype(np.uint8))
    cv2.imwrite("a.png", rng.integers(0, 256, (48, 56)).astype(np.uint8))
    cv2.imwrite("b.png", rng.integers(0, 256, (48, 56, 3)).astype(np.uint8))
    record(Path("proj/bags/drive"), frames(3))
    Path("proj/bags/notes.txt").write_text("of the other drives")
    Path("src/pairs").mkdir(parents=True)
    for name in ("infrared", "visible"):
        Path(f"src/pairs/{name}").mkdir()
        cv2.imwrite(f"src/pairs/{name}/0.png", np.full((48, 56), 90, np.uint8))
    Path("model.onnx").write_bytes(Path(brighter_model).read_bytes())
    Path("fusion.yaml").write_text("/**: {ros__parameters: {vividness: 0.5}}\n")
    Path("points.json").write_text(json.dumps({"points": CORNERS}))
    Path("to_proj").symlink_to("proj")
    Path("to_a.png").symlink_to("a.png")
    os.link("b.png", "hard_b.png")
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("three years")
    return tmp_path


def snapshot(folder: Path) -> dict[str, str]:
    """Everything below a folder, by what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


CORNERS = [{"infrared": [x, y], "visible": [x + 3.0, y]} for x in (5.0, 50.0) for y in (5.0, 40.0)]
BAG = ["bag", "proj/bags/drive"]
MCAP = ["bag", "proj/bags/drive/drive.mcap"]
MANY = ["fuse-many", "src", "-o"]
EXTRACT = ["extract", "proj/bags/drive", *TOPICS, "-o"]
FUSE = ["fuse", *PAIR, "--overwrite", "--model", "model.onnx", "-o"]
FOLDERS = ["fuse", "ir", "vi", "--overwrite", "--model", "model.onnx", "-o"]
EVALUATE = ["evaluate", "vi", "ir", "vi", "-o"]
REFUSED = [
    *([*BAG, out, *TOPICS, "--overwrite"] for out in ("proj", "proj/bags", "proj/bags/drive", "to_proj", ".", "..")),
    *([*BAG, out, *TOPICS, "--overwrite"] for out in ("proj/bags/drive/out", "to_proj/bags/drive/out", "mine", "ir")),
    *([*BAG, out, *TOPICS, "--overwrite"] for out in ("a.png", "to_a.png", "proj/bags/../bags/drive", "fusion.yaml")),
    [*BAG, "proj/bags/drive", *TOPICS],
    *([*MCAP, out, *TOPICS, "--overwrite"] for out in ("proj", "proj/bags/drive", "proj/bags/drive/out", ".")),
    [*MCAP, "proj/bags/drive/drive.mcap", *TOPICS, "--overwrite"],
    [*BAG, "fusion.yaml", *TOPICS, "--params", "fusion.yaml", "--overwrite"],
    *([*MANY, out] for out in ("src", "src/pairs", "src/out", "src/pairs/infrared", ".", "..", "src/../src")),
    [*MANY, "out", "--manifest", "src/pairs/infrared/0.png"],
    [*MANY, "out", "--manifest", "src/pairs/list.jsonl"],
    [*MANY, "out", "--manifest", "fusion.yaml", "--params", "fusion.yaml"],
    [*MANY, "a.png"],
    *([*EXTRACT, out] for out in ("proj/bags/drive", "proj/bags/drive/pairs", "proj", ".", "mine", "to_proj")),
    *([*FUSE, out] for out in (*PAIR, "to_a.png", "hard_b.png", "ir/../a.png", "./b.png", "mine", "/dev/null")),
    ["fuse", *PAIR, "-o", "model.onnx.png", "--overwrite", "--model", "model.onnx.png"],
    *([*FOLDERS, out] for out in ("ir", "vi", "ir/fused", ".", "..", "ir/../vi", "a.png", "a.png/x")),
    *([*EVALUATE, out] for out in ("vi/p.png", "ir/report.html", "mine", "nowhere/r.html", "/dev/null")),
    ["evaluate", "vi", "ir", "vi", "--json", "ir/p.png"],
    *(["calibrate", *PAIR, "-o", out] for out in ("a.png", "b.png", "b.yaml", "to_a.png", "hard_b.png", "mine")),
    ["calibrate", *PAIR, "-o", "r.yaml", "--overlay", "b.png"],
    ["calibrate", *PAIR, "-o", "points.json", "--points", "points.json"],
    ["calibrate", "ir", "vi", "-o", "ir/p.yaml"],
    *(["pick-points", *PAIR, "-o", out] for out in ("a.png", "hard_b.png", "mine", "nowhere/p.json")),
    ["bench", "--model", "model.onnx", "--json", "model.onnx"],
    ["bench-bag", "proj/bags/drive", *TOPICS, "--json", "proj/bags/drive/drive.mcap"],
    ["bench-bag", "proj/bags/drive/drive.mcap", *TOPICS, "--json", "proj/bags/drive/metadata.yaml"],
    ["bench-bag", "proj/bags/drive", *TOPICS, "--params", "fusion.yaml", "--json", "fusion.yaml"],
    ["export", "model.onnx", "-o", "src/pairs", "--pairs", "src/pairs"],
]


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_refused_before_anything_is_touched(here, capsys, command):
    before = snapshot(here)
    assert main(command) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith(f"ivif {command[0]}: ") and "Traceback" not in said
    assert snapshot(here) == before


def test_a_picture_that_the_user_did_not_name_is_not_replaced(here, capsys):
    cv2.imwrite("rig.png", np.zeros((4, 4), np.uint8))
    before = snapshot(here)
    assert main(["calibrate", *PAIR, "-o", "rig.yaml"]) == 2
    assert "--overlay" in capsys.readouterr().err and snapshot(here) == before
    Path("rig.png").unlink()
    for _ in range(2):  # its own, it does replace
        assert main(["calibrate", *PAIR, "-o", "rig.yaml", "--points", "points.json"]) == 0
        assert Path("rig.yaml").is_file() and Path("rig.png").is_file()
        Path("rig.yaml").unlink()


@pytest.mark.parametrize("name", ["model_fp16.onnx", "model_bgr.onnx"])
def test_export_keeps_what_is_no_model_of_ivif(here, capsys, name):
    Path(name).write_text("mine")
    assert main(["export", "model.onnx", "--variants", "fp16", "bgr"]) == 2
    assert name in capsys.readouterr().err and Path(name).read_text() == "mine"


def test_a_bag_of_ours_is_replaced_and_one_with_notes_in_it_is_not(here, capsys):
    assert main([*BAG, "out", *TOPICS]) == 0
    assert json.loads(Path("out", MARK).read_text())["made_by"] == "ivif bag"
    assert main([*BAG, "out", *TOPICS, "--overwrite"]) == 0
    Path("out/notes.txt").write_text("mine")
    before = snapshot(here)
    assert main([*BAG, "out", *TOPICS, "--overwrite"]) == 2
    assert "notes.txt" in capsys.readouterr().err and snapshot(here) == before


FULL = """
import json, resource, shutil, sys
from pathlib import Path
from ivif_core.cli.main import main

def remove():
    shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)

output, command = Path(sys.argv[1]), sys.argv[2:]
assert main(command) == 0
size = max(path.stat().st_size for path in ([output] if output.is_file() else output.rglob("*")) if path.is_file())
for room in sorted({0, 300, size // 2, size - 1}):
    remove()
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    status = main(command)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print("ROOM", json.dumps([room, status, output.exists(), [str(path) for path in Path().glob(".ivif-*")]]))
"""


@pytest.mark.parametrize(
    ("command", "output"),
    [
        *(
            pytest.param([*FUSE, f"out.{suffix}"], f"out.{suffix}", id=suffix)
            for suffix in ("png", "jpg", "bmp", "tif", "ppm", "webp")
        ),
        pytest.param([*BAG, "out", *TOPICS], "out", id="mcap"),
        pytest.param(["bag", "db3", "out", *TOPICS], "out", id="db3"),
        pytest.param([*EXTRACT, "out"], "out", id="extract"),
        pytest.param(["fuse", "ir.mkv", "vi.mkv", "--model", "model.onnx", "-o", "out.mp4"], "out.mp4", id="mp4"),
        pytest.param(["fuse", "ir.mkv", "vi.mkv", "--model", "model.onnx", "-o", "out.mkv"], "out.mkv", id="mkv"),
        pytest.param([*EVALUATE, "out.html", "--workers", "1"], "out.html", id="report"),
        pytest.param(["evaluate", "vi", "ir", "vi", "--workers", "1", "--json", "out.json"], "out.json", id="figures"),
        pytest.param(
            ["calibrate", *PAIR, "--points", "points.json", "--force", "-o", "out.yaml"], "out.yaml", id="registration"
        ),
    ],
)
def test_a_full_disk_is_an_error_and_leaves_nothing(here, command, output):
    if "db3" in command:
        record(Path("db3"), frames(3), mcap=False)
    if "ir.mkv" in command:
        pytest.importorskip("av", reason="PyAV is not installed")
        from test.core.offline.test_video import pictures, write

        write(Path("ir.mkv"), pictures(4, "gray"), "gray")
        write(Path("vi.mkv"), pictures(4))
    done = full_disk(FULL, resource.RLIM_INFINITY, here, output, *command)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    found = [json.loads(line.removeprefix("ROOM ")) for line in done.stdout.splitlines() if line.startswith("ROOM ")]
    assert len(found) >= 3
    assert [entry for entry in found if entry[1:] != [2, False, []]] == []


def test_a_name_that_cannot_be_costs_that_image_only(here, capsys):
    for name in ("ir", "vi"):
        image = Path(name, "p.png").read_bytes()
        Path(name, "latin\udce4.png").write_bytes(image)
    Path("out/q.png").mkdir(parents=True)
    assert main(["fuse", "ir", "vi", "-o", "out", "--model", "model.onnx", "--overwrite"]) == 1
    said = capsys.readouterr()
    assert "1 pairs fused" in said.out and "latin" in said.err and "q.png" in said.err
    assert Path("out/p.png").is_file() and Path("out/q.png").is_dir()
    assert sorted(path.name for path in Path("out").iterdir()) == ["p.png", "q.png"]


def test_two_runs_into_one_folder_are_never_mixed(here):
    """Of `ivif fuse`, which writes file by file: the second is refused while the first is at work."""
    from ivif_core.files.outputs import only_run

    Path("out").mkdir()
    with only_run(Path("out")):
        assert main(["fuse", "ir", "vi", "-o", "out", "--model", "model.onnx"]) == 2
        assert main([*MANY, "out"]) == 2
    assert not list(Path("out").iterdir())
    assert main(["fuse", "ir", "vi", "-o", "out", "--model", "model.onnx"]) == 0


@pytest.mark.parametrize("command", [[*BAG, "out", *TOPICS], [*EXTRACT, "out"]], ids=["bag", "extract"])
def test_of_two_runs_at_once_one_wins(here, command):
    started = [
        subprocess.Popen([sys.executable, "-c", COMMAND, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[1].decode() for process in started]
    assert sorted(process.returncode for process in started) == [0, 2], said
    if command[0] == "bag":
        assert len(read_all(Path("out"))["/ivif/fused"]) == 3
    else:
        assert [len(list(Path("out", name).iterdir())) for name in ("infrared", "visible")] == [3, 3]
    assert not list(here.glob(".ivif-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_in_the_middle_of_a_bag(here, number):
    record(Path("long"), frames(60, (640, 480)))
    command = [sys.executable, "-c", COMMAND, "bag", "long", "out", *TOPICS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not list(here.glob(".ivif-*/made/out")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    error = process.communicate(timeout=30)[1].decode()
    assert "Traceback" not in error and not Path("out").exists()
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:
        assert list(here.glob(".ivif-*"))
        assert main([*BAG, "out", *TOPICS]) == 0
    assert not list(here.glob(".ivif-*"))
