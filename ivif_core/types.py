"""Types that several rooms share."""

from __future__ import annotations

from typing import Literal

Source = Literal["infrared", "visible"]
"""Which of the two cameras."""
SOURCES: tuple[Source, ...] = ("infrared", "visible")
