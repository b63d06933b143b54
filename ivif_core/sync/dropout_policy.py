"""From the frames of two cameras to what shall be fused, also when one of them is frozen or silent. No ROS in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from ivif_core.errors import ConfigError
from ivif_core.sync.camera_monitor import CameraWatch, State
from ivif_core.sync.pairing import Pairing, Source

Policy = Literal["pause", "visible_only", "thermal_only", "hold"]
POLICIES: tuple[Policy, ...] = ("pause", "visible_only", "thermal_only", "hold")
VISIBLE_SLACK = 0.1
"""Large RGB frames are often late by more than a frame time; no shutter stops that camera, so there is no hurry."""
OTHER: dict[Source, Source] = {"infrared": "visible", "visible": "infrared"}


@dataclass(frozen=True)
class Job:
    """One image to make.

    Attributes:
        infrared, visible: the frames as they were given; None: that camera is missing.
        stamp: of the fresh frame, ns, in the visible camera's time.
        offset: infrared stamp − visible stamp, s; what is held has an age and so a large offset.
    """

    infrared: Any | None
    visible: Any | None
    stamp: int
    offset: float


class Supervisor:
    """Pairs frames, and follows `policy` while a camera is missing.

    pause: nothing comes while one is missing, and a frozen thermal frame is not fused. visible_only, thermal_only: the
    named camera goes on alone when the other is missing. hold: the missing one's last frame serves on.

    Attributes:
        policy: may be changed between two calls.
        dropped: frames that were left out, by cause, beside those that `pairing` counts.
        watches: one per camera.
    """

    def __init__(self, pairing: Pairing, policy: Policy, started: float, *, detect_freeze: bool = True) -> None:
        """
        Args:
            started: now, s, of the clock of `add`.
            detect_freeze: whether thermal frames that repeat are a freeze; off for simulated cameras without noise.
        """
        if policy not in POLICIES:
            raise ConfigError(f"on_missing: expected one of {', '.join(POLICIES)}, got {policy!r}")
        self.pairing, self.policy = pairing, policy
        self.detect_freeze = detect_freeze
        self.dropped: Counter[str] = Counter()
        self.watches: dict[Source, CameraWatch] = {
            "infrared": CameraWatch(started),
            "visible": CameraWatch(started, VISIBLE_SLACK),
        }
        self._last: dict[Source, tuple[int, Any]] = {}
        self._alone_until: int | None = None

    def add(self, source: Source, stamp: int, item: Any, now: float, frame_print: int | None = None) -> list[Job]:
        """Take one frame and give what can be made now.

        Args:
            stamp: acquisition time, ns.
            item: whatever the job shall carry.
            now: receipt, s, monotonic.
            frame_print: `silence.fingerprint` of a thermal frame.
        """
        self.watches[source].frame(now, frame_print if self.detect_freeze and source == "infrared" else None)
        own, other = self.watches[source].state(now), self.watches[OTHER[source]].state(now)
        if own == "frozen" and self.policy != "hold":
            self.dropped[f"{source}_frozen"] += 1
            return []
        self._last[source] = (stamp, item)
        alone = {"visible_only": "visible", "thermal_only": "infrared"}.get(self.policy)
        if other in ("frozen", "silent") and source == alone:
            return [self._single(source, stamp, item)]
        if other == "silent" and self.policy == "hold" and OTHER[source] in self._last:
            return [self._held(source, stamp, item)]
        return self._paired(source, stamp, item)

    def states(self, now: float) -> dict[Source, State]:
        """Each camera's state."""
        return {source: watch.state(now) for source, watch in self.watches.items()}

    def status(self, now: float) -> str:
        """One word for all: fusing, waiting, or what is missing, as `infrared_frozen`."""
        states = self.states(now)
        missing = [f"{source}_{state}" for source, state in states.items() if state in ("frozen", "silent")]
        if missing:
            return "_and_".join(missing)
        return "waiting" if "waiting" in states.values() else "fusing"

    def clear(self) -> None:
        """The streams start anew: forget what waits."""
        self.pairing.clear()
        self._last.clear()
        self._alone_until = None

    def _single(self, source: Source, stamp: int, item: Any) -> Job:
        self._alone_until = self._visible_time(source, stamp)
        if source == "visible":
            return Job(None, item, self._alone_until, 0.0)
        return Job(item, None, self._alone_until, 0.0)

    def _held(self, source: Source, stamp: int, item: Any) -> Job:
        self._alone_until = self._visible_time(source, stamp)
        held_stamp, held = self._last[OTHER[source]]
        behind = (self._visible_time(OTHER[source], held_stamp) - self._alone_until) / 1e9
        if source == "visible":
            return Job(held, item, self._alone_until, behind)
        return Job(item, held, self._alone_until, -behind)

    def _paired(self, source: Source, stamp: int, item: Any) -> list[Job]:
        jumps = self.pairing.dropped["stamp_jump"]
        pairs = self.pairing.add(source, stamp, item)
        if self.pairing.dropped["stamp_jump"] > jumps:
            self._alone_until = None
        jobs = [Job(pair.infrared, pair.visible, pair.visible_stamp, pair.offset) for pair in pairs]
        in_time = [job for job in jobs if self._alone_until is None or job.stamp > self._alone_until]
        self.dropped["late_pair"] += len(jobs) - len(in_time)  # what followed it was already made from one camera
        return in_time

    def _visible_time(self, source: Source, stamp: int) -> int:
        return stamp + round(self.pairing.infrared_offset * 1e9) if source == "infrared" else stamp
