"""The teacher's loop with a tiny CLIP: resumed, on two processes, and from the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from multiprocessing import get_context

import pytest
import torch

from ivif_core.cli.main import main
from ivif_core.training.checkpoint import load_checkpoint
from ivif_core.training.run import CHECKPOINT
from ivif_core.training.taught_pairs import load_teacher


def train(workshop, output, *overrides):
    assert main(["train", str(workshop / "recipe.yaml"), f"output={output}", *overrides]) == 0
    return load_checkpoint(output / CHECKPOINT, "teacher")


@pytest.fixture(scope="module")
def whole(workshop, tmp_path_factory):
    """An uninterrupted run."""
    output = tmp_path_factory.mktemp("whole")
    return output, train(workshop, output)


def start(workshop, output, *overrides, **environment):
    """`ivif train` in a process of its own: forked, since loading torch takes longer than these runs."""

    def run():
        os.environ.update(environment)
        sys.exit(main(["train", str(workshop / "recipe.yaml"), f"output={output}", *overrides]))

    process = get_context("fork").Process(target=run)
    process.start()
    return process


def test_killed_and_resumed_is_bit_equal(workshop, whole, tmp_path):
    """A process of its own is killed without warning, behind its first checkpoint and wherever it happens to be."""
    process = start(workshop, tmp_path, "steps=100000")
    try:
        deadline = time.monotonic() + 200
        while not (tmp_path / CHECKPOINT).exists() and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    reached = load_checkpoint(tmp_path / CHECKPOINT, "teacher")["step"]
    expected = whole[1] if reached < 6 else train(workshop, tmp_path / "longer", f"steps={reached + 2}")
    resumed = train(workshop, tmp_path, f"steps={max(6, reached + 2) if reached >= 6 else 6}")
    assert resumed["step"] == expected["step"] > reached
    for name, entry in expected["model"].items():
        assert torch.equal(entry, resumed["model"][name]), name
    for number, entry in expected["optimizer"]["state"].items():
        assert torch.equal(entry["exp_avg"], resumed["optimizer"]["state"][number]["exp_avg"])


def test_two_processes_equal_one(workshop, tmp_path):
    """The gradients of a step; weights would not do, since biases before a norm follow the sign of rounding in Adam."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        start(workshop, tmp_path / "two", "devices=2", "strategy=ddp", "steps=1", **torchrun, **which)
        for which in ({"RANK": rank, "LOCAL_RANK": rank, "TORCHELASTIC_RUN_ID": "one"} for rank in "01")
    ]
    for process in processes:
        process.join(100)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    found = load_checkpoint(tmp_path / "two" / CHECKPOINT, "teacher")["optimizer"]["state"]
    expected = train(workshop, tmp_path / "one", "steps=1")["optimizer"]["state"]
    assert json.loads((tmp_path / "two/run.json").read_text())["processes"] == 2
    largest = max(float(entry["exp_avg"].abs().max()) for entry in expected.values())
    for number, entry in expected.items():
        torch.testing.assert_close(found[number]["exp_avg"], entry["exp_avg"], atol=1e-4 * largest, rtol=1e-3)


def test_before_language_from_the_sentence_does_not_count(workshop, tmp_path, capsys):
    def weights(aim, steps):
        output = tmp_path / f"{aim}{steps}"
        return train(workshop, output, "language_from=2", f"steps={steps}", f"texts.fused={aim}")["model"]

    for steps, same in ((2, True), (3, False)):
        first, second = weights("bright", steps), weights("dark", steps)
        assert all(torch.equal(first[name], second[name]) for name in first) is same
    nothing = ["language_from=2", "perceptual.weight=0", f"output={tmp_path / 'nothing'}"]
    assert main(["train", str(workshop / "recipe.yaml"), *nothing]) == 2
    assert "perceptual.weight is 0" in capsys.readouterr().err


def test_reduced_precision_trains_and_saves_full_precision(workshop, tmp_path):
    model = train(workshop, tmp_path, "precision=bf16-mixed", "steps=2")["model"]
    assert {entry.dtype for entry in model.values()} == {torch.float32}


def test_a_loss_that_is_not_finite_ends_the_command_and_names_the_step(workshop, tmp_path, capsys):
    recipe = str(workshop / "recipe.yaml")
    assert main(["train", recipe, f"output={tmp_path}", "perceptual.weight=1e39"]) == 2
    said = capsys.readouterr().err
    assert "not finite" in said and "step " in said and "smaller rate" in said


def test_the_checkpoint_holds_the_teacher_and_no_clip(whole):
    assert not [name for name in whole[1]["model"] if "clip" in name or "text" in name]
    teacher = load_teacher(whole[0] / CHECKPOINT)
    assert not teacher.training and set(teacher.state_dict()) == set(whole[1]["model"])
    assert teacher(torch.rand(1, 1, 40, 33), torch.rand(1, 1, 40, 33)).shape == (1, 1, 40, 33)


def test_missing_weights_are_named(workshop, tmp_path, capsys):
    recipe = str(workshop / "recipe.yaml")
    assert main(["train", recipe, f"output={tmp_path}", "clip.pretrained=/nowhere/clip.pt"]) == 2
    assert "/nowhere/clip.pt" in capsys.readouterr().err
    assert (
        main(
            ["train", recipe, f"output={tmp_path}", "perceptual.features=vgg19", "perceptual.weights=/nowhere/vgg.pth"]
        )
        == 2
    )
    assert "VGG-19: no weights at '/nowhere/vgg.pth'" in capsys.readouterr().err
    assert main(["train", recipe, "perceptual.wieght=3"]) == 2
    assert "the nearest is 'perceptual.weight'" in capsys.readouterr().err
