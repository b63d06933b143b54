"""Whole streams through the supervisor: 9 Hz thermal that freezes or falls silent, 30 Hz RGB."""

from __future__ import annotations

import pytest

from ivif_core.errors import ConfigError
from ivif_core.sync.dropout_policy import STATUSES, Supervisor
from ivif_core.sync.nearest import NearestPairing
from ivif_core.sync.pairing import ApproximatePairing

MS = 1_000_000
MISSING = (4.0, 6.0)
END = 10.0
TRANSPORT = {"infrared": 0.012, "visible": 0.004}


def play(policy, missing, *, absent="infrared", pairing=None):
    """Ten seconds; the camera `absent` is `missing` ('frozen' or 'silent') between 4 and 6 s.

    Returns:
        (job, time it was made) of all jobs, statuses by time, the supervisor.
    """
    supervisor = Supervisor(pairing or NearestPairing(0.06, 10), policy, 0.0)
    frames = []
    for source, rate in (("infrared", 9), ("visible", 30)):
        for number in range(int(END * rate)):
            stamp, content = number / rate, number
            if source == absent and MISSING[0] <= stamp < MISSING[1]:
                if missing == "silent":
                    continue
                content = int(MISSING[0] * rate)
            frames.append((stamp + TRANSPORT[source], source, stamp, content))
    jobs, statuses = [], []
    for now, source, stamp, content in sorted(frames):
        made = supervisor.add(source, round(stamp * 1e9), (source, stamp, content), now, content)
        jobs += [(job, now) for job in made]
        statuses.append((now, supervisor.status(now)))
    return jobs, statuses, supervisor


def during(jobs, after=0.35, before=0.0):
    """Jobs made well within the time that the camera is missing."""
    return [job for job, now in jobs if MISSING[0] + after <= now < MISSING[1] - before]


def outside(jobs):
    return [job for job, now in jobs if 1 < now < MISSING[0] or MISSING[1] + 0.3 < now]


@pytest.mark.parametrize("missing", ["frozen", "silent"])
@pytest.mark.parametrize("policy", ["pause", "visible_only", "thermal_only", "hold"])
def test_each_policy_while_thermal_is_missing(policy, missing):
    jobs, statuses, supervisor = play(policy, missing)
    kinds = {(job.infrared is not None, job.visible is not None) for job in during(jobs)}
    if policy == "visible_only":
        assert kinds == {(False, True)}
        assert len(during(jobs)) >= 0.95 * 30 * 1.6
    elif policy == "hold":
        assert kinds == {(True, True)}
        assert len(during(jobs)) >= 0.95 * 30 * 1.6
        assert {job.infrared[2] for job in during(jobs)} == {35 if missing == "silent" else 36}
    else:
        assert during(jobs, 0.35) == []
    assert all(job.infrared and job.visible for job in outside(jobs))
    assert len(outside(jobs)) >= 0.97 * 30 * (3 + 3.7)
    stamps = [job.stamp for job, _ in jobs]
    assert stamps == sorted(set(stamps))  # no frame twice, none back in time: the way back is seamless
    assert {status for now, status in statuses if 4.35 < now < 5.95} == {f"infrared_{missing}"}
    assert {status for now, status in statuses if 1 < now < 4 or now > 6.2} == {"fusing"}
    if missing == "frozen" and policy != "hold":
        assert supervisor.dropped["infrared_frozen"] == 16  # 18 repeats in 2 s, two until it is seen


@pytest.mark.parametrize("missing", ["frozen", "silent"])
def test_seen_within_two_frame_times_and_a_tenth(missing):
    _, statuses, _ = play("pause", missing)
    seen = min(now for now, status in statuses if status != "fusing" and now > 1)
    last_new = 35 / 9 if missing == "silent" else 4.0
    assert seen - last_new - TRANSPORT["infrared"] <= 2 / 9 + 1 / 30 + 0.1 * (
        missing == "silent"
    )  # the next RGB frame makes it known


@pytest.mark.parametrize(("policy", "kind"), [("thermal_only", (True, False)), ("hold", (True, True)), ("pause", None)])
def test_visible_camera_missing(policy, kind):
    jobs, statuses, _ = play(policy, "silent", absent="visible")
    kinds = {(job.infrared is not None, job.visible is not None) for job in during(jobs)}
    assert kinds == ({kind} if kind else set())
    if kind:
        assert len(during(jobs)) >= 14  # 9 Hz for 1.65 s
    if policy == "hold":
        ages = [job.offset for job in during(jobs)]
        assert ages == sorted(ages) and ages[-1] == pytest.approx(1.9, abs=0.15)  # how far infrared is ahead
    assert {status for now, status in statuses if 4.3 < now < 5.95} == {"visible_silent"}


