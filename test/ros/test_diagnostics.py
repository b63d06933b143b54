"""What the node says of itself on /diagnostics: one status for each part, and where a camera was looked for."""

from __future__ import annotations

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ivif_ros.clock_check import ClockCheck
from ivif_ros.diagnostics import FusionFacts, fusion_part
from ivif_ros.graph_check import why_silent
from ivif_ros.statistics import Fused
from test.ros.conftest import wait_for
from test.ros.rig import SECOND, Rig, image, pair_of, scene


def part(rig: Rig, name: str) -> DiagnosticStatus:
    """The last status of a part."""
    return next(status for status in rig.diagnostics[-1].status if status.name.endswith(f": {name}"))


def until(rig: Rig, name: str, level: bytes, text: str = "", make_pair=None) -> DiagnosticStatus:
    """Send pairs, if any, until a part says it."""

    def said() -> bool:
        if make_pair is not None:
            rig.send(*make_pair(rig.tester.get_clock().now().nanoseconds))
        wait_for(lambda: False, 1 / 30)
        return rig.diagnostics and part(rig, name).level == level and text in part(rig, name).message

    assert wait_for(said), [(status.level, status.message) for status in rig.diagnostics[-1].status]
    return part(rig, name)


def test_one_status_each_with_the_full_name_of_the_node(graph):
    rig = Rig(graph, namespace="/robot1")
    until(rig, "fusion", DiagnosticStatus.OK, "fusing", pair_of(*scene()))
    statuses = rig.diagnostics[-1].status
    assert [s.name for s in statuses] == [
        f"/robot1/ivif_fusion: {name}" for name in ("fusion", "pairing", "thermal", "rgb")
    ]
    assert {s.hardware_id for s in statuses} == {"/robot1/ivif_fusion"}
    assert {s.level for s in statuses} == {DiagnosticStatus.OK}
    assert rig.diagnostics[-1].header.stamp.sec > 0


def test_nothing_is_an_error_and_little_a_warning(graph):
    rig = Rig(graph)
    until(rig, "fusion", DiagnosticStatus.OK, "fusing", pair_of(*scene()))
    silent = until(rig, "rgb", DiagnosticStatus.ERROR, "rgb camera silent")
    assert "but no image arrives" in silent.message and "Fast DDS profile" in silent.message
    assert "/tester: best effort" in silent.message
    until(rig, "fusion", DiagnosticStatus.ERROR, "nothing is fused")


def test_nothing_pairs_is_a_warning_with_the_remedy(graph):
    rig = Rig(graph)
    late = lambda stamp: (image(counts, "mono16", stamp + 2 * SECOND), image(visible, "bgr8", stamp))  # noqa: E731
    counts, visible = scene()
    until(rig, "pairing", DiagnosticStatus.WARN, "thermal_time_offset: -2.0", late)
    assert part(rig, "fusion").level == DiagnosticStatus.WARN
    assert {entry.key: entry.value for entry in part(rig, "pairing").values}["status"] == "unpaired"


RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
WHERE = {
    "nowhere": ([], "raw", "no publisher on /thermal/image_raw: is the driver running"),
    "another namespace": (
        [(Image, "/robot1/thermal/image_raw", RELIABLE), (Image, "/other/image_raw", RELIABLE)],
        "raw",
        "but on /robot1/thermal/image_raw: remap the topic, or start the node in that namespace",
    ),
    "another name": ([(Image, "/boson/image_raw", RELIABLE)], "raw", "but on /boson/image_raw: remap"),
    "compressed alone": (
        [(CompressedImage, "/thermal/image_raw/compressed", RELIABLE)],
        "raw",
        "but /thermal/image_raw/compressed is published; set thermal_transport: compressed",
    ),
    "raw alone": (
        [(Image, "/thermal/image_raw", RELIABLE)],
        "compressed",
        "but /thermal/image_raw is published; set thermal_transport: raw",
    ),
    "another type": (
        [(CompressedImage, "/thermal/image_raw", RELIABLE)],
        "raw",
        "is published as sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image; set thermal_transport: compressed",
    ),
    "there, but silent": (
        [(Image, "/thermal/image_raw", RELIABLE)],
        "raw",
        "/thermal/image_raw has 1 publisher (/drivers: reliable, volatile), but no image arrives",
    ),
}


