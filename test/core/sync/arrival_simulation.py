"""Random arrivals of one camera, by a simulated clock: how often a camera that delivers is called silent, and how soon
one that stopped is. `python -m test.core.sync.arrival_simulation --hours 10` prints the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ivif_core.sync.camera_monitor import CameraWatch

RATES = (60, 30, 25, 15, 9, 5)
"""Hz."""

TRANSPORT = 0.004
"""Mean delay on the way, exponential, s."""

DWELL = 30.0
"""Seconds between two rate steps."""


@dataclass(frozen=True)
class Outcome:
    """What a stream did to the watch.

    Attributes:
        alarms: times that the camera was silent although it went on delivering.
        hours: simulated.
        notice: seconds from the last frame to 'silent', once it did stop.
        shown: silent before how many of the last 100 frames.
    """

    alarms: int
    hours: float
    notice: float
    shown: int


def steady(rng: np.random.Generator, seconds: float, rate: float) -> np.ndarray:
    return np.arange(0, seconds, 1 / rate)


def jitter(rng: np.random.Generator, seconds: float, rate: float, loss: float = 0.0) -> np.ndarray:
    """Exposure jitter of 5 % of the frame time, exponential delay on the way (in order), and lost frames; s."""
    times = steady(rng, seconds, rate)
    times = times + rng.normal(0, 0.05 / rate, len(times)) + rng.exponential(TRANSPORT, len(times))
    return np.maximum.accumulate(times)[rng.random(len(times)) >= loss]


def lossy(rng: np.random.Generator, seconds: float, rate: float) -> np.ndarray:
    return jitter(rng, seconds, rate, 0.01)


def clumps(rng: np.random.Generator, seconds: float, rate: float, size: int = 3) -> np.ndarray:
    """Frames that wait on the way until `size` of them are there; 1 % are lost."""
    times = jitter(rng, seconds, rate)
    times = times[: len(times) // size * size].reshape(-1, size)
    arrival = times[:, -1:] + np.arange(size) * 0.0005
    return np.maximum.accumulate(arrival.ravel()[rng.random(arrival.size) >= 0.01])


def steps(rng: np.random.Generator, seconds: float, allowed: Callable[[float, float], bool]) -> np.ndarray:
    """A rate out of `RATES` for 30 s each, jitter and 1 % loss, over the steps that are allowed."""
    parts, start, rate = [], 0.0, float(RATES[0])
    while start < seconds:
        part = start + lossy(rng, DWELL, rate)
        parts.append(part)
        following = rng.choice([r for r in RATES if r != rate and allowed(rate, r)])
        start, rate = start + DWELL - 1 / rate + 1 / following, float(following)
    return np.maximum.accumulate(np.concatenate(parts))


def foreseeable(before: float, after: float) -> bool:
    """The first gap at the new rate is shorter than two frame times of the old one and 0.09 s, with 10 ms of jitter.

    Any other step (60 or 30 or 25 to 5 Hz) cannot be told from a stop at first.
    """
    return 1 / after + 0.01 < 2 / before + 0.09


def play(arrivals: np.ndarray) -> Outcome:
    watch, silent = CameraWatch(0.0), []
    for number, now in enumerate(arrivals.tolist()):
        silent.append(watch.state(now) == "silent")
        watch.frame(now, number)
    last = float(arrivals[-1])
    waits = np.arange(0, 5, 0.001)
    notice = next(wait for wait in waits.tolist() if watch.state(last + wait) == "silent")
    return Outcome(sum(silent), last / 3600, notice, sum(silent[-100:]))


def report(hours: float, seeds: int) -> str:
    """The table, `hours` simulated a row over so many seeds."""
    seconds = hours * 3600 / seeds
    rows = [f"{'arrivals':34s} {'false alarms/h':>14s} {'notice a stop, s (worst)':>25s} {'2 frame times + 0.1':>20s}"]

    def row(name: str, stream: Callable[[np.random.Generator], np.ndarray], rate: float | None) -> None:
        outcomes = [play(stream(np.random.default_rng(seed))) for seed in range(seeds)]
        rate_of_alarms = sum(o.alarms for o in outcomes) / sum(o.hours for o in outcomes)
        aim = f"{2 / rate + 0.1:20.3f}" if rate else f"{'-':>20s}"
        rows.append(f"{name:34s} {rate_of_alarms:14.2f} {max(o.notice for o in outcomes):25.3f} {aim}")

    for rate in RATES:
        row(f"{rate} Hz steady", lambda rng, rate=rate: steady(rng, seconds, rate), rate)
        row(f"{rate} Hz jitter", lambda rng, rate=rate: jitter(rng, seconds, rate), rate)
        row(f"{rate} Hz jitter, 1 % lost", lambda rng, rate=rate: lossy(rng, seconds, rate), rate)
        row(f"{rate} Hz in clumps of 3, 1 % lost", lambda rng, rate=rate: clumps(rng, seconds, rate), rate)
    row("steps of rate, foreseeable", lambda rng: steps(rng, seconds, foreseeable), None)
    row("steps of rate, any", lambda rng: steps(rng, seconds, lambda before, after: True), None)
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0, help="simulated for each row")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    print(report(arguments.hours, arguments.seeds))
