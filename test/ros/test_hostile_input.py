"""What cameras and users may send at any time: nothing of it ends or blocks the stream on a real DDS graph."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial

import numpy as np
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import ListParameters, SetParameters, SetParametersAtomically
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo

from test.core.files.test_yaml_files import BOMB, NUMBER, PINHOLE
from test.ros.conftest import wait_for
from test.ros.rig import SECOND, Rig, pair_of, scene


def assert_headers_hold_times(messages) -> None:
    for message in messages:
        stamp = message.header.stamp
        assert stamp.sec >= 0 and stamp.nanosec < SECOND


NO_TIMES = [
    (0, (-1, 5)),
    (1, (-(2**31), 0)),
    (0, (5, SECOND)),
    (1, (None, 2**32 - 1)),  # None: the right second
    (0, (2**31 - 1, 999_999_999)),
]
"""Which camera (0: thermal), and its stamps."""


def test_stamps_that_are_no_times_are_replaced_and_said(graph):
    rig = Rig(graph)
    make_pair = pair_of(*scene())

    def now() -> int:
        return rig.tester.get_clock().now().nanoseconds

    for which, (sec, nanosec) in NO_TIMES:

        def bad_pair(_, which=which, sec=sec, nanosec=nanosec):
            pair = make_pair(now())
            pair[which].header.stamp = Time(sec=now() // SECOND if sec is None else sec, nanosec=nanosec)
            return pair

        for message in rig.until_fused(bad_pair, count=3):
            assert abs(message.header.stamp.sec - now() // SECOND) < 60
        rig.until_fused(lambda _: make_pair(now()), count=2)
    assert_headers_hold_times(rig.fused)
    rig.status("stamps are not valid")


def test_one_frame_without_a_time_costs_no_pair(graph):
    rig = Rig(graph)
    make_pair = pair_of(*scene())
    rig.until_fused(make_pair, count=3)
    before = rig.fusion.session.stream.statistics.fused_count

    def bad_pair(stamp):
        thermal, rgb = make_pair(rig.tester.get_clock().now().nanoseconds)
        thermal.header.stamp = Time(sec=-1)
        return thermal, rgb

    rig.send(*bad_pair(0))
    assert wait_for(lambda: rig.fusion.session.stream.statistics.fused_count > before)


def test_an_offset_that_leaves_what_headers_hold(graph):
    rig = Rig(graph, thermal_time_offset=-10.0, on_missing="thermal_only")
    thermal, _ = pair_of(*scene())(3 * SECOND)  # 7 s before 1970, once the offset is added
    assert wait_for(lambda: rig.thermal.publish(thermal) or rig.fused, 15.0)
    assert_headers_hold_times(rig.fused)


def random_info(random: np.random.Generator) -> CameraInfo:
    strange = np.array([0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e308, 1e-308, 320.0])
    info = CameraInfo(width=int(random.choice([0, 1, 64, 2**32 - 1])), height=int(random.choice([0, 48, 2**32 - 1])))
    info.distortion_model = str(random.choice(["plumb_bob", "equidistant", "", "x" * 2000, "\x1b[2J\n[FATAL] lie"]))
    info.d = random.choice(strange, random.choice([0, 4, 5, 8, 1000])).tolist()
    info.k = random.choice(strange, 9)
    info.roi.width, info.roi.height, info.roi.x_offset = (int(v) for v in random.choice([0, 7, 2**32 - 1], 3))
    info.header.stamp = Time(sec=-5, nanosec=2**32 - 1)
    return info


def test_garbage_in_camera_info_is_said_shortly_and_the_stream_goes_on(graph, capfd):
    rig = Rig(graph, registration__mode="camera_info")
    make_pair, random = pair_of(*scene()), np.random.default_rng(0)
    infos = rig.listen(CameraInfo, "ivif/camera_info")
    publish = partial(rig.tester.create_publisher, CameraInfo, qos_profile=qos_profile_sensor_data)
    thermal_info = publish("thermal/camera_info")
    assert wait_for(thermal_info.get_subscription_count)
    rig.until_fused(make_pair)

    def with_infos(stamp):
        for _ in range(20):
            thermal_info.publish(random_info(random))
            rig.info.publish(random_info(random))
        return make_pair(stamp)

    rig.until_fused(with_infos, count=10)
    rig.until_fused(make_pair, count=2)
    assert wait_for(lambda: infos)
    assert_headers_hold_times(rig.fused + infos)
    assert rig.status("camera_info: camera")
    said = [line for line in capfd.readouterr().err.splitlines() if "camera_info" in line]
    assert said and len(said) <= 2 * 15  # two cameras, once a second; the rig waits 15 s at most
    assert all(len(line) < 500 and "[FATAL]" not in line.partition("camera_info")[0] for line in said)


FILES = {
    "tag": ("model: !!float abc", "could not convert"),
    "huge number": (NUMBER.format("1" + "0" * 400), "9 finite numbers"),
    "huge width": (PINHOLE.replace("WIDTH", "1" + "0" * 30), "at most 100000"),
    "bomb": (BOMB, "at most"),
    "nested": ("[" * 100_000, "deep"),
    "no text": ("\x00", "special characters"),
}


def test_a_live_registration_file_that_is_none_is_refused_and_the_stream_goes_on(graph, tmp_path):
    rig = Rig(graph)
    make_pair = pair_of(*scene())
    for name, (text, _) in FILES.items():
        (tmp_path / name).write_text(text)
    os.mkfifo(tmp_path / "pipe")
    reasons = {name: reason for name, (_, reason) in FILES.items()}
    reasons |= {"pipe": "regular file", "/dev/zero": "regular file", "": "regular file", "missing": "No such file"}
    client = rig.tester.create_client(SetParametersAtomically, "/ivif_fusion/set_parameters_atomically")
    for name, reason in reasons.items():
        values = {"registration.mode": "file", "registration.file": str(tmp_path / name)}
        changes = [Parameter(key, value=value).to_parameter_msg() for key, value in values.items()]
        result = graph.call(client, SetParametersAtomically.Request(parameters=changes)).result
        assert not result.successful and reason in result.reason and len(result.reason) <= 300, name
        rig.until_fused(make_pair)
    good = tmp_path / "good.yaml"
    good.write_text(NUMBER.format(1))
    assert all(result.successful for result in rig.set(registration__file=str(good), registration__mode="file"))
    good.unlink()
    assert rig.set(slop=0.04)[0].successful  # what was read stays
    rig.until_fused(make_pair, count=2)


def test_a_file_that_takes_too_long_is_refused_while_pairs_are_fused(graph, monkeypatch, tmp_path):
    monkeypatch.setattr("ivif_ros.fusion_node.FILE_WAIT", 0.05)
    rig = Rig(graph)
    hanging = threading.Event()
    monkeypatch.setattr("ivif_core.settings.settings.make_registration", lambda *_, **__: hanging.wait(20))
    result = rig.set(registration__mode="none")[0]
    assert not result.successful and "not read within" in result.reason
    assert "earlier file" in rig.set(registration__mode="none")[0].reason
    assert rig.set(slop=0.04)[0].successful
    rig.until_fused(pair_of(*scene()), count=2)
    hanging.set()


def test_settings_that_change_within_a_frame_hold_from_the_next_one_on(graph):
    rig = Rig(graph, hot_spots__mode="percent")
    make_pair = pair_of(*scene())
    rig.until_fused(make_pair)
    fuser = rig.fusion.session.pipeline._fuser
    scaling, calls = fuser.scaling, []

    class Changing:
        counts = property(lambda self: scaling.counts)
        reset = scaling.reset

        def __call__(self, counts):
            calls.append(rig.fusion.set_parameters([Parameter("thermal_scaling.mode", value="plateau")]))
            rig.fusion.set_parameters([Parameter("registration.mode", value="none"), Parameter("slop", value=0.04)])
            rig.fusion.set_parameters([Parameter("registration.mode", value="resize")])
            return scaling(counts)

    fuser.scaling = Changing()
    rig.until_fused(make_pair, count=3)
    assert len(calls) == 1 and fuser.scaling is not scaling
    assert rig.fusion.session.stream.statistics.dropped["failed pair"] == 0 and not rig.fusion.guard.failures


def test_whatever_a_callback_raises_is_counted_and_the_stream_goes_on(graph):
    rig = Rig(graph)
    make_pair = pair_of(*scene())
    rig.until_fused(make_pair)
    stream = rig.fusion.session.stream
    supervisor, stream.supervisor = stream.supervisor, None
    rig.info.publish(CameraInfo())
    rig.send(*make_pair(rig.tester.get_clock().now().nanoseconds))
    assert wait_for(lambda: rig.fusion.guard.failures["receiving a frame"] >= 1)
    assert wait_for(lambda: rig.fusion.guard.failures["diagnostics"] >= 1)  # the timer too
    stream.supervisor = supervisor
    status = rig.status("receiving a frame failed: AttributeError")
    assert any(value.key == "failed receiving a frame (count)" for value in status.values)
    rig.until_fused(make_pair, count=2)


def test_no_worker_ends_where_the_log_fails(graph, monkeypatch):
    rig, make_pair = Rig(graph, threads=2), pair_of(*scene())
    rig.until_fused(make_pair)
    with monkeypatch.context() as broken:
        broken.setattr(rig.fusion._problems, "add", lambda *_: 1 / 0)

        def failed() -> int:
            thermal, rgb = make_pair(rig.tester.get_clock().now().nanoseconds)
            rgb.data = rgb.data[:-1]
            rig.send(thermal, rgb)
            return wait_for(lambda: rig.fusion.guard.failures["frame"] > 4, 1 / 30)

        assert wait_for(failed)
    rig.until_fused(make_pair, count=4)


def test_every_callback_is_guarded(graph):
    rig = Rig(graph, registration__mode="camera_info", registration__depth=True)
    callbacks = [subscription.callback for subscription in rig.fusion.session.stream.inputs]
    callbacks += [timer.callback for timer in rig.fusion.timers]
    assert len(callbacks) == 8
    for callback in callbacks:
        assert hasattr(getattr(callback, "func", callback), "__wrapped__"), callback


def test_a_transition_that_raises_can_be_tried_again(graph, monkeypatch):
    rig = Rig(graph, start=False)
    with monkeypatch.context() as broken:
        broken.setattr("ivif_ros.session.Outputs", lambda *_: 1 / 0)
        assert rig.fusion.trigger_configure() == TransitionCallbackReturn.ERROR
    assert rig.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert rig.fusion.guard.failures == {"configure": 1}
    assert rig.fusion.trigger_configure() == TransitionCallbackReturn.SUCCESS
    with monkeypatch.context() as broken:
        broken.setattr("ivif_ros.stream.subscribe", lambda *_: 1 / 0)
        assert rig.fusion.trigger_activate() == TransitionCallbackReturn.ERROR
    assert rig.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert rig.fusion.start()
    rig.connect()
    rig.until_fused(pair_of(*scene()))


def test_the_process_outlives_what_rclpy_itself_raises(graph):
    """A parameter of no known type raises in rclpy's own service, before any callback of the node."""
    child = subprocess.Popen(
        [sys.executable, "-m", "ivif_ros"], env=graph.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        tester = graph.node("tester")
        client = tester.create_client(SetParameters, "/ivif_fusion/set_parameters")
        assert client.wait_for_service(15.0)
        strange = ParameterMessage(name="slop", value=ParameterValue(type=99))
        unanswered = client.call_async(SetParameters.Request(parameters=[strange]))
        names = graph.call(
            tester.create_client(ListParameters, "/ivif_fusion/list_parameters"), ListParameters.Request()
        )
        assert "slop" in names.result.names
        assert child.poll() is None and not unanswered.done()
    finally:
        child.terminate()
        output = child.communicate(timeout=15)[0].decode()
    assert child.returncode == 0 and "executor failed: ValueError" in output and "Traceback" not in output
