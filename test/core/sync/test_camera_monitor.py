from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivif_core.sync.camera_monitor import CameraWatch, fingerprint
from test.core.sync.arrival_simulation import RATES, clumps, foreseeable, jitter, lossy, play, steady, steps


def run(watch, frames):
    """Feed (time, print); the state after each frame."""
    states = []
    for now, frame_print in frames:
        watch.frame(now, frame_print)
        states.append(watch.state(now))
    return states


def test_fingerprint_sees_noise(rng):
    frame = rng.normal(7000, 4, (480, 640)).astype(np.uint16)
    assert fingerprint(frame.tobytes()) == fingerprint(memoryview(frame).cast("B"))
    other = frame + rng.integers(0, 2, frame.shape, dtype=np.uint16)
    assert fingerprint(frame.tobytes()) != fingerprint(other.tobytes())
    assert fingerprint(b"") == fingerprint(b"")


@pytest.mark.parametrize("rate", [9, 30, 60])
def test_repeated_frames_freeze_within_two_frame_times(rate, rng):
    watch, now, detected = CameraWatch(0.0), 0.0, None
    frozen_from = None
    for number in range(60):
        now = (number + rng.uniform(-0.1, 0.1)) / rate
        repeating = 30 <= number < 45
        watch.frame(now, 30 if repeating else number)
        frozen_from = now if number == 30 else frozen_from
        state = watch.state(now)
        assert state == ("frozen" if 32 <= number < 45 else "live"), number
        detected = now if state == "frozen" and detected is None else detected
    assert detected - frozen_from <= 2.2 / rate


@pytest.mark.parametrize("rate", RATES)
def test_no_frames_are_silence_after_two_frame_times_and_a_tenth(rate):
    watch = CameraWatch(0.0)
    run(watch, [(number / rate, number) for number in range(10)])
    last = 9 / rate
    assert watch.state(last + 1.9 / rate + 0.08) == "live"
    assert watch.state(last + 2 / rate + 0.1) == "silent"
    assert watch.age(last + 5) == pytest.approx(5)
    watch.frame(last + 5, 99)
    assert watch.state(last + 5) == "live"
    assert watch.state(last + 5 + 1.9 / rate + 0.08) == "live"  # the gap is no frame interval
    assert watch.state(last + 5 + 2 / rate + 0.1) == "silent"


@pytest.mark.parametrize("before", RATES)
@pytest.mark.parametrize("after", [*RATES, 2, 0.5])
def test_a_new_rate_is_learned(before, after):
    """As 30 to 9 Hz, which was silent for ever: at most the first gaps of a rate that fell far, then none."""
    watch = CameraWatch(0.0)
    run(watch, [(number / before, number) for number in range(600)])
    changed = 599 / before
    states = []
    for number in range(1, max(40, 2 * int(after))):
        now = changed + number / after
        states.append(watch.state(now))
        watch.frame(now, number)
    few = 0 if foreseeable(before, after) else 2
    assert states.count("silent") <= few and set(states[few:]) == {"live"}
    assert watch.state(now + 2 / after + 0.1) == "silent"  # and a stop is seen as soon as at the new rate


@pytest.mark.parametrize(("size", "every"), [(3, 0.1), (2, 1 / 15), (4, 0.2), (8, 8 / 30), (30, 0.9)])
def test_clumps_are_no_silence(size, every):
    watch, states = CameraWatch(0.0), []
    for number in range(60):
        for place in range(size):
            states.append(watch.state(number * every + place * 1e-3))
            watch.frame(number * every + place * 1e-3, len(states))
    assert set(states[size * 3 :]) == {"live"}


@pytest.mark.parametrize("size", [8, 17, 30])
def test_a_steady_camera_that_begins_to_come_in_clumps(size):
    watch, states = CameraWatch(0.0), []
    run(watch, [(number / 30, number) for number in range(900)])
    for number in range(1, 40):
        states.append(watch.state(30 + number * size / 30))
        for _ in range(size):  # at one moment
            watch.frame(30 + number * size / 30, number)
    assert set(states[2:]) == {"live"}


def test_stalls_that_recur_are_learned_and_a_few_are_not():
    """A network that stalls for 0.3 s twice a second; a camera that was paused three times while it was set up."""
    watch, now, states = CameraWatch(0.0), 0.0, []
    run(watch, [(number / 30, number) for number in range(90)])
    for _ in range(20):
        now = watch_from = 3.0 + len(states) * 0.8
        states.append(watch.state(now))
        run(watch, [(watch_from + number / 60, number) for number in range(30)])
    assert states[0] == "live" and states[1:4] == ["silent"] * 3 and set(states[5:]) == {"live"}
    watch = CameraWatch(0.0)
    for round_ in range(3):
        run(watch, [(round_ * 1.3 + number / 9, number) for number in range(8)])
    now = 2.6 + 7 / 9
    assert watch.state(now + 2 / 9 + 0.1) == "silent"


