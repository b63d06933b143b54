"""Whatever a command writes: never over an input or over what is not of this program, and whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.cli.tree import GROUPS
from ivif_core.files.outputs import MARK
from test.core.files.full_disk import COMMAND, full_disk
from test.core.recorded_bag import INFRARED, VISIBLE, frames, read_all, record

TOPICS = ["--infrared", INFRARED, "--visible", VISIBLE]
PAIR = ["a.png", "b.png"]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory, brighter_model) -> Path:
    """Folders of pairs, a pair, a bag in a folder with other things, and a model."""
    rng, folder = np.random.default_rng(20), tmp_path_factory.mktemp("furnished")
    images = [("ir/p", 1), ("ir/q", 1), ("vi/p", 3), ("vi/q", 3), ("a", 1), ("b", 3)]
    for name, channels in [*images, ("src/pairs/infrared/0", 1), ("src/pairs/visible/0", 1)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{name}.png"), rng.integers(0, 256, (48, 56, channels)).astype(np.uint8))
    record(folder / "proj/bags/drive", frames(3))
    (folder / "proj/bags/notes.txt").write_text("of the other drives")
    (folder / "model.onnx").write_bytes(Path(brighter_model).read_bytes())
    (folder / "fusion.yaml").write_text("/**: {ros__parameters: {vividness: 0.5}}\n")
    (folder / "points.json").write_text(json.dumps({"points": CORNERS}))
    (folder / "to_proj").symlink_to("proj")
    (folder / "to_a.png").symlink_to("a.png")
    (folder / "mine").mkdir()
    (folder / "mine/thesis.txt").write_text("three years")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, furnished):
    """A copy of what is furnished, with one file under two names; the current folder."""
    shutil.copytree(furnished, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    os.link("b.png", "hard_b.png")
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
    *(
        ["calibrate", "scene", *PAIR, "-o", out]
        for out in ("a.png", "b.png", "b.yaml", "to_a.png", "hard_b.png", "mine")
    ),
    ["calibrate", "scene", *PAIR, "-o", "r.yaml", "--overlay", "b.png"],
    ["calibrate", "points", *PAIR, "-o", "points.json", "--points", "points.json"],
    ["calibrate", "scene", "ir", "vi", "-o", "ir/p.yaml"],
    *(["calibrate", "click", *PAIR, "-o", out] for out in ("a.png", "hard_b.png", "mine", "nowhere/p.json")),
    ["bench", "models", "--model", "model.onnx", "--json", "model.onnx"],
    ["bench", "bag", "proj/bags/drive", *TOPICS, "--json", "proj/bags/drive/drive.mcap"],
    ["bench", "bag", "proj/bags/drive/drive.mcap", *TOPICS, "--json", "proj/bags/drive/metadata.yaml"],
    ["bench", "bag", "proj/bags/drive", *TOPICS, "--params", "fusion.yaml", "--json", "fusion.yaml"],
    ["export", "model.onnx", "-o", "src/pairs", "--pairs", "src/pairs"],
]


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_refused_before_anything_is_touched(here, capsys, command):
    before = snapshot(here)
    assert main(command) == 2
    said = capsys.readouterr().err.strip().splitlines()
    name = " ".join(command[:2]) if command[0] in GROUPS else command[0]
    assert said[-1].startswith(f"ivif {name}: ") and "Traceback" not in said
    assert snapshot(here) == before


def test_a_picture_that_the_user_did_not_name_is_not_replaced(here, capsys):
    cv2.imwrite("rig.png", np.zeros((4, 4), np.uint8))
    before = snapshot(here)
    assert main(["calibrate", "scene", *PAIR, "-o", "rig.yaml"]) == 2
    assert "--overlay" in capsys.readouterr().err and snapshot(here) == before
    Path("rig.png").unlink()
    for _ in range(2):  # its own, it does replace
        assert main(["calibrate", "points", *PAIR, "-o", "rig.yaml", "--points", "points.json"]) == 0
        assert Path("rig.yaml").is_file() and Path("rig.png").is_file()
        Path("rig.yaml").unlink()


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

for name, (command, output) in json.loads(sys.argv[1]).items():
    output = Path(output)
    assert main(command) == 0, name
    size = max(path.stat().st_size for path in ([output] if output.is_file() else output.rglob("*")) if path.is_file())
    last = size * 19 // 20 if name in ("mp4", "mkv") else size - 1  # a video is not each time of the same length
    for room in sorted({0, 300, size // 2, last}):
        remove()
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        status = main(command)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        left = [str(path) for path in Path().glob(".ivif-*")]
        print("ROOM", json.dumps([name, room, status, output.exists(), left]))
"""
VIDEO = ["fuse", "ir.mkv", "vi.mkv", "--model", "model.onnx", "-o"]
POINTS = ["calibrate", "points", *PAIR, "--points", "points.json", "--force", "-o"]
WRITES = {
    **{suffix: ([*FUSE, f"out.{suffix}"], f"out.{suffix}") for suffix in ("png", "jpg", "bmp", "tif", "ppm", "webp")},
    "mcap": ([*BAG, "out", *TOPICS], "out"),
    "db3": (["bag", "db3", "out", *TOPICS], "out"),
    "extract": ([*EXTRACT, "out"], "out"),
    "mp4": ([*VIDEO, "out.mp4"], "out.mp4"),
    "mkv": ([*VIDEO, "out.mkv"], "out.mkv"),
    "report": ([*EVALUATE, "out.html", "--workers", "1"], "out.html"),
    "figures": (["evaluate", "vi", "ir", "vi", "--workers", "1", "--json", "out.json"], "out.json"),
    "registration": ([*POINTS, "out.yaml"], "out.yaml"),
}


def test_a_full_disk_is_an_error_and_leaves_nothing(here):
    """Of everything that is written, in one process, whose start takes longer than what it is asked."""
    record(Path("db3"), frames(3), mcap=False)
    writes = dict(WRITES)
    if find_spec("av"):
        from test.core.offline.test_video import pictures, write

        write(Path("ir.mkv"), pictures(4, "gray"), "gray")
        write(Path("vi.mkv"), pictures(4))
    else:
        del writes["mp4"], writes["mkv"]
    done = full_disk(FULL, resource.RLIM_INFINITY, here, json.dumps(writes))
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    found = [json.loads(line.removeprefix("ROOM ")) for line in done.stdout.splitlines() if line.startswith("ROOM ")]
    assert {name for name in writes if sum(entry[0] == name for entry in found) >= 3} == set(writes)
    assert [entry for entry in found if entry[2:] != [2, False, []]] == []


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
