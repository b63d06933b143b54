"""Mistakes of drivers and wiring that only pixels show are named, and a crop cures those that it can."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo

from ivif_core.fusion import Fuser
from ivif_core.imaging.messages import decode_image
from ivif_core.thermal.scaling import FixedScaling
from test.ros.conftest import wait_for
from test.ros.rig import Rig, fixed_scaling, image, scene

COUNTS, VISIBLE = scene()
TELEMETRY = np.zeros((2, COUNTS.shape[1]), np.uint16)
JET = cv2.applyColorMap(cv2.normalize(COUNTS, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8), cv2.COLORMAP_JET)
GREY = cv2.cvtColor(VISIBLE, cv2.COLOR_BGR2GRAY)
LOW = (VISIBLE.astype(np.uint16) << 4) | 5

SWAPPED = "are the cameras swapped?"

MISTAKES = {
    "telemetry": (np.vstack([TELEMETRY, COUNTS]), "mono16", VISIBLE, "bgr8", "thermal_crop: [2, 0, 0, 0]"),
    "false colour": (JET, "bgr8", VISIBLE, "bgr8", "false colour"),
    "swapped cameras": (VISIBLE, "bgr8", COUNTS, "mono16", SWAPPED),
    "swapped 8-bit cameras": (
        VISIBLE,
        "bgr8",
        cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR),
        "bgr8",
        "are the cameras swapped?",
    ),
    "12 bits, low": (COUNTS, "mono16", LOW, "rgb16", "use 12 bits only"),
    "10 bits, low": (COUNTS, "mono16", GREY.astype(np.uint16) << 2, "mono16", "use 10 bits only"),
}


def message(pixels: np.ndarray, encoding: str, stamp: int):
    """As `image`, also of encodings that the node never publishes."""
    made = image(np.zeros(pixels.shape[:2], np.uint8), "mono8", stamp)
    made.encoding, made.step = encoding, pixels.strides[0]
    made.data = np.ascontiguousarray(pixels).tobytes()
    return made


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_named(graph, case):
    thermal, thermal_encoding, rgb, rgb_encoding, said = MISTAKES[case]
    rig = Rig(graph)
    rig.until_fused(lambda stamp: (message(thermal, thermal_encoding, stamp), message(rgb, rgb_encoding, stamp)))
    status = rig.status(said)
    assert status.level == status.WARN
    assert status.name in ("/ivif_fusion: thermal", "/ivif_fusion: rgb")


def test_crop_is_live_and_what_is_left_is_fused(graph):
    rig = Rig(graph, **fixed_scaling())
    infos = rig.listen(CameraInfo, "ivif/camera_info")
    telemetry = np.vstack([COUNTS, TELEMETRY, TELEMETRY])
    rgb = np.pad(VISIBLE, ((8, 0), (0, 4), (0, 0)))

    def make_pair(stamp):
        rig.info.publish(CameraInfo(width=rgb.shape[1], height=rgb.shape[0]))
        return image(telemetry, "mono16", stamp), image(rgb, "bgr8", stamp)

    rig.until_fused(make_pair)
    assert all(result.successful for result in rig.set(thermal_crop=[0, 4, 0, 0], rgb_crop=[8.0, 0.0, 0.0, 4.0]))
    with Fuser(scaling=FixedScaling(20000, 24000)) as fuser:
        expected = fuser.fuse(COUNTS, VISIBLE)
    assert wait_for(lambda: np.array_equal(decode_image(rig.until_fused(make_pair)[0]), expected))
    assert wait_for(lambda: infos and infos[-1].roi.height == VISIBLE.shape[0])
    roi = infos[-1].roi
    assert (roi.x_offset, roi.y_offset, roi.width) == (0, 8, VISIBLE.shape[1])
    for wrong in ([1, 2, 3], [0, 0, 0, -1], [0.5] * 4):
        refused = rig.set(thermal_crop=wrong)[0]
        assert not refused.successful and "thermal_crop" in refused.reason
    assert rig.set(thermal_crop=[400, 400, 0, 0])[0].successful  # nothing left: said, and the node lives on
    rig.send(*make_pair(rig.tester.get_clock().now().nanoseconds))
    rig.status("leaves nothing")


def test_a_freeze_is_seen_beside_a_frame_counter_that_is_cropped(graph):
    rig = Rig(graph, thermal_crop=[2, 0, 0, 0])
    random, counter = np.random.default_rng(0), iter(range(10_000))

    def make_pair(stamp, noise=True):
        counts = COUNTS + random.integers(0, 40, COUNTS.shape, dtype=np.uint16) if noise else COUNTS
        telemetry = np.full_like(TELEMETRY, next(counter))
        return image(np.vstack([telemetry, counts]), "mono16", stamp), image(VISIBLE, "bgr8", stamp)

    rig.until_fused(make_pair, count=20)

    def frozen() -> bool:
        rig.send(*make_pair(rig.tester.get_clock().now().nanoseconds, noise=False))
        return wait_for(lambda: rig.fusion.session.stream.supervisor.dropped["infrared_frozen"], 1 / 30)

    assert wait_for(frozen)
