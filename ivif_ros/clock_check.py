"""Whether the simulated clock goes; the node's diagnostics do not stop with it."""

from __future__ import annotations

SLOW = 0.8
"""Of real time: a slower simulated clock is named."""


class ClockCheck:
    """Compares a node's clock with the steady one, from call to call."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None

    def problem(self, now: int, steady: float) -> str:
        """What is wrong with the clock of a node with use_sim_time; empty: nothing, or too early to say.

        Args:
            now: of the node's clock, ns; 0 before the first /clock.
            steady: s.
        """
        last, self._last = self._last, (now, steady)
        if now == 0:
            return "use_sim_time is set and nothing comes on /clock"
        if last is None or last[0] == 0 or steady <= last[1]:
            return ""
        speed = (now - last[0]) / 1e9 / (steady - last[1])
        if speed == 0:
            return "use_sim_time is set and /clock stands still"
        if speed < 0:
            return "use_sim_time is set and /clock has jumped back"
        return f"use_sim_time is set and /clock goes at {speed:.2f} of real time" if speed < SLOW else ""
