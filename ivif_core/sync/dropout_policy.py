"""From the frames of two cameras to what shall be fused, also when one of them is frozen or silent. No ROS in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ivif_core.errors import ConfigError
from ivif_core.sync.camera_monitor import CameraWatch, State
from ivif_core.sync.pairing import JUMP_NS, Pairing
from ivif_core.sync.unpaired import PairMonitor
from ivif_core.types import Source

Policy = Literal["pause", "visible_only", "thermal_only", "hold"]
POLICIES: tuple[Policy, ...] = ("pause", "visible_only", "thermal_only", "hold")

Status = Literal[
    "waiting",
    "fusing",
    "unpaired",
    "infrared_frozen",
    "infrared_silent",
    "visible_silent",
    "infrared_frozen_and_visible_silent",
    "infrared_silent_and_visible_silent",
]
STATUSES: tuple[Status, ...] = get_args(Status)
"""One word for all: nothing has come yet; pairs come; both cameras deliver and nothing pairs; or what is missing."""

HOLD_OFF = 1.0
"""Seconds after a trouble has ended before the next is said, so that a camera that comes and goes fills no log."""

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
    named camera goes on alone when the other is missing, or when nothing pairs. hold: the missing one's last frame
    serves on.

    Attributes:
        policy: may be changed between two calls.
        dropped: frames that were left out, by cause, beside those that `pairing` counts.
        pairs: whether and why nothing pairs although both cameras deliver.
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
            "visible": CameraWatch(started),
        }
        self.pairs = PairMonitor(pairing)
        self._said: Status = "waiting"
        self._well_since = float("-inf")
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
        if own == "frozen" or other in ("frozen", "silent"):
            self.pairs.interrupted()
        if own == "frozen" and self.policy != "hold":
            self.dropped[f"{source}_frozen"] += 1
            return []
        if source not in self._last or not 0 < self._last[source][0] - stamp <= JUMP_NS:  # a late frame is not held
            self._last[source] = (stamp, item)
        alone = source == {"visible_only": "visible", "thermal_only": "infrared"}.get(self.policy)
        if other in ("frozen", "silent") and alone:
            return [self._single(source, stamp, item)]
        if other == "silent" and self.policy == "hold" and OTHER[source] in self._last:
            return [self._held(source, stamp, item)]
        jobs = self._paired(source, stamp, item, now)
        if alone and self.pairs.is_unpaired(now) and self._is_new(self._visible_time(source, stamp)):
            return [self._single(source, stamp, item)]
        return jobs

    def states(self, now: float) -> dict[Source, State]:
        """Each camera's state."""
        return {source: watch.state(now) for source, watch in self.watches.items()}

    def status(self, now: float) -> Status:
        """What to tell the user. A trouble ends at once, and the next one is said `HOLD_OFF` after that at the soonest.

        `states` and the jobs do not wait for it.
        """
        status = self._status(now)
        if status in ("fusing", "waiting"):
            if self._said not in ("fusing", "waiting"):
                self._well_since = now
            self._said = status
        elif self._said not in ("fusing", "waiting") or now - self._well_since >= HOLD_OFF:
            self._said = status
        return self._said

    def pairing_problem(self, now: float) -> str:
        """Why nothing pairs, or that pairs are steadily off; empty: nothing to say, or a camera is missing."""
        status = self._status(now)
        if status == "unpaired":
            found = self.pairs.finding()
            return found.text if found else ""
        return self.pairs.alias() if status == "fusing" else ""

    def clear(self) -> None:
        """The streams start anew: forget what waits."""
        self.pairing.clear()
        self.pairs.clear()
        self._last.clear()
        self._alone_until = None

    def _status(self, now: float) -> Status:
        infrared, visible = self.watches["infrared"].state(now), self.watches["visible"].state(now)
        if infrared == "frozen":
            return "infrared_frozen_and_visible_silent" if visible == "silent" else "infrared_frozen"
        if infrared == "silent":
            return "infrared_silent_and_visible_silent" if visible == "silent" else "infrared_silent"
        if visible == "silent":
            return "visible_silent"
        if "waiting" in (infrared, visible):
            return "waiting"
        return "unpaired" if self.pairs.is_unpaired(now) else "fusing"

    def _single(self, source: Source, stamp: int, item: Any) -> Job:
        time = self._alone(source, stamp)
        return Job(None, item, time, 0.0) if source == "visible" else Job(item, None, time, 0.0)

    def _held(self, source: Source, stamp: int, item: Any) -> Job:
        time = self._alone(source, stamp)
        held_stamp, held = self._last[OTHER[source]]
        behind = (self._visible_time(OTHER[source], held_stamp) - time) / 1e9
        return Job(held, item, time, behind) if source == "visible" else Job(item, held, time, -behind)

    def _alone(self, source: Source, stamp: int) -> int:
        """The time of a frame that goes on alone; no pair of an older one may follow, also where this one is late."""
        time, until = self._visible_time(source, stamp), self._alone_until
        self._alone_until = until if until is not None and 0 < until - time <= JUMP_NS else time
        return time

    def _paired(self, source: Source, stamp: int, item: Any, now: float) -> list[Job]:
        jumps = self.pairing.dropped["stamp_jump"]
        pairs = self.pairing.add(source, stamp, item)
        if self.pairing.dropped["stamp_jump"] > jumps:
            self._alone_until = None
            self.pairs.clear()
        self.pairs.frame(source, stamp, now)
        self.pairs.paired(pairs, now)
        jobs = [Job(pair.infrared, pair.visible, pair.visible_stamp, pair.offset) for pair in pairs]
        in_time = [job for job in jobs if self._is_new(job.stamp)]
        self.dropped["late_pair"] += len(jobs) - len(in_time)  # what followed it was already made from one camera
        return in_time

    def _is_new(self, visible_time: int) -> bool:
        return self._alone_until is None or visible_time > self._alone_until

    def _visible_time(self, source: Source, stamp: int) -> int:
        return stamp + round(self.pairing.infrared_offset * 1e9) if source == "infrared" else stamp
