"""No work for topics that nobody listens to, and images at once for whoever appears."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from test.ros.conftest import wait_for
from test.ros.rig import Rig, image, pair_of, scene

OUTPUTS = {"ivif/fused": Image, "ivif/fused/compressed": CompressedImage, "ivif/debug": Image, "ivif/hotspots": Image}


class UnheardRig(Rig):
    """Nobody listens to any image until `listen` is called."""

    def __init__(self, graph, **parameters) -> None:
        super().__init__(graph, start=False, **parameters)
        self.tester.destroy_subscription(next(s for s in self.tester.subscriptions if s.topic_name == "/ivif/fused"))
        assert self.fusion.start()
        assert wait_for(lambda: self.thermal.get_subscription_count() and self.rgb.get_subscription_count())
        assert wait_for(lambda: not self.fusion.session.outputs.images_wanted)
        self.converted = 0
        pipeline = self.fusion.session.pipeline
        prepare = pipeline.prepare

        def counted(*pair):
            self.converted += 1
            return prepare(*pair)

        pipeline.prepare = counted

    def pairs(self) -> int:
        return self.fusion.session.stream.supervisor.pairs.pairs

    def send_until(self, condition, make_pair=None) -> None:
        make_pair = make_pair or pair_of(*scene())

        def sent() -> bool:
            self.send(*make_pair(self.tester.get_clock().now().nanoseconds))
            return wait_for(condition, 1 / 30)

        assert wait_for(sent)


def test_nothing_is_converted_or_fused_while_nobody_listens(graph):
    rig = UnheardRig(graph)
    rig.send_until(lambda: rig.pairs() >= 10 and rig.diagnostics)
    assert rig.converted == 0
    status = rig.status("nobody listens, so nothing is fused")
    values = {value.key: value.value for value in status.values}
    assert values["fused (count)"] == "0" and values["listened to"] == "False"


@pytest.mark.parametrize("topic", OUTPUTS)
def test_a_listener_that_appears_gets_the_next_pair(graph, topic):
    rig = UnheardRig(graph, hot_spots__mode="percent")
    rig.send_until(lambda: rig.pairs() >= 3)
    images = rig.listen(OUTPUTS[topic], topic)
    assert wait_for(lambda: rig.fusion.session.outputs.images_wanted)
    for _ in range(2):  # the first may be sent before the other end knows of the listener
        rig.send(*pair_of(*scene())(rig.tester.get_clock().now().nanoseconds))
        if wait_for(lambda: images, 5.0):
            break
    assert images
    rig.tester.destroy_subscription(next(s for s in rig.tester.subscriptions if s.topic_name == f"/{topic}"))
    assert wait_for(lambda: not rig.fusion.session.outputs.images_wanted)
    converted, before = rig.converted, rig.pairs()
    rig.send_until(lambda: rig.pairs() >= before + 3)
    assert rig.converted <= converted + 1  # the one that was in work


def test_camera_info_alone_needs_no_fusing(graph):
    rig = UnheardRig(graph)
    infos = rig.listen(CameraInfo, "ivif/camera_info")

    def make_pair(stamp):
        rig.info.publish(CameraInfo(width=128, height=96))
        return pair_of(*scene())(stamp)

    rig.send_until(lambda: infos, make_pair)
    assert infos[-1].header.frame_id == "rgb" and rig.converted == 0


def test_thermal_scaling_starts_anew_after_a_time_without_listeners(graph, monkeypatch):
    """Its range follows the frames slowly; the one of ten minutes ago would show the new scene white."""
    monkeypatch.setattr("ivif_ros.stream.FORGETFUL", 0.0)
    rig = UnheardRig(graph, vividness=0.0)
    counts, visible = scene()

    def until_fused(offset: int) -> np.ndarray:
        images = rig.listen(Image, "ivif/fused")
        make_pair = lambda stamp: (image(counts + offset, "mono16", stamp), image(visible, "bgr8", stamp))  # noqa: E731
        rig.send_until(lambda: images, make_pair)
        rig.tester.destroy_subscription(next(s for s in rig.tester.subscriptions if s.topic_name == "/ivif/fused"))
        assert wait_for(lambda: not rig.fusion.session.outputs.images_wanted)
        before = rig.pairs()
        rig.send_until(lambda: rig.pairs() > before, make_pair)
        return np.frombuffer(images[0].data, np.uint8)

    np.testing.assert_array_equal(until_fused(0), until_fused(np.uint16(9000)))
