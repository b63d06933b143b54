"""One student for several sentences: a shared body and faithful end, and what each aim says of vividness 1.

A sentence moves the last rows of the last layer alone (`ivif_core.training.language_student`), so students that come
from one body are a stack of such rows. Which of them count is a run-time input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ivif_core.training.networks.learned_student import LearnedStudent, Maps

VIVID_ROWS = 4 * 5
"""The last rows of the last layer say vividness 1: for each of the four cells of a block, an offset and four gains."""
_HEAD = "maps.head."


class AimedHead(nn.Conv2d):
    """A last layer with `VIVID_ROWS` for each of several aims; it gives those of one, after what all of them share.

    Attributes:
        aim: int32 [1], index of that aim; set before each call.
        selects_weights: select before the convolution, so that further aims cost nothing. TensorRT 8.6 takes a
            convolution with constant weights only.
    """

    aim: Tensor
    selects_weights = False

    def __init__(self, one: nn.Conv2d, aims: int) -> None:
        """
        Args:
            one: the last layer of a student with one aim.
            aims: how many.
        """
        rows = torch.arange(one.out_channels, dtype=torch.int32)
        super().__init__(one.in_channels, len(rows) + (aims - 1) * VIVID_ROWS, 1)
        self.first: Tensor
        self.step: Tensor
        self.register_buffer("first", rows, persistent=False)
        self.register_buffer("step", VIVID_ROWS * (rows >= len(rows) - VIVID_ROWS).int(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        rows = self.first + self.step * self.aim
        if self.selects_weights and self.bias is not None:
            return functional.conv2d(features, self.weight.index_select(0, rows), self.bias.index_select(0, rows))
        return super().forward(features).index_select(1, rows)


class AimedStudent(LearnedStudent):
    """A `LearnedStudent` with several aims, of which `forward` takes the index.

    Args:
        aims: how many.
        shape: as of a `LearnedStudent`.
    """

    def __init__(self, aims: int = 2, **shape: Any) -> None:
        super().__init__(**shape)
        self.config["aims"] = aims
        self.maps.head = AimedHead(self.maps.head, aims)

    @classmethod
    def joined(cls, students: Sequence[LearnedStudent]) -> AimedStudent:
        """The aims of students that differ in `VIVID_ROWS` alone."""
        states = [student.state_dict() for student in students]
        state = states[0] | {
            name: torch.cat([values, *(other[name][-VIVID_ROWS:] for other in states[1:])])
            for name, values in states[0].items()
            if name.startswith(_HEAD)
        }
        student = cls(len(students), **students[0].config)
        student.load_state_dict(state)
        return student.eval()

    def first_aim(self) -> LearnedStudent:
        """The student of the first aim alone."""
        student = LearnedStudent(**{name: value for name, value in self.config.items() if name != "aims"})
        own = student.state_dict()
        student.load_state_dict({name: values[: len(own[name])] for name, values in self.state_dict().items()})
        return student.eval()

    def forward(self, infrared: Tensor, visible: Tensor, vividness: Tensor, aim: Tensor) -> Tensor:  # type: ignore[override]
        """As `LearnedStudent`; aim: int32 [1]."""
        self.maps.head.aim = aim
        return super().forward(infrared, visible, vividness)


class AimedMaps(nn.Module):
    """The maps of an `AimedStudent` alone, for CPUs."""

    def __init__(self, maps: Maps) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, statistics: Tensor, vividness: Tensor, aim: Tensor) -> Tensor:
        head = self.maps.head
        assert isinstance(head, AimedHead)
        head.aim, head.selects_weights = aim, True
        try:
            maps: Tensor = self.maps(statistics, vividness)
        finally:
            head.selects_weights = False
        return maps


def body_of(student: LearnedStudent) -> dict[str, Tensor]:
    """All weights of a student but what its aim is."""
    return {
        name: values[:-VIVID_ROWS] if name.startswith(_HEAD) else values
        for name, values in student.state_dict().items()
    }
