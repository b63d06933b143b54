"""How many pairs a second `ivif bag` fuses of a recording, beside its parts alone and what the cores allow."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ivif_core.files.writing import scratch_folder
from ivif_core.imaging.messages import to_infrared, to_visible
from ivif_core.offline.bag import FUSED_TOPIC, fuse_bag
from ivif_core.offline.bags.images import read_bag_images
from ivif_core.offline.bags.recording import storage_suffix
from ivif_core.offline.bags.writer import BagWriter
from ivif_core.settings import Settings
from ivif_core.sync.pairing import Pair
from ivif_core.types import Source

_HELD = 32
"""Pairs that are kept in memory for the parts alone."""

_PARTS = ("reading and decoding", "Fuser", "writing")
_WHOLE = "ivif bag"


@dataclass
class StageTimes:
    """Of one stage, a sample a round, ms a pair.

    Attributes:
        wall: from start to end.
        cpu: of all threads together.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Pairs a second, by the median."""
        return 1e3 / float(np.median(self.wall))


@dataclass(frozen=True)
class BagBench:
    """What was measured of a bag.

    Attributes:
        pairs: in the whole bag.
        cores: that this process may use.
        stages: 'reading and decoding', 'Fuser' (counts to BGR, one call a pair), 'writing' and 'ivif bag'.
    """

    pairs: int
    cores: int
    backend: str
    stages: dict[str, StageTimes]

    @property
    def allowed(self) -> float:
        """Pairs a second if all cores did nothing but the work of the parts."""
        return 1e3 * self.cores / sum(float(np.median(self.stages[name].cpu)) for name in _PARTS)

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "pairs": self.pairs,
            "cores": self.cores,
            "backend": self.backend,
            "allowed_per_second": round(self.allowed, 2),
            "stages": {
                name: {"per_second": round(stage.rate, 2), "cpu_ms": round(float(np.median(stage.cpu)), 3)}
                for name, stage in self.stages.items()
            },
        }


def measure_bag(
    source: Path,
    topics: Mapping[Source, str | None],
    parameters: Settings,
    *,
    rounds: int,
    progress: Callable[[str], None] = lambda line: None,
) -> BagBench:
    """Each part alone and `fuse_bag` as a whole, in turns. What they write goes into the folder for temporary files.

    Raises:
        InputError: as `fuse_bag`, and where the bag cannot be read as a whole.
    """
    with scratch_folder() as folder, parameters.fuser() as fuser:
        crops = parameters.crops()

        def whole() -> int:
            target = folder / "fused"
            return fuse_bag(source, target, topics, fuser, parameters.pairing(), overwrite=True, crops=crops).fused

        progress(f"fusing {source} for the first time")
        pairs = whole()  # no sample: files and memory are new
        held = _first_pairs(source, topics, parameters)
        infrared = [crops["infrared"].apply(to_infrared(pair.infrared.message), "infrared") for pair in held]
        visible = [crops["visible"].apply(to_visible(pair.visible.message), "visible") for pair in held]
        fused = fuser.fuse(infrared[0], visible[0])
        is_mcap = storage_suffix(source) == ".mcap"

        def decode() -> int:
            for image in read_bag_images(source, topics["infrared"], topics["visible"]):
                (to_infrared if image.source == "infrared" else to_visible)(image.message)
            return pairs

        def fuse() -> int:
            for images in zip(infrared, visible, strict=True):
                fuser.fuse(*images)
            return len(held)

        def write() -> int:
            with (
                tempfile.TemporaryDirectory(dir=folder) as inside,
                BagWriter(Path(inside) / "written", is_mcap=is_mcap, fused_topic=FUSED_TOPIC) as writer,
            ):
                for pair in held:
                    writer.write_fused(fused, pair.visible.message.header, pair.visible.stamp)
            return len(held)

        stages = {name: StageTimes() for name in (*_PARTS, _WHOLE)}
        for number in range(rounds):
            progress(f"round {number + 1} of {rounds}")
            for stage, work in zip(stages.values(), (decode, fuse, write, whole), strict=True):
                wall, cpu = time.perf_counter(), time.process_time()
                count = work()
                stage.wall.append((time.perf_counter() - wall) / count * 1e3)
                stage.cpu.append((time.process_time() - cpu) / count * 1e3)
        return BagBench(pairs, len(os.sched_getaffinity(0)), fuser.backend.describe(), stages)


def _first_pairs(source: Path, topics: Mapping[Source, str | None], parameters: Settings) -> list[Pair]:
    """Pairs of `BagImage`."""
    pairing = parameters.pairing()
    images = read_bag_images(source, topics["infrared"], topics["visible"])
    return list(islice((pair for i in images for pair in pairing.add(i.source, i.stamp, i)), _HELD))
