"""Of the objects that either source shows a detector, the share that it finds in each set of fused images."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ivif_core.evaluation.detection import PERSON, Detector, Finding, objects_of
from ivif_core.evaluation.scenes import Evaluation, Sources, read_scene

SOURCES = ("infrared", "visible")

IN_SOURCE, IN_FUSED = 0.5, 0.35
"""Least scores. Lower in a fused image: an object that both find with about the same certainty is not to be lost for
being just below the one line and just above the other."""


def find_objects(
    evaluation: Evaluation,
    detector: Detector,
    *,
    in_source: float = IN_SOURCE,
    in_fused: float = IN_FUSED,
    progress: Callable[[Iterable[Sources]], Iterable[Sources]] = iter,
) -> dict[str, Finding]:
    """Counts of every set of an evaluation, and of both sources alone under their names in `SOURCES`.

    Args:
        evaluation: scenes that could not be measured are left out.
        in_source: least score of an object in a source; in_fused: of what is found in a fused image, or in a source
            when it is judged as one.
        progress: wraps the scenes, as tqdm does.

    Raises:
        ModelError: what the detector gives is not of the layout.
    """
    found = {name: Finding({}, {}) for name in (*SOURCES, *evaluation.figures)}
    for scene in progress([scene for stem, scene in evaluation.scenes.items() if stem not in evaluation.failed]):
        infrared, visible, fused = read_scene(scene)
        objects = objects_of(detector, infrared, visible, in_source)
        # A set may have a source's name; it then stands for both.
        for name, image in {"infrared": infrared, "visible": visible, **fused}.items():
            found[name].add(objects, detector(image, in_fused))
    return found


def as_numbers(finding: Finding, person: int = PERSON) -> dict[str, float]:
    """Of one set: how many objects and persons there are, the shares that are found, and false alarms an image."""
    return {
        "objects": sum(finding.objects.values()),
        "found": finding.share(),
        "persons": finding.objects.get(person, 0),
        "persons_found": finding.share(person),
        "false_alarms": finding.false / finding.images,
    }
