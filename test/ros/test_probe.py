"""°C under a point of the fused image: a point goes in, a temperature comes out."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import Point, PointStamped
from sensor_msgs.msg import Temperature

from test.ros.conftest import wait_for
from test.ros.rig import Rig, image, scene
from test.ros.test_listeners import UnheardRig

CELSIUS = {"radiometry__kind": "linear"}
COLD, WARM = 29315, 34315  # 20 and 70 °C in hundredths of a kelvin


def pairs(stamp: int):
    """RGB of 128×96; of the thermal image, half that size, the quarter at the top left is warm."""
    counts = np.full((48, 64), COLD, np.uint16)
    counts[:24, :32] = WARM
    return image(counts, "mono16", stamp, "thermal"), image(scene()[1], "bgr8", stamp, "rgb")


class Prober:
    def __init__(self, rig: Rig) -> None:
        self.rig, self.answers = rig, rig.listen(Temperature, "ivif/probe/temperature")
        self.publisher = rig.tester.create_publisher(PointStamped, "ivif/probe", 10)
        self.clicks = rig.tester.create_publisher(Point, "ivif/fused_mouse_left", 10)
        assert wait_for(self.publisher.get_subscription_count) and wait_for(self.clicks.get_subscription_count)
        assert wait_for(lambda: rig.fusion.count_subscribers("/ivif/probe/temperature"))
        self.until(lambda: rig.fusion.session.stream.supervisor.pairs.pairs >= 3)

    def until(self, condition) -> None:
        """Send pairs until it is so."""

        def sent() -> bool:
            self.rig.send(*pairs(self.rig.tester.get_clock().now().nanoseconds))
            return wait_for(condition, 1 / 30)

        assert wait_for(sent)

    def ask(self, x: float, y: float) -> None:
        self.publisher.publish(PointStamped(point=Point(x=float(x), y=float(y))))


def test_each_point_gets_the_temperature_under_it_with_stamp_and_frame_of_the_image(graph):
    rig = Rig(graph, **CELSIUS)
    prober = Prober(rig)
    for point in ((10, 10), (120, 10), (-0.4, 0), (127.4, 95.4)):
        prober.ask(*point)
    prober.clicks.publish(Point(x=10.0, y=90.0))  # as rqt_image_view sends a click
    prober.until(lambda: len(prober.answers) >= 5)
    found = sorted(answer.temperature for answer in prober.answers)
    assert found == pytest.approx([20, 20, 20, 70, 70], abs=0.01)
    stamps = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in rig.fused}
    for answer in prober.answers:
        assert answer.header.frame_id == "rgb" and answer.variance == 0
        assert (answer.header.stamp.sec, answer.header.stamp.nanosec) in stamps


def test_it_is_answered_though_nobody_listens_to_an_image(graph):
    rig = UnheardRig(graph, **CELSIUS)
    prober = Prober(rig)
    assert rig.converted == 0
    prober.ask(10, 10)
    prober.until(lambda: prober.answers)
    assert prober.answers[0].temperature == pytest.approx(70, abs=0.01)


@pytest.mark.parametrize(
    ("point", "parameters", "said"),
    [
        ((10, 10), {}, "what thermal values mean is not known; set radiometry.kind"),
        ((128, 10), CELSIUS, "(128, 10) is outside of the image of 128×96 pixels"),
        ((float("nan"), 10), CELSIUS, "(nan, 10) is outside of the image"),
        (
            (100, 10),
            {
                **CELSIUS,
                "registration__mode": "homography",
                "registration__homography": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            },
            "the thermal camera does not see (100, 10)",
        ),
        (
            (10, 10),
            {"radiometry__kind": "planck", "radiometry__planck": [15000.0, 0.01, 1400.0, 1.0, -40000.0]},
            "has no temperature by radiometry.planck",
        ),
    ],
)
def test_where_there_is_no_temperature_the_status_says_why(graph, point, parameters, said):
    rig = Rig(graph, **parameters)
    prober = Prober(rig)
    prober.ask(*point)
    prober.until(lambda: any(said in status.message for array in rig.diagnostics for status in array.status))
    rig.until_fused(pairs)  # and the stream goes on
    assert not prober.answers


def test_while_the_cameras_are_not_fused_a_point_is_refused(graph):
    rig = Rig(graph, **CELSIUS)
    publisher = rig.tester.create_publisher(PointStamped, "ivif/probe", 10)
    assert wait_for(publisher.get_subscription_count)
    publisher.publish(PointStamped())
    rig.status("no temperature of a point: the status is waiting")


def test_points_that_wait_are_bounded(graph):
    rig = Rig(graph, **CELSIUS)
    prober = Prober(rig)
    stream = rig.fusion.session.stream
    stream.supervisor.status = lambda now: "fusing"
    for x in range(200):
        stream._on_point(Point(x=float(x)))
    assert len(stream._points) == 100 and stream._points[-1].x == 199
    prober.until(lambda: prober.answers)
