from __future__ import annotations

from itertools import pairwise

import pytest

pytest.importorskip("rclpy")
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.errors import ConfigError
from ivif_ros.complaints import INTERVAL, REMINDER, Complaints, Problems
from ivif_ros.guard import Guard, description, guarded


class Machine:
    """Something whose methods a foreign thread calls."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.guard = Guard(lambda cause, error: self.told.append((cause, str(error))))

    @guarded("dividing", lambda error: f"not divided: {error}")
    def divide(self, a: float, b: float) -> float | str:
        return a / b

    @guarded("stopping")
    def stop(self) -> None:
        raise KeyboardInterrupt


def test_exceptions_are_counted_told_and_replaced():
    machine = Machine()
    assert machine.divide(6, 3) == 2
    assert [machine.divide(1, 0) for _ in range(3)] == ["not divided: division by zero"] * 3
    assert machine.guard.failures == {"dividing": 3}
    assert machine.told == [("dividing", "division by zero")] * 3


def test_a_log_that_fails_does_no_harm():
    machine = Machine()
    machine.guard = Guard(lambda cause, error: 1 / 0)
    assert machine.divide(1, 0) == "not divided: division by zero"
    assert machine.guard.failures == {"dividing": 1, "log": 1}


def test_what_ends_the_program_passes():
    with pytest.raises(KeyboardInterrupt):
        Machine().stop()


def test_description_names_the_place():
    try:
        raise ConfigError("no such mode")
    except ConfigError as error:
        assert description(error).startswith("ConfigError (test_guard.py:")
        assert description(error).endswith("): no such mode")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_complaint_is_said_once_until_it_changes():
    clock = Clock()
    complaints = Complaints(clock)
    assert complaints.due("stamps", "infrared stamps are -5 s from now")
    clock.now += 30
    assert not complaints.due("stamps", "infrared stamps are -35 s from now")  # figures do not make it another one
    assert complaints.due("stamps", "visible stamps are zero")
    assert complaints.due("camera info", "visible stamps are zero")  # of another cause
    assert not complaints.due("stamps", "")
    clock.now += 30
    assert complaints.due("stamps", "visible stamps are zero")  # all was well meanwhile
    clock.now += REMINDER
    assert complaints.due("stamps", "visible stamps are zero")


@given(st.lists(st.tuples(st.floats(0, 0.3), st.sampled_from(["", "a", "b", "c"])), max_size=60))
def test_no_cause_is_said_more_than_once_a_second_and_what_lasts_is_said(events):
    clock = Clock()
    complaints = Complaints(clock)
    said = []
    for wait, complaint in [*events, (2 * INTERVAL, "last")]:
        clock.now += wait
        if complaints.due("x", complaint):
            said.append((clock.now, complaint))
    assert all(later - earlier >= INTERVAL for (earlier, _), (later, _) in pairwise(said))
    assert said[-1][1] == "last"


def test_problems_go_to_the_log_on_one_line_and_to_the_diagnostics_for_a_while():
    clock, log = Clock(), []
    problems = Problems(log.append, clock)
    problems.add("malformed", "encoding \x1b[2J\n[FATAL] " + "x" * 5000)
    problems.say("QoS", "nobody listens")
    assert problems.recent() == log[:1] and log[1] == "nobody listens"
    assert log[0].startswith("encoding \\x1b[2J\\n[FATAL] xxx") and len(log[0]) == 300
    clock.now += Problems.LIFETIME
    assert problems.recent() == []
