from __future__ import annotations

import numpy as np
import pytest

from ivif_core.sync.camera_monitor import CameraWatch, fingerprint


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


@pytest.mark.parametrize("rate", [9, 30])
def test_no_frames_are_silence_after_two_frame_times(rate):
    watch = CameraWatch(0.0)
    run(watch, [(number / rate, number) for number in range(10)])
    last = 9 / rate
    assert watch.state(last + 1.9 / rate) == "live"
    assert watch.state(last + 2.1 / rate) == "silent"
    assert watch.age(last + 0.5) == pytest.approx(0.5)
    watch.frame(last + 5, 99)
    assert watch.state(last + 5) == "live"
    assert watch.state(last + 5 + 1.9 / rate) == "live"  # the gap is no frame interval
    assert watch.state(last + 5 + 2.1 / rate) == "silent"


def test_slack_is_for_fast_cameras_only():
    for rate, patience in ((30, 1 / 30 + 0.1), (5, 2 / 5)):
        watch = CameraWatch(0.0, slack=0.1)
        run(watch, [(number / rate, number) for number in range(10)])
        assert watch.state(9 / rate + patience - 0.01) == "live"
        assert watch.state(9 / rate + patience + 0.01) == "silent"


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
