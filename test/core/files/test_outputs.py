from __future__ import annotations

import json
import os
import threading

import pytest

from ivif_core.errors import OutputError
from ivif_core.files.outputs import MARK, check_apart, check_file, check_folder, only_run, place_folder
from ivif_core.files.writing import temporary_folder


def place(target, text="made", overwrite=False):
    with temporary_folder(target) as part:
        made = part / target.name
        (made / "inside").mkdir(parents=True)
        (made / "inside" / "file").write_text(text)
        place_folder(made, target, made_by="test", overwrite=overwrite)


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data" / "bag"
    folder.mkdir(parents=True)
    (folder / "bag.mcap").write_text("precious")
    (tmp_path / "data" / "beside.txt").write_text("precious")
    return folder


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("data/bag", "is the input"),
        ("data", "holds inputs"),
        (".", "holds inputs"),
        ("..", "holds inputs"),
        ("data/bag/out", "lies in"),
        ("data/bag/deep/er/out", "lies in"),
        ("data/x/../bag", "is the input"),
        ("to_bag", "is the input"),
        ("to_data", "holds inputs"),
        ("to_bag/out", "lies in"),
        ("to_data/bag", "is the input"),
        ("dangling", "lies in"),
    ],
)
def test_an_output_that_touches_the_input_is_refused(tmp_path, data, monkeypatch, output, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "to_bag").symlink_to(data)
    (tmp_path / "to_data").symlink_to("data")
    (tmp_path / "dangling").symlink_to(data / "not yet")
    for given in (data, data.relative_to(tmp_path), tmp_path / "to_bag"):
        with pytest.raises(OutputError, match=says):
            check_apart(tmp_path.__class__(output), [given])
    check_apart(tmp_path / "data" / "bag2", [data, None])
    check_apart(tmp_path / "out", [data])


def test_hard_links_are_seen(tmp_path, data):
    os.link(data / "bag.mcap", tmp_path / "other.mcap")
    with pytest.raises(OutputError, match="is an input"):
        check_file(tmp_path / "other.mcap", [data / "bag.mcap", tmp_path], overwrite=True)


def test_links_in_a_circle_are_an_error(tmp_path, data):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError):
        check_folder(tmp_path / "a", [data], overwrite=True)


@pytest.mark.parametrize("what", ["unmarked", "empty", "file", "link", "another mark", "mark of nonsense"])
def test_what_is_not_of_this_program_stays(tmp_path, data, what):
    target = tmp_path / "out"
    if what == "file":
        target.write_text("mine")
    elif what == "link":
        place(tmp_path / "real")
        target.symlink_to(tmp_path / "real")
    else:
        target.mkdir()
        if what != "empty":
            (target / "mine.txt").write_text("mine")
        if "mark" in what and what != "unmarked":
            (target / MARK).write_text('{"files": {}}' if what == "another mark" else "[" * 5000)
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match="not replaced"):
        check_folder(target, [data], overwrite=True)
    with pytest.raises(OutputError, match="not replaced"):
        place(target, overwrite=True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("change", ["added", "grown", "hidden", "link", "folder"])
def test_a_folder_of_ours_with_anything_else_in_it_stays(tmp_path, data, change):
    target = tmp_path / "out"
    place(target)
    if change == "link":
        (target / "inside" / "link").symlink_to(data)
    elif change == "folder":
        (target / "notes").mkdir()
    elif change == "grown":
        (target / "inside" / "file").write_text("made, and annotated by hand")
    else:
        (target / "inside" / (".notes" if change == "hidden" else "notes")).write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match="ivif did not make"):
        place(target, overwrite=True)
    assert snapshot(tmp_path) == before


def test_our_own_folder_is_replaced_only_when_asked(tmp_path, data):
    target = tmp_path / "out"
    place(target, "first")
    assert json.loads((target / MARK).read_text())["files"] == {"inside/file": 5}
    with pytest.raises(OutputError, match="--overwrite"):
        check_folder(target, [data], overwrite=False)
    with pytest.raises(OutputError, match="another run has just made it"):
        place(target, "second")
    check_folder(target, [data], overwrite=True)
    place(target, "second", overwrite=True)
    assert (target / "inside" / "file").read_text() == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_of_runs_that_end_together_one_is_whole(tmp_path, overwrite):
    target, failures = tmp_path / "out", []
    gate = threading.Barrier(8)

    def run(number):
        gate.wait()
        try:
            place(target, str(number), overwrite)
        except OutputError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == (0 if overwrite else 7)
    assert (target / "inside" / "file").read_text() in map(str, range(8))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_takes_one_run_at_a_time(tmp_path):
    with only_run(tmp_path), pytest.raises(OutputError, match="another run"), only_run(tmp_path):
        pass
    with only_run(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_made_for_a_run_goes_where_nothing_came_of_it(tmp_path):
    (tmp_path / "mine").mkdir()
    for name, written in (("mine", None), ("a/b", None), ("c/d", "x"), ("e/f", "../x")):
        with pytest.raises(KeyboardInterrupt), only_run(tmp_path / name):
            if written:
                (tmp_path / name / written).touch()
            raise KeyboardInterrupt
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"mine", "c", "c/d", "c/d/x", "e", "e/x"}