def test_a_freeze_soon_after_a_pause_is_seen_at_the_second_repeat():
    watch = CameraWatch(0.0)
    run(watch, [(number / 9, number) for number in range(8)])
    run(watch, [(1.3 + number / 9, 10 + number) for number in range(8)])
    states = run(watch, [(1.3 + 8 / 9 + number / 9, 17) for number in range(4)])
    assert states == ["live", "frozen", "frozen", "frozen"]


def test_interruptions_are_not_learned():
    watch, now = CameraWatch(0.0), 0.0
    for _ in range(6):
        for _ in range(60):
            now += 1 / 30
            watch.frame(now, 1)
        assert watch.state(now + 2 / 30 + 0.1) == "silent"
        now += 4.0


def test_a_frozen_camera_that_goes_on_sending_is_frozen_and_not_silent():
    watch = CameraWatch(0.0)
    run(watch, [(number / 9, number) for number in range(60)])
    states = run(watch, [(60 / 9 + number / 9, 59) for number in range(27)])
    assert states[:1] == ["live"] and set(states[1:]) == {"frozen"}


def test_content_that_slows_down_is_not_frozen_for_ever():
    """A camera that from now on sends each of its frames three times: 30 different ones a second, then 10."""
    watch = CameraWatch(0.0)
    run(watch, [(number / 30, number) for number in range(90)])
    states = run(watch, [(3 + number / 30, 100 + number // 3) for number in range(90)])
    assert set(states[9:]) == {"live"}


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3)), max_size=60))
def test_whatever_comes_is_live_or_frozen_at_its_frame_and_silent_in_the_end(arrivals):
    watch, now = CameraWatch(0.0), 0.0
    for gap, frame_print in arrivals:
        now += gap
        watch.frame(now, frame_print)
        assert watch.state(now) in ("live", "frozen")
    assert watch.state(now + 15) == "silent"


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("stream", [steady, jitter, lossy])
def test_random_arrivals_raise_no_alarm(stream, rate):
    outcome = play(stream(np.random.default_rng(1), 60.0, rate))
    assert outcome.alarms == 0
    if stream is steady:
        assert outcome.notice <= 2 / rate + 0.1


@pytest.mark.parametrize("rate", [60, 30, 15, 9])
def test_random_clumps_raise_no_alarm(rate):
    outcome = play(clumps(np.random.default_rng(1), 60.0, rate))
    assert outcome.alarms == 0 and outcome.notice <= 6 / rate + 0.1


def test_random_steps_of_rate_raise_no_alarm():
    assert play(steps(np.random.default_rng(1), 240.0, foreseeable)).alarms == 0
    anyhow = play(steps(np.random.default_rng(1), 240.0, lambda before, after: True))
    assert anyhow.alarms <= 8 and anyhow.shown == 0


def test_before_the_first_frame():
    watch = CameraWatch(100.0)
    assert watch.state(100.5) == "waiting"
    assert watch.state(101.5) == "silent"
    watch.frame(102.0, 1)
    assert watch.state(102.0) == "live"


def test_driver_that_sends_each_frame_three_times_is_live():
    frames = [(number / 27, number // 3) for number in range(90)]
    assert set(run(CameraWatch(0.0), frames)) == {"live"}


def test_still_picture_is_live():
    assert set(run(CameraWatch(0.0), [(number / 30, 7) for number in range(300)])) == {"live"}


def test_few_changes_do_not_make_repeats_a_freeze():
    assert set(run(CameraWatch(0.0), [(number / 30, min(number, 8)) for number in range(90)])) == {"live"}


def test_freeze_of_a_camera_that_then_stalls():
    watch = CameraWatch(0.0)
    run(watch, [(number / 10, number) for number in range(20)] + [(2.0, 19), (2.1, 19)])
    assert watch.state(2.1) == "frozen"
    assert watch.state(2.5) == "silent"


def test_rate_is_of_changes_even_after_a_freeze():
    watch = CameraWatch(0.0)
    run(watch, [(number / 10, min(number, 20)) for number in range(50)])
    states = run(watch, [(5 + number / 10, 100 + min(number, 10)) for number in range(14)])
    assert states == ["live"] * 12 + ["frozen"] * 2
