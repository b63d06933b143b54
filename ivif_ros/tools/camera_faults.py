"""What cameras do in the field, as messages: frozen, gone, clumped, late, of other clocks and sizes, malformed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import Image

from ivif_core.imaging.messages import fill_image
from ivif_core.types import Source
from ivif_ros.stamps import stamp_message

HOUR = 3600 * 10**9
THERMAL_SIZE, RGB_SIZE = (120, 160), (240, 320)
"""Height and width; small, so that hours of it spare the machine."""

Sent = list[tuple[Source, Image]]


class CameraPair:
    """Makes the messages of two cameras, thermal with a sensor's noise."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._held: list[Image] = []
        self._frozen: np.ndarray | None = None

    def thermal(self, stamp: int, size: tuple[int, int] = THERMAL_SIZE) -> Image:
        """mono16, counts of an uncooled camera."""
        return self._image(self._counts(size), "mono16", stamp)

    def rgb(self, stamp: int, size: tuple[int, int] = RGB_SIZE) -> Image:
        """bgr8."""
        pixels = self._random.integers(0, 256, (*size, 3), np.uint8)
        return self._image(pixels, "bgr8", stamp)

    def pair(self, stamp: int) -> Sent:
        """Two good frames."""
        self._frozen = None
        late, self._held = self._held, []
        return [*(("infrared", message) for message in late), *_both(self.thermal(stamp), self.rgb(stamp))]

    def frozen(self, stamp: int) -> Sent:
        """Thermal repeats its last frame, as while its shutter is closed."""
        if self._frozen is None:
            self._frozen = self._counts(THERMAL_SIZE)
        return _both(self._image(self._frozen, "mono16", stamp), self.rgb(stamp))

    def clumped(self, stamp: int, clump: int = 3) -> Sent:
        """Thermal frames arrive three at a time, as from a network camera."""
        self._held.append(self.thermal(stamp))
        sent: Sent = [("visible", self.rgb(stamp))]
        if len(self._held) >= clump:
            sent += [("infrared", message) for message in self._held]
            self._held = []
        return sent

    def out_of_order(self, stamp: int) -> Sent:
        """Every other thermal frame comes behind its successor."""
        sent: Sent = [("visible", self.rgb(stamp)), ("infrared", self.thermal(stamp))]
        if self._held:
            return [*sent, ("infrared", self._held.pop())]
        self._held.append(sent.pop()[1])
        return sent

    def late(self, stamp: int) -> Sent:
        """Thermal is stamped two seconds late."""
        return _both(self.thermal(stamp - 2 * 10**9), self.rgb(stamp))

    def of_other_sizes(self, stamp: int) -> Sent:
        """Good frames, smaller than usual."""
        return _both(self.thermal(stamp, (96, 128)), self.rgb(stamp, (200, 256)))

    def cut(self, stamp: int) -> Sent:
        """RGB frames of which half arrived."""
        rgb = self.rgb(stamp)
        rgb.data = rgb.data[: len(rgb.data) // 2]
        return _both(self.thermal(stamp), rgb)

    def _counts(self, size: tuple[int, int]) -> np.ndarray:
        return self._random.integers(20_000, 24_000, size).astype(np.uint16)

    def _image(self, pixels: np.ndarray, encoding: str, stamp: int) -> Image:
        message = Image()
        message.header.stamp = stamp_message(stamp)
        message.header.frame_id = "camera"
        fill_image(message, pixels, encoding)
        return message


def _both(thermal: Image, rgb: Image) -> Sent:
    return [("infrared", thermal), ("visible", rgb)]


def _without(source: Source, sent: Sent) -> Sent:
    return [entry for entry in sent if entry[0] != source]


def _stamped(sent: Sent, sec: int, nanosec: int) -> Sent:
    for source, message in sent:
        if source == "infrared":
            message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    return sent


@dataclass(frozen=True)
class Fault:
    """Something that lasts for a while.

    Attributes:
        name: for the report.
        frames: what is sent at a moment: the pair of cameras and the time (ns) -> messages.
        status: what `ivif/status` must say while it lasts; empty: no alarm may come.
        restart: the cameras' publishers go away before, and come back, as when a driver is started again.
    """

    name: str
    frames: Callable[[CameraPair, int], Sent]
    status: str = ""
    restart: bool = False


FAULTS = (
    Fault("thermal frozen", CameraPair.frozen, "infrared_frozen"),
    Fault("thermal gone", lambda cameras, now: _without("infrared", cameras.pair(now)), "infrared_silent"),
    Fault("rgb gone", lambda cameras, now: _without("visible", cameras.pair(now)), "visible_silent"),
    Fault("both gone", lambda *_: [], "infrared_silent_and_visible_silent"),
    Fault("both clocks an hour ahead", lambda cameras, now: cameras.pair(now + HOUR)),
    Fault("thermal clock an hour behind", lambda cameras, now: _both(cameras.thermal(now - HOUR), cameras.rgb(now))),
    Fault("thermal in clumps", CameraPair.clumped),
    Fault("thermal out of order", CameraPair.out_of_order),
    Fault("negative stamps", lambda cameras, now: _stamped(cameras.pair(now), -1, 5)),
    Fault("thermal two seconds late", CameraPair.late, "unpaired"),
    Fault("restart with other sizes", CameraPair.of_other_sizes, restart=True),
    Fault("cut images", CameraPair.cut),
)
