from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from ivif_core.errors import ConfigError, ModelError, OutputError
from ivif_core.files.interruption import Terminated
from ivif_core.training.checkpoint import load_checkpoint
from ivif_core.training.recipe import RunRecipe
from ivif_core.training.run import CHECKPOINT, Run, check_run_folder, seed_all, start


def train(folder, *, steps=8, stop_after=None, seed=3, poison=None, crop=1, number=signal.SIGINT):
    """A loop with everything that a resumed run could get wrong: momentum, a schedule, dropout, global randomness."""
    recipe = RunRecipe(
        data="", output=str(folder), steps=steps, batch=2, crop=crop, seed=seed, checkpoint_every=3, accelerator="cpu"
    )
    fabric = start(recipe)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    run = Run(recipe, fabric, "test", {"model": model, "optimizer": optimizer, "schedule": schedule})
    for step in run.steps():
        inputs = torch.randn(5, 4) + torch.rand(1, generator=run.generator())
        loss = model(inputs).square().mean() * (float("nan") if step == poison else 1)
        run.learn(loss, {"square": loss, "steady": torch.ones(())})
        run.images("inputs", inputs[:, None, None].clamp(0, 1))
        if step == stop_after:
            for _ in range(3):  # a terminal and what started the run may each send it
                os.kill(os.getpid(), number)
    return load_checkpoint(folder / CHECKPOINT, "test")


def equal(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return first == second


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed_is_bit_equal_to_uninterrupted(tmp_path, number):
    whole = train(tmp_path / "whole")
    handler = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else Terminated):
        train(tmp_path / "parts", stop_after=3, number=number)
    assert signal.getsignal(number) is handler
    assert load_checkpoint(tmp_path / "parts" / CHECKPOINT, "test")["step"] == 4
    torch.rand(100)  # another process would have another global state
    resumed = train(tmp_path / "parts")
    for name in ("model", "optimizer", "schedule", "step"):
        assert equal(whole[name], resumed[name]), name
    assert not equal(whole["model"], train(tmp_path / "other", seed=4)["model"])


def test_nan_names_step_and_part_and_leaves_the_checkpoint(tmp_path):
    with pytest.raises(ModelError, match=r"step 5: loss, square not finite .*'steady': 1\.0"):
        train(tmp_path, poison=5)
    assert load_checkpoint(tmp_path / CHECKPOINT, "test")["step"] == 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_another_recipe_is_refused_but_more_steps_are_not(tmp_path):
    train(tmp_path, steps=4)
    with pytest.raises(ConfigError, match=r"another recipe \(crop differ\)"):
        train(tmp_path, crop=2)
    assert train(tmp_path, steps=6)["step"] == 6


def test_the_folder_says_what_was_run(tmp_path):
    checkpoint = train(tmp_path, steps=3)
    description = json.loads((tmp_path / "run.json").read_text())
    assert description["seed"] == 3 and description["git"] and description["git"] == checkpoint["git"]
    assert "steps: 3" in (tmp_path / "recipe.yaml").read_text()
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_broken_and_foreign_checkpoints_are_named(tmp_path, recwarn):
    path = tmp_path / CHECKPOINT
    with pytest.raises(ModelError, match="no checkpoint"):
        load_checkpoint(path, "test")
    train(tmp_path, steps=3)
    with pytest.raises(ModelError, match="kind 'test'; expected 'teacher'"):
        load_checkpoint(path, "teacher")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="is broken"):
        load_checkpoint(path, "test")
    path.write_bytes(pickle.dumps({"kind": "test"}, 4))
    recwarn.clear()
    with pytest.raises(ModelError, match="is not a checkpoint"):
        load_checkpoint(path, "test")
    assert not recwarn  # torch's own lines would stand before the one that counts


@pytest.mark.parametrize(
    "change", [{"step": -1}, {"step": float("inf")}, {"step": 10**30}, {"step": None}, {"recipe": 3}]
)
def test_a_checkpoint_out_of_range_is_refused_in_one_line(tmp_path, change):
    checkpoint = train(tmp_path, steps=3)
    torch.save({**checkpoint, **change}, tmp_path / CHECKPOINT)
    with pytest.raises(ModelError, match="is broken: expected a recipe and a step") as caught:
        train(tmp_path, steps=6)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("state", [{}, {"0.weight": torch.zeros(3)}, None, "gone"])
@pytest.mark.parametrize("name", ["model", "optimizer"])
def test_a_state_of_another_network_is_refused_in_one_line(tmp_path, name, state):
    checkpoint = train(tmp_path, steps=3)
    checkpoint[name] = state
    if state == "gone":
        del checkpoint[name]
    torch.save(checkpoint, tmp_path / CHECKPOINT)
    with pytest.raises(ModelError, match=f"or of another network: {name}") as caught:
        train(tmp_path, steps=6)
    assert "\n" not in str(caught.value)


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"kind": "test", "step": 1, "recipe": {}, "model": Attack()}, "evil.pt")
    with pytest.raises(ModelError, match="is not a checkpoint, or is broken"):
        load_checkpoint("evil.pt", "test")
    assert not Path("attacked").exists()


@pytest.mark.parametrize("key", ["accelerator", "strategy", "precision"])
def test_what_this_machine_cannot_do_is_one_line(tmp_path, key):
    recipe = RunRecipe(data="", output=str(tmp_path), steps=1, batch=1, crop=1, accelerator="cpu")
    with pytest.raises(ConfigError, match=f"{key} nonsense") as caught:
        start(dataclasses.replace(recipe, **{key: "nonsense"}))
    assert "\n" not in str(caught.value)


def test_seeds_of_steps_and_ranks_differ():
    draws = []
    for key in ((0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0)):
        seed_all(*key)
        draws.append(float(torch.rand(())))
    assert len(set(draws)) == 4


@pytest.mark.parametrize(("output", "mine"), [(".", "recipe.yaml"), (".", "last.pt"), ("pairs/run", ""), ("pairs", "")])
def test_a_run_folder_with_other_things_is_refused(tmp_path, monkeypatch, output, mine):
    monkeypatch.chdir(tmp_path)
    Path("pairs").mkdir()
    if mine:
        Path(mine).write_text("mine")
    recipe = RunRecipe(data="pairs" if output != "." else "elsewhere", output=output, steps=1, batch=1, crop=32)
    with pytest.raises(OutputError):
        check_run_folder(recipe)
    assert not mine or Path(mine).read_text() == "mine"
    check_run_folder(dataclasses.replace(recipe, output="run"))
