"""Teacher and student networks (torch), and the student that an exported file says it is.

An ONNX file of ours names its network and the arguments of its class in the metadata `ivif.network`, as JSON; its
initialisers have the names of the module's parameters. So the module is made again from the file alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ivif_core.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

METADATA = "ivif.network"
STUDENTS = {
    "local-affine": ("ivif_core.training.networks.rule_reference", "RuleReference"),
    "learned-maps": ("ivif_core.training.networks.learned_student", "LearnedStudent"),
    "learned-maps-of-aims": ("ivif_core.training.networks.aimed_student", "AimedStudent"),
}
"""Name in the metadata -> module and class. A name here never changes its meaning: files in the field bear it."""

_LARGEST = 1024  # of any number among the arguments; a file must not ask for a network of any size it likes


def describe_student(student: nn.Module) -> str:
    """The metadata entry of a student: its name in `STUDENTS` and what its `config` gives."""
    name = next(name for name, (_, kind) in STUDENTS.items() if kind == type(student).__name__)
    config: Any = student.config
    return json.dumps({"name": name, **config}, sort_keys=True)


def restore_student(entry: str | None, weights: Mapping[str, np.ndarray]) -> nn.Module:
    """The student that a file describes, in float32 and for inference.

    Args:
        entry: the file's metadata `ivif.network`; None: it has none.
        weights: its initialisers by name; those of a larger graph (`student.…`) or in half precision (`…/half`) serve
            too.

    Raises:
        ModelError: the network is not known, or weights are missing or of other shapes.
    """
    import torch

    kind, arguments = _parsed(entry)
    student = kind(**arguments)
    found = {name.removeprefix("student.").removesuffix("/half"): value for name, value in weights.items()}
    state = {}
    for name, own in student.state_dict().items():
        if name not in found or found[name].shape != tuple(own.shape):
            got = found[name].shape if name in found else "nothing"
            raise ModelError(f"{METADATA}: expected the weights {name} of {tuple(own.shape)}, the file has {got}")
        state[name] = torch.from_numpy(found[name].astype(np.float32))
    student.load_state_dict(state)
    return student.eval().requires_grad_(False)


def _parsed(entry: str | None) -> tuple[type[nn.Module], dict[str, Any]]:
    """Class and arguments; lists become tuples."""
    if entry is None:
        raise ModelError(f"the file does not say which network it is ({METADATA}); `ivif export` writes that")
    try:
        arguments = json.loads(entry)
        module, name = STUDENTS[arguments.pop("name")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{METADATA}: {entry[:80]!r} is none of {', '.join(STUDENTS)}") from error
    numbers = [number for value in arguments.values() for number in (value if isinstance(value, list) else [value])]
    if len(numbers) > _LARGEST or not all(type(n) is int and 0 < n <= _LARGEST for n in numbers):
        raise ModelError(f"{METADATA}: expected whole numbers up to {_LARGEST}, got {entry[:80]!r}")
    kind = getattr(import_module(module), name)
    config: Any = kind().config
    known = config.keys()
    if arguments.keys() != known:
        raise ModelError(f"{METADATA}: expected {', '.join(known)}, got {entry[:80]!r}")
    return kind, {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
