"""The node on a real DDS graph: what goes in by topics, what comes out, and what it says when something is wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import State, Transition
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ivif_core.fusion import Fuser
from ivif_core.imaging.messages import decode_image
from ivif_core.thermal.scaling import FixedScaling
from ivif_ros.tools.processes import Processes, isolated_environment
from test.ros.conftest import wait_for
from test.ros.rig import SECOND, Rig, compressed, fixed_scaling, image, pair_of, scene


def test_fused_has_the_visible_header_and_the_pixels_of_fuser(graph):
    counts, visible = scene()
    rig = Rig(graph, **fixed_scaling())
    fused = rig.until_fused(pair_of(counts, visible))[0]
    with Fuser(scaling=FixedScaling(20000, 24000)) as fuser:
        expected = fuser.fuse(counts, visible)
    assert fused.encoding == "bgr8" and fused.header.frame_id == "rgb"
    np.testing.assert_array_equal(decode_image(fused), expected)


def test_stamps_are_those_of_the_visible_images_in_order(graph):
    rig = Rig(graph)
    sent = []

    def make_pair(stamp):
        sent.append(stamp + 5_000_000)
        return pair_of(*scene())(stamp)

    stamps = [Time.from_msg(m.header.stamp).nanoseconds for m in rig.until_fused(make_pair, count=5)]
    assert stamps == sorted(set(stamps)) and set(stamps) <= set(sent)


def test_grey_visible_gives_mono8(graph):
    counts, visible = scene()
    grey = visible[:, :, 0].copy()
    rig = Rig(graph, **fixed_scaling())
    fused = rig.until_fused(lambda stamp: (image(counts, "mono16", stamp), image(grey, "mono8", stamp)))[0]
    with Fuser(scaling=FixedScaling(20000, 24000)) as fuser:
        np.testing.assert_array_equal(decode_image(fused), fuser.fuse(counts, grey))
    assert fused.encoding == "mono8"


def test_namespace_moves_all_topics(graph):
    rig = Rig(graph, namespace="/robot1")
    assert rig.until_fused(pair_of(*scene()))
    assert rig.tester.count_publishers("/robot1/ivif/fused") == 1
    assert rig.tester.count_publishers("/ivif/fused") == 0


def test_compressed_cameras_in_compressed_and_debug_out(graph):
    counts, visible = scene()
    rig = Rig(graph, transport="compressed", thermal_transport="compressed", rgb_transport="compressed")
    jpegs = rig.listen(CompressedImage, "ivif/fused/compressed")
    debug = rig.listen(Image, "ivif/debug")
    make_pair = lambda stamp: (compressed(counts, "png", stamp), compressed(visible, "png", stamp))  # noqa: E731
    assert wait_for(lambda: rig.until_fused(make_pair) and jpegs and debug)
    picture = cv2.imdecode(np.frombuffer(jpegs[-1].data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == visible.shape
    assert np.abs(picture.astype(int) - decode_image(rig.fused[-1])).mean() < 6
    side_by_side = decode_image(debug[-1])
    np.testing.assert_array_equal(side_by_side[:, 128:256], visible)
    np.testing.assert_array_equal(side_by_side[:, 256:], decode_image(rig.fused[-1]))


def test_camera_info_of_the_visible_is_passed_on_with_the_fused_stamp(graph):
    rig = Rig(graph)
    infos = rig.listen(CameraInfo, "ivif/camera_info")
    make_pair = pair_of(*scene())

    def send(stamp):
        rig.info.publish(CameraInfo(width=128, height=96, distortion_model="plumb_bob"))
        return make_pair(stamp)

    assert wait_for(lambda: rig.until_fused(send) and infos)
    assert (infos[-1].width, infos[-1].distortion_model) == (128, "plumb_bob")
    assert infos[-1].header.stamp in [m.header.stamp for m in rig.fused]


def test_a_malformed_image_is_reported_and_the_stream_goes_on(graph):
    counts, visible = scene()
    rig = Rig(graph)
    rig.until_fused(pair_of(counts, visible))
    stamp = rig.tester.get_clock().now().nanoseconds + 60 * SECOND
    broken = image(visible, "bgr8", stamp)
    broken.data = broken.data[: len(broken.data) // 2]
    rig.send(image(counts, "mono16", stamp), broken)
    status = rig.status("malformed frame")
    assert "expected" in status.message
    last = len(rig.fused)
    rig.send(*pair_of(counts, visible)(stamp + SECOND))
    assert wait_for(lambda: len(rig.fused) > last)


def test_an_unknown_encoding_is_named(graph):
    counts, visible = scene()
    rig = Rig(graph)

    def make_pair(stamp):
        strange = image(visible, "bgr8", stamp)
        strange.encoding = "octarine"
        return image(counts, "mono16", stamp), strange

    end = time.monotonic() + 15
    while time.monotonic() < end and not any("octarine" in s.message for a in rig.diagnostics for s in a.status):
        rig.send(*make_pair(rig.tester.get_clock().now().nanoseconds))
        time.sleep(0.1)
    assert "octarine" in rig.status("octarine", 1.0).message


def test_a_silent_camera_is_reported_by_name(graph):
    counts, _ = scene()
    rig = Rig(graph)
    end = time.monotonic() + 15
    while time.monotonic() < end and not any(
        "rgb camera silent" in s.message for a in rig.diagnostics for s in a.status
    ):
        rig.thermal.publish(image(counts, "mono16", rig.tester.get_clock().now().nanoseconds))
        time.sleep(0.05)
    assert "thermal camera silent" not in rig.status("rgb camera silent", 1.0).message


def test_stamps_that_jump_back_start_pairing_anew(graph):
    counts, visible = scene()
    rig = Rig(graph)
    rig.until_fused(pair_of(counts, visible))
    past = rig.tester.get_clock().now().nanoseconds - 1000 * SECOND

    def fused_anew() -> bool:
        return any(Time.from_msg(message.header.stamp).nanoseconds < past + SECOND for message in rig.fused)

    for step in range(10):
        rig.send(*pair_of(counts, visible)(past + step * SECOND // 30))
        wait_for(fused_anew, 0.2)
    assert wait_for(fused_anew)
    rig.status("jumped back")


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_qos_mismatch_is_reported(graph, side):
    if side == "input":
        override = {"qos_overrides./thermal/image_raw.subscription.reliability": "reliable"}
        rig = Rig(graph, start=False, **override)
        assert rig.fusion.start()
        assert "RELIABLE" in rig.status("QoS of /thermal/image_raw").message.upper()
        assert (
            qos_profile_sensor_data.reliability == ReliabilityPolicy.BEST_EFFORT
        )  # the override stays where it belongs
    else:
        rig = Rig(graph, output_reliability="best_effort")
        rig.listen(Image, "ivif/fused", QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
        assert "RELIABLE" in rig.status("QoS of /ivif/fused").message.upper()


def test_parameters_change_live_and_bad_values_are_refused_with_the_reason(graph):
    counts, visible = scene()
    rig = Rig(graph, **fixed_scaling())
    rig.until_fused(pair_of(counts, visible))
    assert rig.set(output_encoding="rgb8", vividness=1.0, **{"output.colour": "ironbow"})[0].successful
    rig.until_fused(pair_of(counts, visible), count=2)
    with Fuser(scaling=FixedScaling(20000, 24000), vividness=1.0, colour="ironbow") as fuser:
        expected = fuser.fuse(counts, visible)
    assert rig.fused[-1].encoding == "rgb8"
    np.testing.assert_array_equal(decode_image(rig.fused[-1])[:, :, ::-1], expected)
    refused = {
        ("slop", -1.0): "slop: -1.0 is outside [0, 10]",
        ("vividness", "high"): "vividness: expected a finite number, got 'high'",
        ("on_missing", "bogus"): "on_missing: 'bogus' is not one of pause",
        ("vividnes", 1.0): "vividnes: no such parameter; the nearest is vividness",
        ("model", "x"): "cleanup",
    }
    for (name, value), reason in refused.items():
        result = rig.set(**{name: value})[0]
        assert not result.successful and reason in result.reason
    assert rig.set(slop=0)[0].successful


def test_the_aim_changes_live_and_one_that_the_model_has_not_is_refused_by_name(graph, aimed_model):
    grey = scene()[1][:, :, 0].copy()
    intensity = 255 - grey
    make = lambda stamp: (image(intensity, "mono8", stamp), image(grey, "mono8", stamp))  # noqa: E731
    rig = Rig(graph, model=str(aimed_model), backend="onnxruntime", aim="rgb")
    np.testing.assert_array_equal(decode_image(rig.until_fused(make)[-1]), grey)
    refused = rig.set(aim="people")[0]
    assert not refused.successful and refused.reason == "aim: the model has no 'people'; choose from thermal, rgb"
    assert rig.set(aim="")[0].successful
    rig.until_fused(make, count=2)
    np.testing.assert_array_equal(decode_image(rig.fused[-1]), intensity)
    assert rig.transition(Transition.TRANSITION_DEACTIVATE) and rig.transition(Transition.TRANSITION_CLEANUP)
    assert rig.set(aim="people")[0].successful  # of which model is not known yet
    assert not rig.transition(Transition.TRANSITION_CONFIGURE)
    assert rig.set(aim="rgb")[0].successful
    assert rig.transition(Transition.TRANSITION_CONFIGURE)


def test_thermal_time_offset_and_slop_decide_what_is_a_pair(graph):
    counts, visible = scene()
    rig = Rig(graph, slop=0.01)
    late = lambda stamp: (image(counts, "mono16", stamp + 80_000_000), image(visible, "bgr8", stamp))  # noqa: E731
    now = rig.tester.get_clock().now().nanoseconds
    for step in range(5):
        rig.send(*late(now + step * SECOND))
    assert not wait_for(lambda: rig.fused, 0.5)
    assert rig.set(thermal_time_offset=-0.08)[0].successful
    assert rig.until_fused(late)


def test_a_slow_network_drops_old_pairs_and_latency_stays_flat(graph, monkeypatch):
    counts, visible = scene()
    rig = Rig(graph)
    pipeline = rig.fusion.session.pipeline
    fast = pipeline.fuse

    def slow(*frame):
        time.sleep(0.2)
        return fast(*frame)

    monkeypatch.setattr(pipeline, "fuse", slow)
    latencies = []
    rig.tester.create_subscription(
        Image,
        "ivif/fused",
        lambda m: latencies.append(time.time() - Time.from_msg(m.header.stamp).nanoseconds / 1e9),
        qos_profile_sensor_data,
    )
    end = time.monotonic() + 3
    while time.monotonic() < end:
        rig.send(*pair_of(counts, visible)(rig.tester.get_clock().now().nanoseconds))
        time.sleep(1 / 30)
    assert len(latencies) >= 10
    assert np.median(latencies[-5:]) < 0.5
    assert rig.fusion.session.stream.dropped["pair replaced by a newer one"] >= 20


def test_a_registration_that_does_not_fit_the_cameras_is_said_with_the_remedy(graph):
    rig = Rig(graph, registration__mode="none")

    def failed() -> int:
        rig.send(*pair_of(*scene())(rig.tester.get_clock().now().nanoseconds))
        return wait_for(lambda: rig.fusion.session.stream.dropped["failed pair"], 1 / 30)

    assert wait_for(failed)
    rig.status("a pair cannot be fused: registration none: infrared is")
    assert not rig.fusion.guard.failures
    assert rig.set(registration__mode="resize")[0].successful
    rig.until_fused(pair_of(*scene()))


def test_frames_are_fused_beside_each_other_and_published_in_order(graph, monkeypatch):
    rig = Rig(graph, threads=2)
    pipeline = rig.fusion.session.pipeline
    fuse, together, waited = pipeline.fuse, threading.Barrier(2), Counter()

    def first_of_two_waits(frame, fuser):
        with suppress(threading.BrokenBarrierError):  # two threads are here at the same time
            waited[together.wait(5)] += 1
        fused = fuse(frame, fuser)
        if fuser is pipeline.fusers[0]:
            time.sleep(0.05)  # the other one, earlier or later in the order, has long been done
        return fused

    rig.until_fused(pair_of(*scene()))
    monkeypatch.setattr(pipeline, "fuse", first_of_two_waits)
    rig.until_fused(pair_of(*scene()), count=12)
    stamps = [Time.from_msg(message.header.stamp).nanoseconds for message in rig.fused]
    assert len(waited) == 2 and stamps == sorted(set(stamps))


def test_lifecycle_transitions_by_service(graph):
    make_pair = pair_of(*scene())
    rig = Rig(graph, start=False, autostart=False)
    assert rig.transition(Transition.TRANSITION_CONFIGURE)
    assert rig.transition(Transition.TRANSITION_ACTIVATE)
    rig.connect()
    rig.until_fused(make_pair)
    assert rig.transition(Transition.TRANSITION_DEACTIVATE)
    assert wait_for(lambda: rig.thermal.get_subscription_count() == 0)
    assert rig.transition(Transition.TRANSITION_ACTIVATE)
    rig.connect()
    rig.until_fused(make_pair)
    assert rig.transition(Transition.TRANSITION_DEACTIVATE)
    assert rig.transition(Transition.TRANSITION_CLEANUP)
    assert rig.set(backend="onnxruntime")[0].successful
    assert rig.transition(Transition.TRANSITION_CONFIGURE)
    assert rig.transition(Transition.TRANSITION_ACTIVATE)
    rig.connect()
    rig.until_fused(make_pair)
    assert wait_for(lambda: any("onnxruntime" in str(array.status[0].values) for array in rig.diagnostics))
    assert rig.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert rig.state() == State.PRIMARY_STATE_FINALIZED


def test_a_configuration_that_fails_leaves_the_node_unconfigured_and_able_to_recover(graph):
    rig = Rig(graph, start=False, model="/nowhere/student.onnx")
    assert not rig.fusion.start()
    assert rig.set(model="")[0].successful
    assert rig.fusion.start()
    rig.connect()
    rig.until_fused(pair_of(*scene()))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_process_ends_cleanly_however_often_it_is_asked(stop):
    environment = isolated_environment()
    with Processes(environment):
        child = subprocess.Popen(
            [sys.executable, "-m", "ivif_ros"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        line = child.stdout.readline()
        assert "configured" in line, line
        until = time.monotonic() + 10
        while child.poll() is None and time.monotonic() < until:  # to the very end
            child.send_signal(stop)
            time.sleep(0.01)
        output = child.communicate(timeout=10)[0]
    assert child.returncode == 0, output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-p", "vividness:=7.0"], "vividness: 7.0 is outside [0, 1]"),
        (["--log-level", "loud"], "Couldn't parse log level: '--log-level loud'"),
        (["-r", "bad"], "Couldn't parse remap rule: '-r bad'"),
        (["--params-file", "/nowhere.yaml"], "Couldn't parse params file: '--params-file /nowhere.yaml'"),
    ],
)
def test_what_is_wrong_at_start_ends_with_a_message(arguments, said):
    command = [sys.executable, "-m", "ivif_ros", "--ros-args", *arguments]
    done = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