def test_offset_of_the_thermal_clock_counts_in_stamps():
    pairing = ApproximatePairing(0.02, 10, infrared_offset=-0.08)
    supervisor = Supervisor(pairing, "thermal_only", 0.0)
    for number in range(20):
        supervisor.add("infrared", number * 100 * MS + 80 * MS, number, 2 + number / 10, number)
    job = supervisor.add("infrared", 2080 * MS, "x", 4.0, 99)[0]
    assert (job.infrared, job.visible, job.stamp) == ("x", None, 2000 * MS)


def test_late_pair_is_not_made_after_newer_single_frames():
    supervisor = Supervisor(ApproximatePairing(0.02, 10), "visible_only", 0.0)
    for number in range(10):
        supervisor.add("infrared", number * 100 * MS, number, number / 10, number)
        supervisor.add("visible", number * 100 * MS + MS, number, number / 10 + 0.001)
    supervisor.add("visible", 1001 * MS, "waits", 1.001)
    single = supervisor.add("visible", 1201 * MS, "alone", 1.201)
    assert [(job.infrared, job.visible) for job in single] == [(None, "alone")]
    assert supervisor.add("infrared", 1000 * MS, "late", 1.25, 77) == []
    assert supervisor.dropped["late_pair"] == 1


def test_never_seen_camera_is_missing_after_a_second():
    supervisor = Supervisor(ApproximatePairing(0.02, 10), "visible_only", 0.0)
    made = [supervisor.add("visible", number * 100 * MS, number, number / 10) for number in range(20)]
    assert made[5] == []
    assert made[15][0].visible == 15
    assert supervisor.status(0.5) == "waiting"


def test_freeze_detection_can_be_off():
    supervisor = Supervisor(NearestPairing(0.06, 10), "pause", 0.0, detect_freeze=False)
    for number in range(100):
        supervisor.add("infrared", number * 100 * MS, number, number / 10, min(number, 20))
    assert supervisor.states(9.9)["infrared"] == "live"


def feed(supervisor, frames):
    """(receipt s, source, stamp s, print) of all frames; jobs and statuses, each with its time."""
    jobs, statuses = [], []
    for now, source, stamp, content in sorted(frames):
        jobs += [(now, job) for job in supervisor.add(source, round(stamp * 1e9), stamp, now, content)]
        statuses.append((now, supervisor.status(now)))
    return jobs, statuses


def stream(source, rate, seconds, stamp=lambda t: t, arrival=lambda t: t, start=0.0):
    times = [start + number / rate for number in range(int(seconds * rate))]
    return [(arrival(t), source, stamp(t), number) for number, t in enumerate(times)]


