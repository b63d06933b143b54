"""Numbers of the command line within a range: `type=` of argparse."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

from ivif_core.errors import shown

MOST_THREADS = 1024
MOST_ROUNDS = 1_000_000
"""Samples of a measurement: days of work, and a list that fits memory."""


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number from `least` to `most`."""

    def parse(text: str) -> int:
        value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {shown(text)}")
        return value

    return parse


def real(least: float, most: float) -> Callable[[str], float]:
    """A finite number from `least` to `most`."""

    def parse(text: str) -> float:
        try:
            value = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if not least <= value <= most or math.isinf(value):
            raise argparse.ArgumentTypeError(f"expected a number from {least:g} to {most:g}, got {shown(text)}")
        return value

    return parse


def size(least: int, most: int) -> Callable[[str], tuple[int, int]]:
    """Width and height, as 640x480, each from `least` to `most` pixels."""

    def parse(text: str) -> tuple[int, int]:
        width, _, height = text.replace("×", "x").partition("x")
        if all(part.isascii() and part.isdigit() and len(part) < 10 for part in (width, height)):
            found = int(width), int(height)
            if least <= min(found) and max(found) <= most:
                return found
        raise argparse.ArgumentTypeError(
            f"expected WIDTHxHEIGHT of {least} to {most} pixels, as 640x480, got {shown(text)}"
        )

    return parse
