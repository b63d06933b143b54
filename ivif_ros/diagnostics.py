"""The node's state as `diagnostic_msgs/DiagnosticArray`: what flows, how late, what is lost and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ivif_core.errors import one_line
from ivif_core.sync.camera_monitor import State
from ivif_ros.statistics import Fused, quantile

SILENCE = 1.0
"""A camera that sent nothing for so long (s) is an error; for less, a warning."""

LOST_SHARE = 0.8
"""Images to CameraInfos under which images are lost: drivers send one of each, and the small ones arrive."""

LOST_COUNT = 10
"""CameraInfos within the window from which that can be told."""


FUSED_SHARE = 0.5
"""Of the pairs; fewer that are fused are too few."""

LEAST_PAIRS = 10
"""Within the window, from which that can be told."""

LARGE_IMAGES = (
    "large images need the Fast DDS profile on the sender (FASTDDS_DEFAULT_PROFILES_FILE, before Kilted "
    "FASTRTPS_DEFAULT_PROFILES_FILE)"
)


@dataclass
class Part:
    """One status of the array. ERROR: nothing comes; WARN: too little, or something is wrong with it.

    Attributes:
        name: thermal, rgb, pairing or fusion.
        well: what is said where nothing is wrong.
        errors, warnings: one line each.
        values: figures by name.
    """

    name: str
    well: str
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def status(self, node_name: str) -> DiagnosticStatus:
        """As a message of a node, told apart from those of other robots by its full name."""
        problems = [one_line(problem, 600) for problem in (*self.errors, *self.warnings)]
        level = DiagnosticStatus.ERROR if self.errors else DiagnosticStatus.WARN if problems else DiagnosticStatus.OK
        return DiagnosticStatus(
            level=level,
            name=f"{node_name}: {self.name}",
            hardware_id=node_name,
            message="; ".join(problems) or self.well,
            values=[KeyValue(key=key, value=one_line(value)) for key, value in self.values.items()],
        )


def message(node_name: str, parts: Iterable[Part]) -> DiagnosticArray:
    """All parts; the stamp is left to the caller.

    Args:
        node_name: fully qualified.
    """
    return DiagnosticArray(status=[part.status(node_name) for part in parts])


@dataclass(frozen=True)
class CameraFacts:
    """What is known of a camera now.

    Attributes:
        silence: s since its last frame.
        age: s since its last new content.
        images, infos: how many came within the window of the statistics.
    """

    state: State
    silence: float
    age: float
    rate: float
    images: int
    infos: int


def camera_part(name: str, topic: str, facts: CameraFacts, policy: str) -> Part:
    """Status of one camera.

    Args:
        name: thermal or rgb.
        policy: the parameter `on_missing`.
    """
    values = {"topic": topic, "state": facts.state, "rate (Hz)": f"{facts.rate:.1f}", "age (s)": f"{facts.age:.2f}"}
    part = Part(name, "waiting for the first image" if facts.state == "waiting" else "images come", values=values)
    if facts.state == "silent":
        trouble = part.errors if facts.silence > SILENCE else part.warnings
        trouble.append(f"{name} camera silent for {facts.silence:.1f} s (on_missing: {policy})")
    elif facts.state == "frozen":
        part.warnings.append(f"{name} camera frozen for {facts.age:.1f} s (on_missing: {policy})")
    if facts.infos >= LOST_COUNT and facts.images < LOST_SHARE * facts.infos:
        part.warnings.append(
            f"images are lost: {facts.images} {name} images came beside {facts.infos} CameraInfos of the same camera; "
            f"{LARGE_IMAGES}"
        )
    return part


@dataclass(frozen=True)
class FusionFacts:
    """What came out lately, and what did not.

    Attributes:
        recent: images published within the window.
        silence: s since the last one.
        listened: whether anybody listens to an image.
        wanted: pairs that came within the window while somebody listened.
    """

    recent: Sequence[Fused]
    silence: float
    rate: float
    count: int
    dropped: Mapping[str, int]
    listened: bool
    wanted: int


def fusion_part(facts: FusionFacts, causes: Sequence[str], *, silent: bool) -> Part:
    """Status of what the node publishes.

    Args:
        causes: why less comes than could, from the other parts.
        silent: whether one of them is a camera that sends nothing.
    """
    recent = facts.recent
    part = Part(
        "fusion",
        "fusing" if facts.listened else "nobody listens, so nothing is fused",
        values={
            "state": "active",
            "listened to": str(facts.listened),
            "fused rate (Hz)": f"{facts.rate:.1f}",
            "fused (count)": str(facts.count),
            "latency median (ms)": milliseconds([event.latency for event in recent], 0.5),
            "latency 95th (ms)": milliseconds([event.latency for event in recent], 0.95),
            "processing median (ms)": milliseconds([event.total for event in recent], 0.5),
            "network median (ms)": milliseconds([event.network for event in recent], 0.5),
            **{f"dropped {cause} (count)": str(count) for cause, count in sorted(facts.dropped.items())},
        },
    )
    if facts.silence > SILENCE and silent:
        part.errors.append("; ".join(["nothing is fused", *causes]))
        return part
    if facts.wanted >= LEAST_PAIRS and not recent:
        part.errors.append("nothing is fused although pairs come")
    elif facts.wanted >= LEAST_PAIRS and len(recent) < FUSED_SHARE * facts.wanted:
        part.warnings.append(f"{len(recent)} of the last {facts.wanted} pairs were fused: the rest was dropped")
    part.warnings += causes
    return part


def milliseconds(seconds: Sequence[float], share: float) -> str:
    """A quantile of times, in ms; '-' of none."""
    if not seconds:
        return "-"
    return f"{1e3 * (median(seconds) if share == 0.5 else quantile(seconds, share)):.1f}"
