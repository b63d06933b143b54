from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.errors import InputError
from ivif_core.files.outputs import MARK
from ivif_core.imaging.files import find_images
from ivif_core.offline.jobs import Job, Manifest, find_sources, hash_files, name_targets, run_job
from test.core.offline.worker_killer import descendants, kill_a_busy_worker, wait_for
from test.core.recorded_bag import INFRARED, TOPICS, VISIBLE, frames, read_all, record

FEW = 3
COMMAND = "import sys; from ivif_core.cli.main import main; sys.exit(main(sys.argv[1:]))"


def make_folder(path: Path, count: int = FEW) -> Path:
    for name, place in (("infrared", 0), ("visible", 1)):
        (path / name).mkdir(parents=True)
        for index, pair in enumerate(frames(count)):
            cv2.imwrite(str(path / name / f"{index}.png"), pair[place])
    return path


def spoil(bag: Path) -> None:
    (bag / f"{bag.name}.mcap").write_bytes(b"rubbish" * 1000)


def test_lists_folders_and_bags_are_found(tmp_path):
    folder, bag = make_folder(tmp_path / "all" / "pairs"), tmp_path / "all" / "run"
    record(bag, frames(1))
    (tmp_path / "all" / "notes").mkdir()
    assert find_sources([tmp_path / "all"]) == [folder, bag]
    assert find_sources([folder, bag, bag / "run.mcap", folder]) == [folder, bag, bag / "run.mcap"]
    (tmp_path / "list.txt").write_text("# of today\nall/run\n\nall/pairs  # the second\nmissing\n")
    assert find_sources([tmp_path / "list.txt"]) == [bag, folder, tmp_path / "missing"]
    for nothing in (tmp_path / "all" / "notes", tmp_path / "no.txt", bag / "metadata.yaml" / "x"):
        with pytest.raises(InputError):
            find_sources([nothing])


def test_a_folder_of_single_files_is_several_bags_and_one_of_split_files_is_one(tmp_path):
    for name in ("day_0.mcap", "day_1.mcap"):
        (tmp_path / name).write_bytes(b"")
    assert find_sources([tmp_path]) == [tmp_path]
    (tmp_path / "night.mcap").write_bytes(b"")
    assert find_sources([tmp_path]) == [tmp_path / name for name in ("day_0.mcap", "day_1.mcap", "night.mcap")]
    (tmp_path / "metadata.yaml").write_text("{}")
    assert find_sources([tmp_path]) == [tmp_path]


def test_inputs_of_one_name_get_outputs_of_their_own(tmp_path):
    sources = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "other.mcap"]
    targets = name_targets(sources, tmp_path / "out")
    assert targets[2] == tmp_path / "out" / "other" and len(set(targets)) == 3
    assert targets == name_targets(sources[::-1], tmp_path / "out")[::-1]


def test_the_hash_sees_contents_and_names(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"1")
    first = hash_files(tmp_path / "a")
    assert first == hash_files(tmp_path / "a")
    (tmp_path / "a" / "b" / "c").write_bytes(b"2")
    second = hash_files(tmp_path / "a")
    (tmp_path / "a" / "b" / "c").rename(tmp_path / "a" / "b" / "d")
    assert len({first, second, hash_files(tmp_path / "a"), hash_files(tmp_path / "a" / "b" / "d")}) == 4


def test_a_job_is_done_once_and_again_when_anything_changed(tmp_path):
    record(tmp_path / "run", frames(FEW))
    job = Job(str(tmp_path / "run"), str(tmp_path / "out"), TOPICS)
    entry = run_job(job)
    assert (entry["status"], entry["fused"], entry["error"]) == ("done", FEW, "") and entry["seconds"] > 0
    assert run_job(job, entry) is entry
    changed = Job(job.source, job.target, TOPICS, {"vividness": 1.0})
    again = run_job(changed, entry)
    assert again["status"] == "done" and again["parameters"] == {"vividness": 1.0}
    assert run_job(job, {**entry, "model_sha256": "another"})["model_sha256"] == entry["model_sha256"]
    assert run_job(job, {**entry, "status": "failed"})["status"] == "done"
    shutil.rmtree(tmp_path / "out")
    assert run_job(job, entry) is not entry and (tmp_path / "out").is_dir()
    shutil.rmtree(tmp_path / "run")
    record(tmp_path / "run", frames(FEW + 1))
    assert run_job(job, entry)["fused"] == FEW + 1


def test_a_folder_of_pairs_is_whole_or_says_what_is_missing(tmp_path):
    folder = make_folder(tmp_path / "pairs")
    job = Job(str(folder), str(tmp_path / "out"))
    assert run_job(job)["status"] == "done"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [MARK, "0.png", "1.png", "2.png"]
    (folder / "visible" / "1.png").write_bytes(b"no image")
    (folder / "visible" / "2.png").unlink()
    entry = run_job(job)
    assert (entry["status"], entry["fused"]) == ("partial", 1)
    assert "1 files without a partner" in entry["error"] and "1:" in entry["error"]
    (folder / "visible" / "0.png").write_bytes(b"no image")
    entry = run_job(job)
    assert entry["status"] == "failed" and "no pair could be fused" in entry["error"]
    assert (tmp_path / "out" / "0.png").is_file()  # what an earlier run made stays
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pairs"]


