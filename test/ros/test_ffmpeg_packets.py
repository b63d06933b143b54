"""The fused image as packets of ffmpeg_image_transport, decoded again.

PyPI has no ffmpeg_image_transport_msgs: without a ROS distribution, a class with its public fields is filled instead.
"""

from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header, String

from ivif_core.errors import MissingPackage
from ivif_ros import ffmpeg_packets
from ivif_ros.ffmpeg_packets import QUEUE, FfmpegPackets
from test.ros.conftest import wait_for
from test.ros.rig import Rig, pair_of, scene
from test.ros.vision_messages import message

av = pytest.importorskip("av", reason="video needs PyAV")

IS_REAL = ffmpeg_packets.FFMPEGPacket is not None
PublicFields = message(
    "PublicFields",
    header=Header,
    width=int,
    height=int,
    encoding=str,
    pts=int,
    flags=int,
    is_bigendian=bool,
    data=bytes,
)
"""FFMPEGPacket.msg of ffmpeg_image_transport_msgs 1 and later."""


class Receiver:
    """As the transport's subscriber: nothing before a packet with a flag, and no other encoding from then on."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []
        self._decoder, self._encoding = None, ""

    def __call__(self, packet) -> None:
        if self._decoder is None:
            if packet.flags == 0:
                return
            self._encoding = packet.encoding
            self._decoder = av.CodecContext.create(packet.encoding.split(";")[0], "r")
        assert packet.encoding == self._encoding
        found = av.Packet(bytes(packet.data))
        found.pts = found.dts = packet.pts
        for frame in self._decoder.decode(found):
            assert frame.pts == packet.pts and frame.format.name == packet.encoding.split(";")[1]
            assert (frame.width, frame.height) == (packet.width, packet.height)
            self.images.append(frame.to_ndarray(format="bgr24"))


@pytest.fixture
def packets(monkeypatch):
    if not IS_REAL:
        monkeypatch.setattr(FfmpegPackets, "KIND", PublicFields)
    return FfmpegPackets()


def test_packets_have_what_the_transports_subscriber_reads(packets):
    header, image = Header(frame_id="rgb"), scene()[1]
    made = [packet for _ in range(3) for packet in packets.of(image, header, 1)]
    assert [(p.pts, p.flags) for p in made] == [(0, 1), (1, 0), (2, 0)]
    for packet in made:
        assert packet.header == header and (packet.width, packet.height) == (128, 96)
        assert packet.encoding == "h264;yuv420p;bgr8;bgr8" and packet.is_bigendian is False


def test_a_listener_that_appears_gets_a_keyframe_first(packets):
    image = scene()[1]
    flags = [p.flags for listeners in (1, 1, 2, 2, 0, 1, 1) for p in packets.of(image, Header(), listeners)]
    assert flags == [1, 0, 1, 0, 1, 0]  # and none while nobody listened
    packets.restart()
    assert [p.flags for p in packets.of(image, Header(), 1)] == [1]


def test_the_encoding_stays_when_the_colours_change(packets):
    receive, (_, colour) = Receiver(), scene()
    grey = np.ascontiguousarray(colour[..., 1])
    for image in (colour, grey, colour):
        for packet in packets.of(image, Header(), 1):
            receive(packet)
    assert len(receive.images) == 3
    assert np.abs(receive.images[1].astype(int) - grey[..., None]).mean() < 4


@pytest.mark.skipif(not IS_REAL, reason="ffmpeg_image_transport_msgs comes with a ROS distribution")
def test_on_a_graph_each_packet_is_the_fused_image(graph):
    rig = Rig(graph)
    made: list = []
    rig.tester.create_subscription(ffmpeg_packets.FFMPEGPacket, "ivif/fused/ffmpeg", made.append, QUEUE)
    assert wait_for(lambda: rig.fusion.count_subscribers("/ivif/fused/ffmpeg"))
    rig.until_fused(pair_of(*scene()), count=15)
    assert wait_for(lambda: len(made) >= 10)
    receive = Receiver()
    for packet in made:
        receive(packet)
    assert len(receive.images) == len(made) and made[0].flags == 1
    fused = {(m.header.stamp.sec, m.header.stamp.nanosec): m for m in rig.fused}
    compared = 0
    for packet, image in zip(made, receive.images, strict=True):
        raw = fused.get((packet.header.stamp.sec, packet.header.stamp.nanosec))
        if raw is not None:
            compared += 1
            assert packet.header == raw.header
            assert np.abs(image.astype(int) - np.frombuffer(raw.data, np.uint8).reshape(image.shape)).mean() < 4
    assert compared >= 10


def test_where_it_cannot_be_offered_whoever_listens_is_told_why(graph, monkeypatch):
    monkeypatch.setattr(FfmpegPackets, "KIND", None)
    with pytest.raises(MissingPackage, match="ros-<distribution>-ffmpeg-image-transport-msgs"):
        FfmpegPackets()
    rig = Rig(graph)
    assert "/ivif/fused/ffmpeg" not in dict(rig.tester.get_topic_names_and_types())
    assert not rig.fusion.session.outputs.unserved
    rig.listen(String, "ivif/fused/ffmpeg")  # whatever its type is
    rig.until_fused(pair_of(*scene()))
    status = rig.status("listens on /ivif/fused/ffmpeg, which is not published: ffmpeg_image_transport_msgs is not")
    assert status.name.endswith("fusion")
