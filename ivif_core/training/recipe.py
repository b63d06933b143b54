"""Recipes: YAML files read into typed dataclasses; a key nobody knows is an error, not a silent no-op."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ivif_core.errors import ConfigError, shown
from ivif_core.files.reading import read_text
from ivif_core.files.shared import share_folders
from ivif_core.files.writing import is_there
from ivif_core.files.yaml_files import load_yaml
from ivif_core.settings import BY_NAME, Settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RecipeT = TypeVar("RecipeT", bound="DataclassInstance")

Ranges = Mapping[str, tuple[float, float]]
"""Key of a number, 'group.key' in a group -> least and largest value."""
MOST_STEPS = 10**9
_LARGEST = 2**63 - 1
"""Of a number that no range is given for, on both sides."""


@dataclass(frozen=True, kw_only=True)
class ScalingRecipe:
    """Thermal counts to intensity: the node's parameters `thermal_scaling.*`, with its defaults and limits."""

    mode: str = BY_NAME["thermal_scaling.mode"].default
    low: float = BY_NAME["thermal_scaling.low"].default
    high: float = BY_NAME["thermal_scaling.high"].default
    low_percentile: float = BY_NAME["thermal_scaling.low_percentile"].default
    high_percentile: float = BY_NAME["thermal_scaling.high_percentile"].default
    smoothing: float = BY_NAME["thermal_scaling.smoothing"].default
    plateau: float = BY_NAME["thermal_scaling.plateau"].default
    clahe: float = BY_NAME["thermal_scaling.clahe"].default


@dataclass(frozen=True, kw_only=True)
class BagRecipe:
    """How pairs are read from a recorded bag; with a folder of images none of it is used.

    What the node has a parameter for has its default and its limits.

    Attributes:
        infrared, visible: topics.
        slop: largest difference of two stamps that belong together, s.
        queue_size: images of each topic that wait for a partner.
        time_offset: added to infrared stamps, s.
        every: keep every n-th pair.
        scaling: of 16-bit and float thermal.
        registration: file that `ivif calibrate` writes; None: both cameras see the same view.
    """

    infrared: str = "/thermal/image_raw"
    visible: str = "/rgb/image_raw"
    slop: float = BY_NAME["slop"].default
    queue_size: int = BY_NAME["queue_size"].default
    time_offset: float = BY_NAME["thermal_time_offset"].default
    every: int = 1
    scaling: ScalingRecipe = field(default_factory=ScalingRecipe)
    registration: str | None = None

    def __post_init__(self) -> None:
        for name, (key, value) in self._parameters().items():
            BY_NAME[name].read(value, f"bag.{key}")
        if self.every < 1:
            raise ConfigError(f"bag.every: expected 1 or more, got {self.every}")
        Settings.from_values({name: value for name, (_, value) in self._parameters().items()})

    def settings(self) -> Settings:
        """The node's settings that the recipe stands for.

        Raises:
            ConfigError: the registration file cannot be used.
        """
        values = {name: value for name, (_, value) in self._parameters().items()}
        if self.registration:
            values |= {"registration.mode": "file", "registration.file": self.registration}
        return Settings.from_values(values)

    def _parameters(self) -> dict[str, tuple[str, Any]]:
        """Name of the node's parameter -> key in the recipe, value."""
        return {
            "slop": ("slop", self.slop),
            "queue_size": ("queue_size", self.queue_size),
            "thermal_time_offset": ("time_offset", self.time_offset),
            **{
                f"thermal_scaling.{key}": (f"scaling.{key}", value)
                for key, value in dataclasses.asdict(self.scaling).items()
            },
        }


@dataclass(frozen=True, kw_only=True)
class RunRecipe:
    """What every training run has, whatever it trains.

    Attributes:
        data: folder with `infrared/` and `visible/` (names match by stem), or a recorded bag.
        output: run folder; a run that finds its checkpoint there goes on from it.
        seed: of weights, data order and noise.
        steps: optimiser steps.
        batch: pairs a step, over all processes.
        crop: side of the training crops, pixels.
        validation_share: share of the pairs, by a hash of their names, that is kept out of training.
        on_error: what a broken image does: 'skip' (named and counted) or 'fail'.
        checkpoint_every, image_every: steps.
        accelerator, devices, nodes, strategy, precision: as Lightning Fabric has them; a devices of 0 takes all.
        workers: data loading processes for each training process; 0 loads in the training process.
    """

    RANGES: ClassVar[Ranges] = {
        "seed": (0, _LARGEST),
        "steps": (1, MOST_STEPS),
        "batch": (1, 65536),
        "crop": (1, 8192),
        "validation_share": (0, 1),
        "bag.every": (1, MOST_STEPS),
        "checkpoint_every": (1, MOST_STEPS),
        "image_every": (1, MOST_STEPS),
        "devices": (0, 1024),
        "nodes": (1, 65536),
        "workers": (0, 1024),
    }

    data: str
    output: str
    seed: int = 0
    steps: int
    batch: int
    crop: int
    validation_share: float = 0.1
    on_error: str = "skip"
    bag: BagRecipe = field(default_factory=BagRecipe)
    checkpoint_every: int = 100
    image_every: int = 200
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    workers: int = 0