@pytest.fixture
def drivers(graph):
    """A node of another process would be: one participant cannot have two types on a topic."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(graph.environment["ROS_DOMAIN_ID"]))
    node = rclpy.create_node("drivers", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize("case", WHERE)
def test_silent_says_where(graph, drivers, case):
    publishers, transport, said = WHERE[case]
    for kind, topic, qos in publishers:
        drivers.create_publisher(kind, topic, qos)
    tester = graph.node("tester")
    kind, suffix = (CompressedImage, "/compressed") if transport == "compressed" else (Image, "")
    heard = [f"/{name}/image_raw{suffix}" for name in ("thermal", "rgb")]
    drivers.create_publisher(kind, heard[1], RELIABLE)  # the other camera, which is nobody's mistake
    subscriptions = [tester.create_subscription(kind, topic, lambda _: None, 1) for topic in heard]
    assert wait_for(lambda: subscriptions[1].get_publisher_count())
    told = [""]

    def is_said() -> bool:
        told[0] = why_silent(tester, heard[0], "thermal_transport", heard)
        return said in told[0]

    assert wait_for(is_said, 5.0), told


def test_a_doubled_suffix_is_named(graph):
    topic = "/thermal/image_raw/compressed/compressed"
    assert "ends twice on /compressed" in why_silent(graph.node("tester"), topic, "thermal_transport", [topic])


def test_images_that_are_lost_are_told_by_the_camera_infos_that_arrive(graph):
    rig = Rig(graph)
    counts, visible = scene()
    ticks = iter(range(10_000))

    def make_pair(stamp):
        rig.info.publish(CameraInfo())
        thermal, rgb = image(counts, "mono16", stamp), image(visible, "bgr8", stamp)
        return thermal, rgb if next(ticks) % 3 == 0 else image(visible[:2, :2], "bgr8", stamp)

    publish = rig.rgb.publish
    rig.rgb.publish = lambda message: publish(message) if message.height > 2 else None
    warned = until(rig, "rgb", DiagnosticStatus.WARN, "images are lost", make_pair)
    assert "Fast DDS profile" in warned.message
    assert "images are lost" not in part(rig, "thermal").message


def test_diagnostics_go_on_whatever_the_simulated_clock_does(graph):
    rig = Rig(graph, start=False, use_sim_time=True)
    assert rig.fusion.start()
    until(rig, "fusion", DiagnosticStatus.ERROR, "nothing comes on /clock")
    publisher = rig.tester.create_publisher(ClockMessage, "/clock", qos_profile_sensor_data)
    now, step = [1000 * SECOND], [SECOND // 200]

    def tick() -> None:
        now[0] += step[0]
        publisher.publish(_clock(now[0]))

    timer = rig.tester.create_timer(0.02, tick)  # a quarter of real time
    until(rig, "fusion", DiagnosticStatus.ERROR, "of real time")
    step[0] = 0
    until(rig, "fusion", DiagnosticStatus.ERROR, "/clock stands still")
    timer.cancel()


def _clock(nanoseconds: int) -> ClockMessage:
    message = ClockMessage()
    message.clock.sec, message.clock.nanosec = divmod(nanoseconds, SECOND)
    return message


def test_clock_check():
    check = ClockCheck()
    assert "nothing comes" in check.problem(0, 10.0)
    assert check.problem(5 * SECOND, 11.0) == ""
    assert check.problem(6 * SECOND, 12.0) == ""
    assert "0.25 of real time" in check.problem(6 * SECOND + SECOND // 4, 13.0)
    assert "stands still" in check.problem(6 * SECOND + SECOND // 4, 14.0)
    assert "jumped back" in check.problem(SECOND, 15.0)
    assert check.problem(31 * SECOND, 16.0) == ""  # faster than real time is nobody's trouble


def test_what_is_too_slow_or_fails_is_not_called_fusing():
    def said(published: int, wanted: int) -> DiagnosticStatus:
        events = [Fused(0.1, 0.0, 0.1, 0.1)] * published
        facts = FusionFacts(events, 0.1, rate=1.0, count=published, dropped={}, listened=True, wanted=wanted)
        return fusion_part(facts, [], silent=False).status("/n")

    assert (said(50, 50).level, said(50, 50).message) == (DiagnosticStatus.OK, "fusing")
    assert said(12, 50).level == DiagnosticStatus.WARN and "12 of the last 50 pairs" in said(12, 50).message
    assert said(0, 50).level == DiagnosticStatus.ERROR
    assert said(0, 1).level == DiagnosticStatus.OK  # the first pair is being fused
