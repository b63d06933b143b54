"""What every loop needs and nobody wants to read twice: run folder, checkpoints, interruption, progress.

Everything random in step n is a function of (seed, n, rank): the global generators are seeded anew before every step,
and the data order comes from the seed too (`training.data.batches`). The step number in a checkpoint therefore *is*
the state of all generators and of the data order, for any number of processes, and a run that is killed and resumed
does the very same arithmetic as one that was not.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
import yaml
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from ivif_core import __version__
from ivif_core.errors import ConfigError, ModelError, OutputError, one_line
from ivif_core.files.interruption import PATIENCE, SIGNALS, Terminated
from ivif_core.files.outputs import check_apart, only_run
from ivif_core.files.writing import check_name, is_there, write_text
from ivif_core.training.checkpoint import load_checkpoint, load_state, write_tensors
from ivif_core.training.data.batches import batches
from ivif_core.training.recipe import RunRecipe, to_dict

CHECKPOINT, DESCRIPTION = "last.pt", "run.json"
_FREE_KEYS = {
    *("data", "output", "steps", "checkpoint_every", "image_every"),
    *("accelerator", "devices", "nodes", "strategy", "workers"),
}
"""Keys that may change between a run and its resumption without changing what a step computes."""


def start(recipe: RunRecipe) -> Fabric:
    """Start the processes that the recipe asks for (those of `torchrun` and `fabric run` are found) and seed them."""
    check_run_folder(recipe)
    try:
        fabric = Fabric(
            accelerator=recipe.accelerator,
            devices=recipe.devices or "auto",
            num_nodes=recipe.nodes,
            strategy=recipe.strategy,
            precision=recipe.precision,  # type: ignore[arg-type]  # Fabric checks it
        )
    except (ValueError, TypeError, ImportError, RuntimeError, MisconfigurationException) as error:
        keys = ("accelerator", "devices", "nodes", "strategy", "precision")
        asked = ", ".join(f"{key} {getattr(recipe, key)}" for key in keys)
        raise ConfigError(f"recipe: {one_line(asked, 120)} is not available here:{one_line(error)}") from error
    fabric.launch()
    if recipe.batch % fabric.world_size:
        raise ConfigError(f"recipe: batch {recipe.batch} does not divide among {fabric.world_size} processes")
    seed_all(recipe.seed)
    return fabric


def check_run_folder(recipe: RunRecipe) -> None:
    """Refuse, before any work, a run folder that holds other things by the names of a run's.

    Raises:
        OutputError: it is, holds or lies in the data; or a file in it is of no run.
    """
    folder = Path(recipe.output)
    check_name(folder)
    check_apart(folder, [recipe.data or None])
    if not is_there(folder / DESCRIPTION):
        for name in ("recipe.yaml", CHECKPOINT):
            if is_there(folder / name):
                raise OutputError(f"output={folder}: {name} is not from a run (no {DESCRIPTION}); name another folder")


def seed_all(*key: int) -> None:
    """Seed Python's, NumPy's and torch's global generators from a tuple of integers."""
    words = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))


