"""The one place that keeps exceptions from the executor and from the worker: counted, told, and the stream goes on."""

from __future__ import annotations

import functools
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rclpy
from rclpy.node import Node

PAUSE = 0.001
"""Seconds after an exception of the executor's own, so that one that repeats takes no whole core."""

Method = TypeVar("Method", bound=Callable[..., Any])


class Guard:
    """Counts what callbacks raise, by cause.

    Attributes:
        failures: cause -> how many times.
    """

    def __init__(self, tell: Callable[[str, Exception], None]) -> None:
        """
        Args:
            tell: takes cause and exception, for log and diagnostics.
        """
        self.failures: Counter[str] = Counter()
        self._tell = tell

    def failed(self, cause: str, error: Exception) -> None:
        """Count and tell; never raises itself."""
        self.failures[cause] += 1
        try:
            self._tell(cause, error)
        except Exception:  # the log itself fails, as it does once the context is shut down; the count remains
            self.failures["log"] += 1


def guarded(cause: str, otherwise: Callable[[Exception], Any] = lambda _: None) -> Callable[[Method], Method]:
    """Decorator for methods that a thread of ROS or the worker calls: exceptions go to the object's `guard`.

    Args:
        cause: what was being done.
        otherwise: what the call gives instead, of the exception.
    """

    def decorate(method: Any) -> Any:
        @functools.wraps(method)
        def call(self: Any, *args: Any) -> Any:
            try:
                return method(self, *args)
            except Exception as error:
                self.guard.failed(cause, error)
                return otherwise(error)

        return call

    return decorate


def description(error: Exception) -> str:
    """Type, message and place of an exception that nobody expected."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{place}: {error}"


def spin(node: Node, guard: Guard) -> None:
    """Spin until the context is shut down, whatever is raised: rclpy's own services and its /clock raise too."""
    while node.context.ok():
        try:
            rclpy.spin(node)
        except Exception as error:
            guard.failed("executor", error)
            time.sleep(PAUSE)
