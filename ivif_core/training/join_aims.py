"""Several students of one body into one file: `ivif distill aims='{clear: shipped, people: RUN}' output=FOLDER`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from ivif_core.errors import ConfigError, one_line, shown
from ivif_core.files.outputs import check_apart
from ivif_core.files.yaml_files import load_yaml
from ivif_core.models import MOST_AIMS
from ivif_core.training.export import export_student
from ivif_core.training.networks.aimed_student import AimedStudent, body_of
from ivif_core.training.networks.learned_student import LearnedStudent
from ivif_core.training.recipe import from_dict
from ivif_core.training.run import CHECKPOINT
from ivif_core.training.teach_student import SHIPPED, load_student

KEY = "aims"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_NO_TEXT = ("y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf")
"""What parameter files and `ros2 param set` take for something else."""


@dataclass(frozen=True, kw_only=True)
class AimsRecipe:
    """Attributes:
    aims: name -> student: a checkpoint, a run folder, a whole ONNX file, or 'shipped'. The first is the default.
    output: folder of the files.
    """

    aims: dict  # type: ignore[type-arg]  # checked by `_check_names`; the recipes' reader takes no `dict[str, str]`
    output: str = "runs/aims"


def read_aims(words: Sequence[str]) -> AimsRecipe:
    """The recipe that the words of a command line are, `key=value` each.

    Raises:
        ConfigError: an unknown key, or the names or students cannot be read.
    """
    values = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"expected aims='{{NAME: STUDENT, …}}' and output=FOLDER, got {shown(word)}")
        values[key] = load_yaml(text, f"the value of {key}")
    recipe = from_dict(AimsRecipe, values, "of aims")
    _check_names(recipe.aims)
    return recipe


def join_aims(recipe: AimsRecipe) -> list[Path]:
    """Export the joined student into the output folder, as `export_student`; nothing is trained.

    Raises:
        ConfigError: the students do not share a body.
        ModelError: one of them is none, or cannot be read.
        OutputError: the folder is that of one of them.
    """
    files = {name: _file_of(source) for name, source in recipe.aims.items()}
    output = Path(recipe.output)
    check_apart(output, [source for source in files.values() if source != SHIPPED])
    students = {name: load_student(source) for name, source in files.items()}
    first, *others = students
    for name in others:
        if not _share_body(students[first], students[name]):
            raise ConfigError(
                f"aims: {first} ({one_line(files[first])}) and {name} ({one_line(files[name])}) differ in more than "
                "what a sentence moves; teach both from the same student (language.start)"
            )
    text = yaml.safe_dump({KEY: {name: str(source) for name, source in recipe.aims.items()}}, sort_keys=False)
    return export_student(AimedStudent.joined(list(students.values())), output, recipe=text, aims=list(students))


def _check_names(aims: Mapping[Any, Any]) -> None:
    if not 2 <= len(aims) <= MOST_AIMS:
        raise ConfigError(f"aims: expected 2 to {MOST_AIMS} of them, got {len(aims)}")
    for name, source in aims.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _NO_TEXT:
            raise ConfigError(
                "aims: expected a name of a-z, 0-9, _ and - that starts with a letter and is no word of YAML's, "
                f"got {shown(name)}"
            )
        if not isinstance(source, str) or not source:
            raise ConfigError(f"aims: {name}: expected a student's file or folder, got {shown(source)}")


def _file_of(source: str) -> str:
    """The checkpoint of a run folder, else `source` itself."""
    folder = Path(source)
    return str(folder / CHECKPOINT) if source != SHIPPED and folder.is_dir() else source


def _share_body(one: LearnedStudent, other: LearnedStudent) -> bool:
    first, second = body_of(one), body_of(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
