"""Registered pairs from folders, and their split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from tqdm import tqdm

from ivif_core.errors import InputError
from ivif_core.fusion import prepare
from ivif_core.imaging import colour
from ivif_core.imaging.files import find_images, pair_by_stem, read_infrared, read_visible
from ivif_core.registration.base import Registration, Resize
from ivif_core.thermal.scaling import PercentileScaling, ThermalScaling


@dataclass(frozen=True)
class Pair:
    """One registered pair.

    Attributes:
        name: stem of its files.
        infrared: uint8 H×W intensity on the visible grid.
        visible: uint8 H×W luminance.
        teacher: uint8 H×W luminance of a recorded teacher, where there is one.
    """

    name: str
    infrared: np.ndarray
    visible: np.ndarray
    teacher: np.ndarray | None = None


class FolderPairs(Sequence[Pair]):
    """Pairs of `folder/infrared` and `folder/visible`, matched by stem, sorted by name.

    Prepared as `ivif_core.fusion.Fuser` prepares its inputs: counts by `scaling`, infrared onto the visible grid by
    `registration`. Every file is read once when the set is opened, so that a broken one is known before training.

    Attributes:
        skipped: what was left out, one line each.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        teacher: str | Path | None = None,
        on_error: str = "skip",
        scaling: ThermalScaling | None = None,
        registration: Registration | None = None,
    ) -> None:
        """
        Args:
            teacher: folder of a recorded teacher's outputs (grey, same stems and sizes as the visible images);
                relative to `folder` where it lies there.
            on_error: 'skip' leaves broken and lonely images out and counts them; 'fail' raises.

        Raises:
            InputError: a folder is missing, nothing is left, or (with 'fail') an image is broken or lonely.
        """
        if on_error not in ("skip", "fail"):
            raise InputError(f"on_error: expected 'skip' or 'fail', got {on_error!r}")
        self._scaling = scaling or PercentileScaling(smoothing=0.0)
        self._registration = registration or Resize()
        folder = Path(folder)
        files, lonely = pair_by_stem(folder / "infrared", folder / "visible")
        self.skipped = [f"{path}: no partner" for path in lonely]
        teachers: dict[str, Path] = {}
        if teacher is not None:
            teachers = find_images(folder / teacher if (folder / teacher).is_dir() else teacher)
            self.skipped += [f"{name}: no teacher image" for name in files if name not in teachers]
            files = {name: pair for name, pair in files.items() if name in teachers}
        if self.skipped and on_error == "fail":
            raise InputError("; ".join(self.skipped))
        self._pairs: list[Pair] = []
        for name, (infrared, visible) in tqdm(
            files.items(), desc="reading pairs", unit="pair", leave=False, disable=None
        ):
            try:
                self._pairs.append(self._read(name, infrared, visible, teachers.get(name)))
            except InputError as error:
                if on_error == "fail":
                    raise
                self.skipped.append(str(error))
        if not self._pairs:
            raise InputError(f"{folder}: no usable pair; left out: " + "; ".join(self.skipped[:5]))

    def _read(self, name: str, infrared: Path, visible: Path, teacher: Path | None) -> Pair:
        pair = prepare(read_infrared(infrared), read_visible(visible), self._scaling, self._registration)
        teacher_y = None
        if teacher is not None:
            teacher_y = colour.luminance(read_visible(teacher))
            if teacher_y.shape != pair.visible_y.shape:
                raise InputError(f"{teacher}: {teacher_y.shape}, but its visible image is {pair.visible_y.shape}")
        return Pair(name, pair.registered, pair.visible_y, teacher_y)

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...

    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        return self._pairs[index]

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._pairs)


def is_held_out(name: str, share: float) -> bool:
    """Whether a pair of that name belongs to the validation part, of about `share` of all.

    It depends on the name alone (SHA-256), so that adding or removing pairs moves no other one.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") < share * 2**64


def split(pairs: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """Training and validation pairs.

    Raises:
        InputError: no pair is left for training.
    """
    training = [pair for pair in pairs if not is_held_out(pair.name, share)]
    if not training:
        raise InputError(f"all {len(pairs)} pairs fall into the validation part of {share:g}; lower validation_share")
    return training, [pair for pair in pairs if is_held_out(pair.name, share)]


def at_least(pair: Pair, side: int) -> Pair:
    """The pair, enlarged where its shorter side is under `side` pixels."""
    height, width = pair.visible.shape
    scale = side / min(height, width)
    if scale <= 1:
        return pair
    size = (max(side, round(width * scale)), max(side, round(height * scale)))

    def resized(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)

    teacher = None if pair.teacher is None else resized(pair.teacher)
    return Pair(pair.name, resized(pair.infrared), resized(pair.visible), teacher)