@pytest.mark.parametrize("kind", [ApproximatePairing, NearestPairing])
def test_frames_in_clumps_are_all_fused(kind):
    """Three thermal frames at once every 100 ms, as over a network: with visible_only 1 image in 117 had thermal."""
    late = lambda t: (int(t * 30 + 1e-6) // 3 * 3 + 2) / 30 + 0.005 + t * 1e-6  # noqa: E731
    supervisor = Supervisor(kind(0.015, 10), "visible_only", 0.0)
    frames = stream("infrared", 30, 10, arrival=late) + stream("visible", 30, 10)
    jobs, statuses = feed(supervisor, frames)
    assert all(job.infrared is not None for _, job in jobs) and len(jobs) == 300
    assert {status for now, status in statuses if now > 0.2} == {"fusing"}


@pytest.mark.parametrize(("before", "after"), [(30, 9), (60, 15), (9, 30), (60, 5)])
def test_no_frame_is_left_out_when_the_rate_changes(before, after):
    supervisor = Supervisor(ApproximatePairing(0.05, 10), "visible_only", 0.0)
    thermal = stream("infrared", before, 5) + stream("infrared", after, 20, start=5.0)
    jobs, statuses = feed(supervisor, thermal + stream("visible", 30, 25, arrival=lambda t: t + 0.002))
    alone = [now for now, job in jobs if job.infrared is None]
    if (before, after) == (60, 5):  # 0.2 s without a frame of a 60 Hz camera is a stop, at first
        assert len(alone) <= 6 and all(now < 5.5 for now in alone)
    else:
        assert not alone
        assert {status for now, status in statuses if now > 0.1} == {"fusing"}
    fused = sum(job.infrared is not None for _, job in jobs)
    assert fused >= 5 * min(before, 30) + 20 * min(after, 30) - 3


@pytest.mark.parametrize("kind", [ApproximatePairing, NearestPairing])
@pytest.mark.parametrize("policy", ["pause", "visible_only", "thermal_only", "hold"])
def test_cameras_that_never_meet_are_unpaired(kind, policy):
    supervisor = Supervisor(kind(0.05, 10), policy, 0.0)
    frames = stream("infrared", 15, 6, stamp=lambda t: t - 2 if t > 2 else t) + stream("visible", 30, 6)
    jobs, statuses = feed(supervisor, frames)
    assert {status for now, status in statuses if 0.1 < now < 2} == {"fusing"}
    assert {status for now, status in statuses if now > 3.2} == {"unpaired"}
    assert "thermal_time_offset: 2.0" in supervisor.pairing_problem(6.0)
    kinds = {(job.infrared is not None, job.visible is not None) for now, job in jobs if now > 3.2}
    assert kinds == {"visible_only": {(False, True)}, "thermal_only": {(True, False)}}.get(policy, set())


@pytest.mark.parametrize("policy", ["pause", "visible_only"])
def test_pairs_that_come_again_end_unpaired(policy):
    supervisor = Supervisor(ApproximatePairing(0.01, 10), policy, 0.0)
    frames = stream("infrared", 30, 9, stamp=lambda t: t + (0.5 if 2 < t < 5 else 0), arrival=lambda t: t + 0.004)
    jobs, statuses = feed(supervisor, frames + stream("visible", 30, 9))
    assert {status for now, status in statuses if 3.7 < now < 5} == {"unpaired"}
    assert {status for now, status in statuses if now > 5.2} == {"fusing"}
    assert sum(job.infrared is not None for now, job in jobs if now > 5) >= 118
    assert supervisor.pairing_problem(9.0) == ""


def test_a_missing_camera_is_not_unpaired():
    supervisor = Supervisor(ApproximatePairing(0.01, 10), "pause", 0.0)
    thermal = stream("infrared", 30, 3) + stream("infrared", 30, 3, start=6.0)
    _, statuses = feed(supervisor, thermal + stream("visible", 30, 9, arrival=lambda t: t + 0.002))
    assert {status for now, status in statuses if now > 0.1} == {"fusing", "infrared_silent"}


def test_a_trouble_that_comes_and_goes_is_said_once_a_second_and_never_while_all_is_well():
    supervisor = Supervisor(ApproximatePairing(0.05, 10), "pause", 0.0)
    bursts = [frame for start in range(20) for frame in stream("infrared", 30, 0.2, start=start * 0.7)]
    _, statuses = feed(supervisor, bursts + stream("visible", 30, 14, arrival=lambda t: t + 0.002))
    said = [status for (_, status), (_, before) in zip(statuses[1:], statuses, strict=False) if status != before]
    assert said.count("infrared_silent") <= 14
    by_arrival = dict(statuses)
    assert {by_arrival[now] for now, *_ in bursts if now > 0.1} == {"fusing"}


def test_every_status_has_its_name():
    for policy, missing in [("pause", "frozen"), ("hold", "silent")]:
        _, statuses, _ = play(policy, missing)
        assert {status for _, status in statuses} <= set(STATUSES)


def test_a_late_frame_of_the_camera_that_goes_on_alone_lets_no_older_pair_follow():
    supervisor = Supervisor(ApproximatePairing(0.01, 10), "visible_only", 0.0)
    feed(supervisor, stream("infrared", 30, 2) + stream("visible", 30, 2))
    assert [job.visible for job in supervisor.add("visible", 3033 * MS, "b", 3.04)] == ["b"]
    assert [job.visible for job in supervisor.add("visible", 3000 * MS, "a", 3.05)] == ["a"]
    supervisor.add("infrared", 3030 * MS, "back", 3.06, -1)
    assert supervisor.add("visible", 3031 * MS, "older", 3.061) == []


def test_the_newest_frame_is_held_also_where_an_older_one_came_last():
    supervisor = Supervisor(ApproximatePairing(0.01, 10), "hold", 0.0)
    feed(supervisor, stream("infrared", 10, 2) + stream("visible", 10, 2))
    supervisor.add("infrared", 2100 * MS, "newest", 2.1, 77)
    supervisor.add("infrared", 2000 * MS, "late", 2.11, 76)
    assert [job.infrared for job in supervisor.add("visible", 3000 * MS, "v", 3.0)] == ["newest"]


def test_unknown_policy_is_named():
    with pytest.raises(ConfigError, match="visible_only"):
        Supervisor(ApproximatePairing(0.02, 10), "ignore", 0.0)
