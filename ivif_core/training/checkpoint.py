"""Checkpoints: written whole or not at all, and read as tensors and plain values only."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ivif_core.errors import ModelError, one_line, shown
from ivif_core.files.writing import write_bytes
from ivif_core.training.recipe import MOST_STEPS


def write_tensors(path: str | Path, content: Mapping[str, Any]) -> None:
    """`torch.save`, as `files.write_bytes`.

    Raises:
        OutputError: as there.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getbuffer())


def load_checkpoint(path: str | Path, *kinds: str) -> dict[str, Any]:
    """Read a checkpoint; it holds tensors and plain values only, and nothing in it is executed.

    Raises:
        ModelError: missing, broken, or of none of the kinds.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a file that is none of torch's; the error says so
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types on broken files
        raise ModelError(f"{path} is not a checkpoint, or is broken: {one_line(error)}") from error
    found = content.get("kind") if isinstance(content, dict) else None
    if found not in kinds:
        raise ModelError(f"{path} is a checkpoint of kind {shown(found)}; expected {' or '.join(map(repr, kinds))}")
    step, recipe = content.get("step"), content.get("recipe")
    if type(step) is not int or not 0 <= step <= MOST_STEPS or not isinstance(recipe, dict):
        raise ModelError(f"{path} is broken: expected a recipe and a step of 0 to {MOST_STEPS:g}, got {shown(step)}")
    return dict(content)


def load_state(entry: Any, content: Mapping[str, Any], name: str, path: str | Path) -> None:
    """Give a network, optimiser or schedule its state out of a checkpoint's content.

    Raises:
        ModelError: it is not there, or of another network.
    """
    try:
        entry.load_state_dict(content[name])
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is broken, or of another network: {name}: {one_line(error)}") from error