@pytest.mark.parametrize("source", ["missing", "spoiled", "empty"])
def test_a_bad_input_is_an_entry_and_no_exception(tmp_path, source):
    record(tmp_path / "spoiled", frames(1))
    spoil(tmp_path / "spoiled")
    (tmp_path / "empty").mkdir()
    entry = run_job(Job(str(tmp_path / source), str(tmp_path / "out"), TOPICS))
    assert entry["status"] == "failed" and source in entry["error"] and entry["fused"] == 0
    assert not (tmp_path / "out").exists()


def test_the_manifest_survives_lines_that_are_cut_or_strange(tmp_path):
    manifest = Manifest(tmp_path / "manifest.jsonl")
    manifest.add({"input": "a", "status": "failed"})
    manifest.add({"input": "b", "status": "done"})
    manifest.add({"input": "a", "status": "done"})
    manifest.add({"input": "a", "status": "done"})  # nothing new, so no line
    text = manifest.path.read_text()
    assert len(text.splitlines()) == 3
    manifest.path.write_text(text + '3\n{"input": "d"}\n{"input": [], "status": "done"}\n' + '{"input": "c", "sta')
    assert Manifest(manifest.path).entries == {
        "a": {"input": "a", "status": "done"},
        "b": {"input": "b", "status": "done"},
    }


def test_a_bag_whose_cameras_are_not_named_is_fused_by_what_they_are(tmp_path):
    record(tmp_path / "run", frames(FEW))
    entry = run_job(Job(str(tmp_path / "run"), str(tmp_path / "out")))
    assert (entry["status"], entry["error"], entry["fused"]) == ("done", "", FEW)


def test_nonsense_is_refused_before_ray_starts(tmp_path):
    record(tmp_path / "run", frames(1))
    out = ["-o", str(tmp_path / "out")]
    topics = ["--infrared", INFRARED, "--visible", VISIBLE]
    assert main(["fuse-many", str(tmp_path / "run"), *out, *topics, "--vividness", "7"]) == 2
    assert main(["fuse-many", str(tmp_path / "run"), *out, *topics, "--workers", "0"]) == 2
    assert main(["fuse-many", str(tmp_path / "nothing"), *out, *topics]) == 2
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


@pytest.mark.ray
def test_over_ray_a_killed_worker_and_bad_bags_stop_nothing(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    sources = tmp_path / "bags"
    for index in range(5):
        record(sources / f"run_{index}", frames(40, (640, 480)) if index == 0 else frames(FEW))
    make_folder(sources / "pairs")
    spoil(sources / "run_3")
    command = [sys.executable, "-c", COMMAND, "fuse-many", str(sources), "-o", str(tmp_path / "out"), "--workers", "2"]
    command += ["--infrared", INFRARED, "--visible", VISIBLE, "--keep-all"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert kill_a_busy_worker(first.pid)
        out, _ = first.communicate(timeout=100)
    finally:
        first.terminate()
    assert first.returncode == 1 and "5 done, 0 done before, 0 in part, 1 failed" in out
    entries = {Path(entry["input"]).name: entry for entry in read_manifest(tmp_path / "out")}
    assert {name: entry["status"] for name, entry in entries.items()} == {
        **{f"run_{index}": "done" for index in (0, 1, 2, 4)},
        "pairs": "done",
        "run_3": "failed",
    }
    assert "nothing of this bag" in entries["run_3"]["error"]
    assert entries["run_0"]["fused"] == 40 and entries["run_0"]["input_sha256"] == hash_files(sources / "run_0")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.jsonl", "pairs", "run_0", "run_1", "run_2", "run_4",
    ]  # fmt: skip
    before = read_all(sources / "run_1")
    assert {k: v for k, v in read_all(tmp_path / "out" / "run_1").items() if k in before} == before

    # A second run does what is left, and what has changed since.
    shutil.rmtree(sources / "run_3")
    record(sources / "run_3", frames(FEW))
    for name, entry in entries.items():
        job = Job(entry["input"], entry["output"], TOPICS, keep_all=True)
        again = run_job(job, entry)
        assert again["status"] == "done" and (again is entry) == (name != "run_3")


def test_a_signal_to_the_process_group_ends_it_as_one_to_the_process(tmp_path):
    """As a terminal that is closed sends it: Ray's servers must not die before their driver has tidied up."""
    pytest.importorskip("ray", reason="Ray is not installed")
    make_folder(tmp_path / "pairs", 20)
    command = [sys.executable, "-c", COMMAND, "fuse-many", str(tmp_path / "pairs"), "-o", str(tmp_path / "out")]
    running = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert wait_for(running.pid, "raylet")  # Ray is still starting
        group = [pid for pid in descendants(running.pid) if os.getpgid(pid) == running.pid]
        os.killpg(running.pid, signal.SIGTERM)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert group == [] and (running.returncode, errors) == (143, "")
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name != "manifest.jsonl"] == []


def read_manifest(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "somewhere", "ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_an_error_at_once(tmp_path, capsys, address):
    pytest.importorskip("ray", reason="Ray is not installed")
    make_folder(tmp_path / "pairs")
    assert main(["fuse-many", str(tmp_path / "pairs"), "-o", str(tmp_path / "out"), "--ray", address]) == 2
    assert address in capsys.readouterr().err


def test_results_of_a_job_equal_the_single_command(tmp_path):
    folder = make_folder(tmp_path / "pairs")
    run_job(Job(str(folder), str(tmp_path / "many")))
    single = tmp_path / "single"
    assert main(["fuse", str(folder / "infrared"), str(folder / "visible"), "-o", str(single), "--sequence"]) == 0
    for path in find_images(single).values():
        np.testing.assert_array_equal(cv2.imread(str(path)), cv2.imread(str(tmp_path / "many" / path.name)))
