"""From two camera streams to one pair at a time: pairing by stamp, then a hand-over in which the newest pair wins."""

from __future__ import annotations

import importlib.util
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rclpy.duration import Duration
from rclpy.time import Time

from ivif_core.sync.dropout_policy import Supervisor
from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import ApproximatePairing, Pair, Pairing
from ivif_core.types import Source

T = TypeVar("T")


def make_pairing(kind: str, slop: float, queue_size: int, infrared_offset: float, hold: float = 0.0) -> Pairing:
    """The pairing of the parameter `pairing`; approximate is message_filters' where that is installed."""
    if kind == "nearest":
        return NearestPairing(slop, queue_size, infrared_offset, hold)
    has_message_filters = importlib.util.find_spec("message_filters") is not None
    return (MessageFiltersPairing if has_message_filters else ApproximatePairing)(slop, queue_size, infrared_offset)


def change_pairing(supervisor: Supervisor, settings: Mapping[str, Any], changed: set[str]) -> None:
    """Take over the parameters that may change between two frames.

    Args:
        settings: values of the node's parameters, by name.
        changed: names of those that differ from what holds now.
    """
    pairing = supervisor.pairing
    supervisor.policy = settings["on_missing"]
    pairing.slop, pairing.queue_size = settings["slop"], settings["queue_size"]
    if isinstance(pairing, NearestPairing):
        pairing.hold = settings["hold_thermal"]
    if "thermal_time_offset" in changed:
        pairing.infrared_offset = settings["thermal_time_offset"]


@dataclass(frozen=True)
class _Header:
    stamp: Time


@dataclass(frozen=True)
class _Frame:
    """What message_filters sees of a frame: a header with the stamp that counts for pairing."""

    header: _Header
    item: Any


class MessageFiltersPairing(Pairing):
    """`message_filters.ApproximateTimeSynchronizer` behind the interface of `ivif_core.sync.pairing`.

    The queues are the library's own; the base bounds them and counts what it drops, which the library does not. The
    library calls back while it holds a lock that it would never release after an exception, so the callback only keeps
    the pair for `_match` to return.
    """

    def __init__(self, slop: float, queue_size: int, infrared_offset: float = 0.0) -> None:
        import message_filters

        super().__init__(slop, queue_size, infrared_offset)
        self._inputs: dict[Source, Any] = {
            "infrared": message_filters.SimpleFilter(),
            "visible": message_filters.SimpleFilter(),
        }
        inputs = list(self._inputs.values())
        self._synchronizer = message_filters.ApproximateTimeSynchronizer(inputs, queue_size, slop)
        self._synchronizer.registerCallback(self._keep)
        self._queues = dict(zip(self._inputs, self._synchronizer.queues, strict=True))
        self._matched: list[Pair] = []

    def _match(self, source: Source, stamp: int) -> list[Pair]:
        if stamp < 0:  # the constant offset takes it before 1970, which rclpy's Time cannot say
            self._discard(source, stamp)
            return []
        self._synchronizer.slop = Duration(nanoseconds=self._slop_ns)
        self._synchronizer.queue_size = self.queue_size + 1  # a late frame may come into a full queue for a moment
        frame = _Frame(_Header(Time(nanoseconds=stamp)), self._queues[source][stamp])
        self._inputs[source].signalMessage(frame)
        matched, self._matched = self._matched, []
        return matched

    def _keep(self, infrared: _Frame, visible: _Frame) -> None:
        infrared_stamp, visible_stamp = infrared.header.stamp.nanoseconds, visible.header.stamp.nanoseconds
        self._matched.append(
            Pair(
                infrared=infrared.item,
                visible=visible.item,
                infrared_stamp=infrared_stamp - self._infrared_offset_ns,
                visible_stamp=visible_stamp,
                offset=(infrared_stamp - visible_stamp) / 1e9,
            )
        )


class Latest(Generic[T]):
    """A place for the newest items between two threads, which holds what a burst brings and lets nothing queue up.

    Items come out in order while they fit. Where one more comes than fits, the other side is too slow: from then on
    only the newest comes out, until it has caught up: one comes while none waits and none is in work.

    Attributes:
        replaced: how many items were never fetched.
    """

    BURST = 4
    """A clump of a network camera, or the RGB frames that one thermal frame of a slow camera decides."""

    def __init__(self, capacity: int = 1) -> None:
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._closed = self._behind = False
        self.replaced = 0

    def put(self, item: T) -> None:
        """Leave `item`; where there is no room, in the place of all that wait."""
        with self._changed:
            if len(self._items) >= self._capacity:
                self._behind = True
                self._drop(len(self._items))
            self._items.append(item)
            self._changed.notify()

    def get(self, is_idle: Callable[[], bool] = lambda: True) -> T | None:
        """Wait for an item and take it; None once `close` was called.

        Args:
            is_idle: whether none of those that were taken is still in work.
        """
        with self._changed:
            had_to_wait = not self._items
            self._changed.wait_for(lambda: self._items or self._closed)
            if had_to_wait and is_idle():
                self._behind = False
            if self._closed:
                return None
            if self._behind:
                self._drop(len(self._items) - 1)
            return self._items.popleft()

    def close(self) -> None:
        """Let `get` return None from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._items.popleft()
        self.replaced += count
