"""Times as messages have them. `rclpy.time.Time` raises at negative ones; whatever a driver sends must pass here."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time as TimeMessage

from ivif_core.sync.stamp_check import SECOND, StampCheck, nanoseconds
from ivif_core.types import Source

LAST = 2**31 * SECOND - 1
"""The last time (ns) that a header can hold."""


def stamp_message(time: int) -> TimeMessage:
    """A header's stamp of a time in ns; the nearest that a header can hold."""
    sec, nanosec = divmod(min(max(time, 0), LAST), SECOND)
    return TimeMessage(sec=sec, nanosec=nanosec)


def stamp_time(stamp: TimeMessage) -> int:
    """ns of a header's stamp, whatever is in it."""
    return int(stamp.sec * SECOND + stamp.nanosec)


def take_stamp(check: StampCheck, source: Source, message: Any, received: int) -> int:
    """The time to pair a frame by, ns; a stamp that is replaced by the time of receipt is so in the message too."""
    stamp = message.header.stamp
    time = check.time(source, nanoseconds(stamp.sec, stamp.nanosec), received)
    if source in check.replaced:
        message.header.stamp = stamp_message(time)
    return time