def load_recipe(kind: type[RecipeT], path: str | Path, overrides: Sequence[str] = ()) -> RecipeT:
    """Read a recipe.

    Args:
        kind: the dataclass to fill; nested dataclasses are nested mappings in the file.
        path: a YAML file; or the name of a recipe that comes with the package.
        overrides: 'key=value', or 'group.key=value'; the value is read as YAML.

    Raises:
        ConfigError: no such file, not YAML, an unknown key (the nearest known one is named), a value of another type,
            or out of its range, or a key without default that is missing.
    """
    path = find_recipe(path)
    values = load_yaml(read_text(path), f"recipe: {path}")
    if not isinstance(values, dict):
        raise ConfigError(f"recipe: {path} holds {type(values).__name__}, expected 'key: value' lines")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not (key and equals):
            raise ConfigError(f"recipe: '{override}' is not an override; expected key=value")
        *groups, last = key.split(".")
        place = values
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ConfigError(f"recipe: '{key}': {group} is a value, not a group")
        place[last] = load_yaml(text, f"recipe: the value of '{override}'")
    return from_dict(kind, values, str(path))


def find_recipe(path: str | Path) -> Path:
    """`path` where there is such a file; else the recipe of that name that comes with the package.

    Raises:
        ConfigError: neither; those that come with the package are named.
    """
    path = Path(path)
    if path.parent != Path() or is_there(path):
        return path
    folders = [folder / "recipes" for folder in share_folders()]
    for folder in folders:
        if (folder / path).is_file():
            return folder / path
    names = ", ".join(sorted({file.name for folder in folders for file in folder.glob("*.yaml")})) or "none"
    raise ConfigError(f"recipe: cannot read {path}: no such file here, and none of the package's recipes ({names})")


def to_dict(recipe: Any) -> dict[str, Any]:
    """A recipe as plain values, ready for YAML and for checkpoints."""
    return {key: _plain(value) for key, value in dataclasses.asdict(recipe).items()}


def from_dict(kind: type[RecipeT], values: dict[str, Any], source: str, ranges: Ranges | None = None) -> RecipeT:
    """The inverse of `to_dict`.

    Args:
        source: names in errors where the values came from.
        ranges: default: the `RANGES` of the kind, if it has some.

    Raises:
        ConfigError: as `load_recipe`.
    """
    return _build(kind, values, source, "", getattr(kind, "RANGES", {}) if ranges is None else ranges)


def _build(kind: type[RecipeT], values: dict[str, Any], source: str, prefix: str, ranges: Ranges) -> RecipeT:
    hints = typing.get_type_hints(kind)
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            nearest = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.0)
            raise ConfigError(f"recipe {source}: unknown key '{prefix}{key}'; the nearest is '{prefix}{nearest[0]}'")
    missing = [
        prefix + name
        for name, entry in fields.items()
        if name not in values and entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"recipe {source}: missing {', '.join(missing)}; add it to the file or give {missing[0]}=…")
    converted = {key: _convert(value, hints[key], source, prefix + key, ranges) for key, value in values.items()}
    try:
        return kind(**converted)
    except ConfigError as error:
        raise ConfigError(f"recipe {source}: {error}") from error


def _convert(value: Any, kind: Any, source: str, key: str, ranges: Ranges) -> Any:
    """`value` as the annotated type; only what cannot be misunderstood is converted."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"recipe {source}: {key} is a group of keys, got {shown(value)}")
        return _build(kind, value, source, key + ".", ranges)
    if isinstance(kind, types.UnionType):
        if value is None and type(None) in kind.__args__:
            return None
        kind = next(option for option in kind.__args__ if option is not type(None))
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        listed = value if isinstance(value, list) else [value]
        return tuple(_convert(entry, item, source, f"{key}[{index}]", ranges) for index, entry in enumerate(listed))
    if kind is float and not isinstance(value, bool):
        try:  # YAML 1.1 reads 5e-4 as a string
            return _in_range(float(value), source, key, ranges)
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(error, ConfigError):
                raise
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return _in_range(value, source, key, ranges) if kind is int else value
    raise ConfigError(f"recipe {source}: {key} takes {kind.__name__}, got {shown(value)}")


def _in_range(value: Any, source: str, key: str, ranges: Ranges) -> Any:
    is_float = isinstance(value, float)
    widest = sys.float_info.max if is_float else _LARGEST
    low, high = ranges.get(key.partition("[")[0], (-widest, widest))
    if low <= value <= high:
        return value
    span = f"{low:g} to {high:g}" if key.partition("[")[0] in ranges else "a finite number"
    raise ConfigError(f"recipe {source}: {key}: expected {span}, got {shown(value)}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value
