"""The node's publishers: what they carry, and which images are made only while someone listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Temperature
from std_msgs.msg import Header, String

from ivif_core.errors import MissingPackage
from ivif_core.imaging.crop import Crop
from ivif_core.imaging.messages import fill_image
from ivif_core.thermal.hot_spots import HotSpot
from ivif_ros.detections import ARRAY, detections
from ivif_ros.ffmpeg_packets import QUEUE, FfmpegPackets
from ivif_ros.pipeline import FusedFrame

FFMPEG = "ivif/fused/ffmpeg"


class Outputs:
    """All that is published under `ivif/`. Publishing does nothing while the node is inactive.

    Attributes:
        camera_info: the RGB camera's, passed on with every fused image; None until it came.
        crop: of the RGB images, which its region of interest tells.
    """

    def __init__(self, node: LifecycleNode, reliability: str) -> None:
        """
        Args:
            reliability: of the images: 'reliable' or 'best_effort'.
        """
        self._node = node
        self.camera_info: CameraInfo | None = None
        self.crop = Crop()
        images = QoSProfile(depth=1, reliability=ReliabilityPolicy[reliability.upper()])
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        create = node.create_lifecycle_publisher
        self._fused = create(Image, "ivif/fused", images)
        self._compressed = create(CompressedImage, "ivif/fused/compressed", images)
        self._ffmpeg, self._packets, self._no_ffmpeg = None, None, ""
        try:
            self._packets = FfmpegPackets()
            self._ffmpeg = create(self._packets.KIND, FFMPEG, QoSProfile(depth=QUEUE, reliability=images.reliability))
        except MissingPackage as error:
            self._no_ffmpeg = str(error)
        self._debug = create(Image, "ivif/debug", images)
        self._hot_spots = create(Image, "ivif/hotspots", images)
        self._detections = create(ARRAY, "ivif/hotspots/detections", images) if ARRAY else None
        self._temperature = create(Temperature, "ivif/probe/temperature", 10)
        self._camera_info = create(CameraInfo, "ivif/camera_info", images)
        self._status = create(String, "ivif/status", latched)

    @property
    def images_wanted(self) -> bool:
        """Whether anybody listens to an image.

        Asked for each pair, which takes microseconds and is right from the first pair on after a listener is found.
        image_pipeline uses the `matched` callbacks of its publishers to stop receiving; here pairing goes on.
        """
        return any(publisher.get_subscription_count() for publisher in self._of_images)

    @property
    def _of_images(self) -> list[Any]:
        publishers = (self._fused, self._compressed, self._ffmpeg, self._debug, self._hot_spots, self._detections)
        return [publisher for publisher in publishers if publisher is not None]

    @property
    def unserved(self) -> str:
        """Why `ivif/fused/ffmpeg`, on which somebody listens, is not there; empty: it is, or nobody does."""
        topic = self._node.resolve_topic_name(FFMPEG)
        asked = self._no_ffmpeg and self._node.get_subscriptions_info_by_topic(topic)
        return f"somebody listens on {topic}, which is not published: {self._no_ffmpeg}" if asked else ""

    def start_anew(self) -> None:
        """Nobody listened for a while."""
        if self._packets is not None:
            self._packets.restart()

    @property
    def fused_topic(self) -> str:
        """Full name of the fused image's topic."""
        return self._fused.topic_name

    def publish(
        self,
        frame: FusedFrame,
        header: Header,
        *,
        side_by_side: Callable[[FusedFrame], np.ndarray],
        spots: Callable[[FusedFrame], tuple[list[HotSpot], str]],
    ) -> None:
        """One fused frame and all that goes with it, as its settings say.

        Args:
            side_by_side: makes the debug image.
            spots: finds hot spots, and the unit of their peaks.
        """
        fused, encoding = frame.fused, frame.settings["output_encoding"]
        if fused.ndim == 2:
            encoding = "mono8"
        elif encoding == "rgb8":
            fused = cv2.cvtColor(fused, cv2.COLOR_BGR2RGB)
        if self._fused.get_subscription_count():
            self._fused.publish(_image(fused, encoding, header))
        self.publish_camera_info(header)
        if self._compressed.get_subscription_count():
            quality = [cv2.IMWRITE_JPEG_QUALITY, frame.settings["jpeg_quality"]]
            jpeg = cv2.imencode(".jpg", frame.fused, quality)[1]
            self._compressed.publish(CompressedImage(header=header, format="jpeg", data=jpeg.tobytes()))
        if frame.hot_spots is not None and self._hot_spots.get_subscription_count():
            self._hot_spots.publish(_image(frame.hot_spots, "mono8", header))
        if self._detections is not None and frame.hot_spots is not None and self._detections.get_subscription_count():
            self._detections.publish(detections(*spots(frame), header))
        if self._debug.get_subscription_count():
            self._debug.publish(_image(side_by_side(frame), "bgr8", header))
        if self._ffmpeg is not None and self._packets is not None:
            for packet in self._packets.of(frame.fused, header, self._ffmpeg.get_subscription_count()):
                self._ffmpeg.publish(packet)

    def publish_camera_info(self, header: Header) -> None:
        """The RGB camera's, with the header of the image that it belongs to."""
        if self.camera_info is not None and self._camera_info.get_subscription_count():
            info = self.crop.camera_info(self.camera_info)
            info.header = header
            self._camera_info.publish(info)

    def publish_temperature(self, celsius: float, header: Header) -> None:
        """Of a point that was asked for; variance 0 stands for unknown."""
        self._temperature.publish(Temperature(header=header, temperature=celsius))

    def publish_status(self, status: str) -> None:
        """The state of the cameras; kept for whoever subscribes later."""
        self._status.publish(String(data=status))

    def close(self) -> None:
        """Withdraw all publishers."""
        for publisher in (*self._of_images, self._temperature, self._camera_info, self._status):
            self._node.destroy_publisher(publisher)


def _image(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    message = Image(header=header)
    fill_image(message, pixels, encoding)
    return message