class Run:
    """One training run in its folder.

    The folder gets `recipe.yaml`, `run.json` (git revision, seed, versions), `last.pt` and TensorBoard's events.

    Attributes:
        step: steps done so far.
    """

    def __init__(
        self, recipe: RunRecipe, fabric: Fabric, kind: str, state: Mapping[str, Any], steps: int | None = None
    ) -> None:
        """
        Args:
            kind: what is trained ('teacher', 'student', …); a checkpoint of another kind is refused.
            state: name -> object with `state_dict` and `load_state_dict`: 'model', 'optimizer' and 'schedule'. Where
                the folder holds a checkpoint, they are loaded from it.
            steps: of this run, where it is not the recipe's `steps`.

        Raises:
            ConfigError: the folder holds a run of another recipe.
            ModelError: its checkpoint is broken.
        """
        self.recipe, self.fabric, self.kind, self.state = recipe, fabric, kind, dict(state)
        self.folder = Path(recipe.output)
        self.total = recipe.steps if steps is None else steps
        self.step = 0
        self._stop, self._by, self._asked = False, 0, 0.0
        self._bar: tqdm[Any] | None = None
        self._writer = None
        if content := same_run(recipe, kind):
            for name, entry in self.state.items():
                load_state(entry, content, name, self.folder / CHECKPOINT)
            self.step = content["step"]
        if fabric.is_global_zero:
            with only_run(self.folder):
                self._describe()
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder), purge_step=self.step)
        fabric.barrier()

    def steps(self) -> Iterator[int]:
        """Count the steps that are left, seeding, showing progress and saving on the way.

        A signal lets the step end, saves, and raises KeyboardInterrupt or Terminated; `PATIENCE` later one stops it.
        """
        alone = only_run(self.folder) if self.fabric.is_global_zero else nullcontext()
        with alone, self._stopping_on_signals():
            yield from self._steps()

    def batches(self, crops: Dataset[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
        """`steps`, with this process's share of each step's batch, on its device; as `data.batches.batches`."""
        recipe, fabric = self.recipe, self.fabric
        left = range(self.step, self.total)
        rank, processes = fabric.global_rank, fabric.world_size
        data = batches(crops, recipe.batch, recipe.seed, left, rank=rank, processes=processes, workers=recipe.workers)
        for _ in self.steps():
            yield fabric.to_device(next(data))

    def learn(self, loss: Tensor, parts: Mapping[str, Tensor], largest_gradient: float | None = None) -> None:
        """Record the loss, follow its gradient by one step, and go on in the schedule.

        Args:
            largest_gradient: norm to which longer gradients are cut.

        Raises:
            ModelError: as `record`.
        """
        model, optimizer, schedule = (self.state[name] for name in ("model", "optimizer", "schedule"))
        self.record(loss, parts)
        optimizer.zero_grad()
        self.fabric.backward(loss)
        if largest_gradient is not None:
            self.fabric.clip_gradients(model, optimizer, max_norm=largest_gradient)
        optimizer.step()
        schedule.step()

    def _steps(self) -> Iterator[int]:
        self._bar = tqdm(
            total=self.total,
            initial=self.step,
            desc=self.kind,
            unit="step",
            disable=not self.fabric.is_global_zero,
            mininterval=1.0,
        )
        try:
            while self.step < self.total:
                seed_all(self.recipe.seed, self.step, self.fabric.global_rank)
                yield self.step
                self.step += 1
                self._bar.update()
                stop = self._should_stop()
                if stop or self.step % self.recipe.checkpoint_every == 0 or self.step == self.total:
                    self.save()
                if stop:
                    tqdm.write(f"stopped after step {self.step}; the same command goes on from there", file=sys.stderr)
                    raise Terminated(self._by) if self._by in SIGNALS else KeyboardInterrupt
        finally:
            self._bar.close()
            if self._writer:
                self._writer.flush()

    @contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        taken = [number for number in (signal.SIGINT, *SIGNALS) if signal.getsignal(number) is not signal.SIG_IGN]
        handlers = {number: signal.signal(number, self._on_signal) for number in taken}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def generator(self, stream: int = 0) -> torch.Generator:
        """A generator for this step that is the same in all processes; give each use of it a `stream` of its own."""
        words = np.random.SeedSequence((self.recipe.seed, self.step, 1 << 16, stream)).generate_state(2)
        return torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))

    def record(self, loss: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Log the loss and its parts; call it before the backward pass.

        Raises:
            ModelError: the loss is not finite; the message names step and parts, the last checkpoint stays.
        """
        values = {"loss": float(loss.detach()), **{name: float(part.detach()) for name, part in parts.items()}}
        if not all(math.isfinite(value) for value in values.values()):
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            raise ModelError(
                f"step {self.step}: {', '.join(bad)} not finite (all parts: {values}); "
                f"the last checkpoint in {self.folder} is untouched; try a smaller rate, or another seed"
            )
        if self._bar is not None:
            self._bar.set_postfix({name: f"{value:.4f}" for name, value in values.items()}, refresh=False)
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(f"train/{name}", value, self.step)

    def images(self, name: str, *columns: Tensor) -> None:
        """Every `image_every` steps, show batches (B×1×H×W in [0, 1]) side by side in TensorBoard."""
        if self._writer and self.step % self.recipe.image_every == 0:
            strip = torch.cat([column.detach().float().cpu().clamp(0, 1) for column in columns], dim=3)
            self._writer.add_images(name, strip[:4], self.step)

    def scalar(self, name: str, value: float) -> None:
        """Log one number, such as a validation figure."""
        if self._writer:
            self._writer.add_scalar(name, value, self.step)

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is whole."""
        content = {
            "kind": self.kind,
            "step": self.step,
            "recipe": to_dict(self.recipe),
            "git": git_revision(),
            **{name: entry.state_dict() for name, entry in self.state.items()},
        }
        if self.fabric.is_global_zero:
            write_tensors(self.folder / CHECKPOINT, content)
        self.fabric.barrier()

    def _describe(self) -> None:
        recipe = to_dict(self.recipe)
        write_text(self.folder / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
        description = {
            "kind": self.kind,
            "git": git_revision(),
            "seed": self.recipe.seed,
            "processes": self.fabric.world_size,
            "versions": {"ivif": __version__, "torch": torch.__version__, "python": sys.version.split()[0]},
        }
        write_text(self.folder / DESCRIPTION, json.dumps(description, indent=2) + "\n")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop, self._by, self._asked = True, self._by or number, self._asked or time.monotonic()
        if time.monotonic() - self._asked > PATIENCE:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _should_stop(self) -> bool:
        if self.fabric.world_size == 1:
            return self._stop
        stops = self.fabric.all_reduce(torch.tensor(float(self._stop)), reduce_op="sum")
        return bool(torch.as_tensor(stops) > 0)


def same_run(recipe: RunRecipe, kind: str) -> dict[str, Any] | None:
    """Content of the checkpoint that a run of this recipe goes on from; None where its folder holds none.

    Raises:
        ConfigError: the folder holds a run of another recipe.
        ModelError: as `load_checkpoint`.
    """
    if not (Path(recipe.output) / CHECKPOINT).is_file():
        return None
    content = load_checkpoint(Path(recipe.output) / CHECKPOINT, kind)
    old, new = content["recipe"], to_dict(recipe)
    changed = sorted(key for key in (old.keys() | new.keys()) - _FREE_KEYS if old.get(key) != new.get(key))
    if changed:
        raise ConfigError(
            f"{recipe.output} holds a run of another recipe ({', '.join(changed)} differ); "
            "give another output=…, or remove that folder"
        )
    return content


def git_revision() -> str:
    """Commit of the source tree, with '+' where it is edited; the package's version where there is no git."""
    here = Path(__file__).parent
    try:
        revision, changes = (
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return f"ivif {__version__}, not from a git checkout"
    return revision.strip() + ("+" if changes.strip() else "")
