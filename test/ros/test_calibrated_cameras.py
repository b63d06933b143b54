"""Registration by CameraInfo and depth topics, on a real DDS graph."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from ivif_core.fusion import Fuser
from ivif_core.imaging.messages import decode_image
from ivif_core.registration.base import Resize
from ivif_core.registration.pinhole import Camera, Pinhole
from ivif_core.thermal.scaling import FixedScaling
from test.ros.conftest import wait_for
from test.ros.rig import Rig, fixed_scaling, image, pair_of, scene

TURN = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0]
MOVE = [0.06, -0.01, 0.02]
DISTANCE = 3.0
COUNTS, VISIBLE = scene()  # 64×48 and 128×96


def thermal_info(focal: float = 60.0, **changes) -> CameraInfo:
    return info((64, 48), focal, [-0.28, 0.09, 0.001, -0.0005, -0.01], **changes)


def rgb_info(**changes) -> CameraInfo:
    return info((128, 96), 115.0, [0.05, -0.02, 0.0, 0.001, 0.0], **changes)


def info(size, focal, distortion, **changes) -> CameraInfo:
    matrix = [focal, 0.0, size[0] / 2 - 1, 0.0, focal * 1.02, size[1] / 2 + 1, 0.0, 0.0, 1.0]
    fields = {"width": size[0], "height": size[1], "distortion_model": "plumb_bob", "k": matrix, "d": distortion}
    return CameraInfo(**{**fields, **changes})


def pinhole(thermal: CameraInfo | None = None, depth: np.ndarray | None = None) -> Pinhole:
    cameras = (Camera.from_camera_info(thermal or thermal_info()), Camera.from_camera_info(rgb_info()))
    registration = Pinhole(*cameras, TURN, MOVE, DISTANCE)
    registration.set_depth(depth)
    return registration


def fused_with(registration) -> np.ndarray:
    with Fuser(scaling=FixedScaling(20000, 24000), registration=registration) as fuser:
        return fuser.fuse(COUNTS, VISIBLE)


class CalibratedRig(Rig):
    """Cameras that tell their calibration and depth beside each pair."""

    def __init__(self, graph, **parameters) -> None:
        geometry = {"rotation": TURN.ravel().tolist(), "translation": MOVE, "distance": DISTANCE}
        given = {f"registration__{name}": value for name, value in geometry.items()}
        super().__init__(graph, **{"registration__mode": "camera_info", **fixed_scaling(), **given, **parameters})
        publish = self.tester.create_publisher
        self.thermal_info = publish(CameraInfo, "thermal/camera_info", qos_profile_sensor_data)
        self.depth = publish(Image, "rgb/depth", qos_profile_sensor_data)
        told = [self.info, self.thermal_info, *([self.depth] if "registration__depth" in parameters else [])]
        assert wait_for(lambda: all(publisher.get_subscription_count() for publisher in told))

    def until_like(self, registration, *messages) -> None:
        """Send messages beside pairs until the fused pixels are those with this registration."""
        expected = fused_with(registration)

        def arrived() -> bool:
            for publisher, message in messages:
                publisher.publish(message)
            return np.array_equal(decode_image(self.until_fused(pair_of(COUNTS, VISIBLE))[0]), expected)

        assert wait_for(arrived, 30.0), "never fused as expected"

    def until_said(self, text: str, *messages) -> None:
        """Send messages beside pairs until the diagnostics name a text."""

        def said() -> bool:
            for publisher, message in messages:
                publisher.publish(message)
            self.until_fused(pair_of(COUNTS, VISIBLE))
            return any(text in status.message for array in self.diagnostics for status in array.status)

        assert wait_for(said), f"{text!r} not in the diagnostics"


def test_pixels_are_those_of_pinhole_once_both_infos_came(graph):
    assert not np.array_equal(fused_with(pinhole()), fused_with(Resize()))
    rig = CalibratedRig(graph)
    rig.until_like(Resize())
    rig.status("no thermal/camera_info and no rgb/camera_info yet; plain resize is used")
    rig.until_said("camera_info: no thermal/camera_info yet", (rig.info, rgb_info()))
    rig.until_like(Resize())
    rig.until_like(pinhole(), (rig.thermal_info, thermal_info()), (rig.info, rgb_info()))
    rig.until_like(pinhole(thermal_info(75.0)), (rig.thermal_info, thermal_info(75.0)))
    rig.diagnostics.clear()
    assert wait_for(lambda: rig.until_fused(pair_of(COUNTS, VISIBLE)) and len(rig.diagnostics) > 1)
    assert "camera_info" not in rig.diagnostics[-1].status[0].message


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"k": [0.0] * 9}, "not calibrated: the matrix K"), ({"distortion_model": "mystery"}, "distortion model must be")],
)
def test_an_info_that_cannot_be_used_is_named_and_the_node_lives_on(graph, changes, said):
    rig = CalibratedRig(graph)
    broken = thermal_info(**changes)
    rig.until_said(f"thermal/camera_info: camera: {said}", (rig.thermal_info, broken), (rig.info, rgb_info()))
    rig.until_like(Resize(), (rig.info, rgb_info()))
    rig.until_like(pinhole(), (rig.thermal_info, thermal_info()), (rig.info, rgb_info()))


def test_geometry_and_mode_change_live_and_infos_are_remembered(graph):
    rig = CalibratedRig(graph)
    rig.until_like(pinhole(), (rig.thermal_info, thermal_info()), (rig.info, rgb_info()))
    assert rig.set(registration__mode="resize")[0].successful
    rig.until_like(Resize())
    assert rig.set(registration__mode="camera_info")[0].successful
    rig.until_like(pinhole())
    refused = rig.set(registration__rotation=[1.0] * 9)[0]
    assert not refused.successful and "rotation" in refused.reason


def depth_image(kind: str) -> tuple[np.ndarray, Image]:
    """In metres, with some pixels not measured, and as a message."""
    depth = np.full(VISIBLE.shape[:2], 0.6, np.float32)
    depth[:, 70:] = 1.7
    depth[40:50, 20:60] = 0.0
    message = image(np.rint(depth * 1000).astype(np.uint16), "mono16", 0)
    message.encoding = "16UC1"
    if kind == "32FC1":
        depth[10:20] = np.nan
        depth[20:22] = np.inf
        message = image(depth, "32FC1", 0)
    return depth, message


@pytest.mark.parametrize("kind", ["16UC1", "32FC1"])
def test_depth_takes_the_place_of_the_distance_while_it_comes(graph, kind):
    depth, message = depth_image(kind)
    assert not np.array_equal(fused_with(pinhole(depth=depth)), fused_with(pinhole()))
    rig = CalibratedRig(graph, registration__depth=True)
    infos = (rig.thermal_info, thermal_info()), (rig.info, rgb_info())
    rig.until_like(pinhole(), *infos)
    rig.status("no depth image on rgb/depth")
    rig.until_like(pinhole(depth=depth), (rig.depth, message))
    rig.until_like(pinhole())  # too old


def test_depth_with_a_pinhole_file_and_a_malformed_depth_image(graph, tmp_path):
    names = ("image_width", "image_height", "distortion_model")
    cameras = {}
    for source, said in (("infrared", thermal_info()), ("visible", rgb_info())):
        fields = zip(names, (said.width, said.height, said.distortion_model), strict=True)
        matrices = {"camera_matrix": said.k, "distortion_coefficients": said.d}
        cameras[source] = {
            **dict(fields),
            **{name: {"data": np.array(values).tolist()} for name, values in matrices.items()},
        }
    geometry = {"rotation": TURN.ravel().tolist(), "translation": MOVE, "distance": DISTANCE}
    (tmp_path / "rig.yaml").write_text(yaml.safe_dump({"model": "pinhole", **cameras, **geometry}))
    given = {"registration__mode": "file", "registration__file": str(tmp_path / "rig.yaml")}
    rig = CalibratedRig(graph, registration__depth=True, **given)
    depth, message = depth_image("16UC1")
    rig.until_like(pinhole(depth=depth), (rig.depth, message))
    message.encoding = "mono8"
    rig.until_said("rgb/depth: depth image: encoding 'mono8' is not supported", (rig.depth, message))
    rig.until_like(pinhole(), (rig.depth, message))
