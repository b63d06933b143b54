from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.calibration.time_offset import estimate_offset, motion_energy
from ivif_core.cli.main import main
from ivif_core.errors import InputError


def walker(rng, seconds: float):
    """A path with starts and stops, as a function of time."""
    knots = np.arange(0, seconds + 3, 0.4)
    speeds = rng.choice([0.0, 5.0, 30.0, 80.0], len(knots)) * rng.choice([-1, 1], len(knots))
    path = np.cumsum(np.interp(np.arange(0, seconds + 2, 0.01), knots, speeds)) * 0.01
    return lambda t: 80 + 60 * np.sin(np.interp(t, np.arange(len(path)) * 0.01, path) / 40)


def camera(path, rate, seconds, late, rng, dtype):
    """Stamps and pictures of someone warm who walks; stamps are `late`."""
    for number in range(int(rate * seconds)):
        at = number / rate + rng.uniform(0, 0.2 / rate)
        image = np.full((60, 200), 100.0)
        image[15:50, int(path(at)) : int(path(at)) + 16] = 180
        image = cv2.GaussianBlur(image, (0, 0), 1) + rng.normal(0, 1, image.shape)
        yield at + late, (image * 40).astype(np.uint16) if dtype is np.uint16 else image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("late", [0.08, -0.13, 0.0, 0.5])
def test_known_offset_is_found(rng, late):
    path = walker(rng, 30)
    infrared = motion_energy(camera(path, 9, 30, late, rng, np.uint16))
    visible = motion_energy(camera(path, 30, 30, 0, rng, np.uint8))
    found = estimate_offset(infrared, visible)
    assert found.seconds == pytest.approx(-late, abs=0.02)
    assert found.is_sure, found
    assert abs(found.seconds + late) < 4 * found.uncertainty + 0.005


def test_motions_of_two_scenes_are_not_sure(rng):
    infrared = motion_energy(camera(walker(rng, 30), 9, 30, 0, rng, np.uint16))
    visible = motion_energy(camera(walker(rng, 30), 30, 30, 0, rng, np.uint8))
    assert not estimate_offset(infrared, visible).is_sure


def test_energy_is_change_a_second_without_the_common_change(rng):
    base = rng.integers(0, 200, (72, 96)).astype(np.float32)
    moved = base.copy()
    moved[:18] += 40
    times, energy = motion_energy([(0.0, base), (0.5, moved + 7), (1.0, moved + 30)])
    np.testing.assert_allclose(times, [0.25, 0.75])
    assert energy[0] == pytest.approx(40 * 18 / 72 / 0.5, rel=0.05)
    assert energy[1] == pytest.approx(0, abs=1e-3)


def test_what_cannot_be_compared_is_refused(rng):
    signal = (np.linspace(0, 5, 50), rng.random(50))
    with pytest.raises(InputError, match=r"overlap by 5\.0 s"):
        estimate_offset(signal, signal)
    with pytest.raises(InputError, match="no motion"):
        estimate_offset((np.linspace(0, 20, 50), np.ones(50)), (np.linspace(0, 20, 50), rng.random(50)))
    with pytest.raises(InputError, match="three frames"):
        motion_energy([(0.0, np.zeros((8, 8), np.uint8))])


def test_from_a_bag(tmp_path, rng, capsys):
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    types = {name.split("/")[-1]: store.types[name] for name in (
        "sensor_msgs/msg/Image", "std_msgs/msg/Header", "builtin_interfaces/msg/Time")}  # fmt: skip
    path = walker(rng, 15)
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, rate, late, dtype, encoding in (
            ("/thermal/image_raw", 9, 0.08, np.uint16, "mono16"),
            ("/rgb/image_raw", 30, 0.0, np.uint8, "mono8"),
        ):
            connection = writer.add_connection(topic, "sensor_msgs/msg/Image", typestore=store)
            for stamp, image in camera(path, rate, 15, late, rng, dtype):
                nanoseconds = round((stamp + 100) * 1e9)
                time = types["Time"](nanoseconds // 10**9, nanoseconds % 10**9)
                message = types["Image"](
                    types["Header"](time, "camera"), *image.shape, encoding, 0, image.strides[0],
                    np.frombuffer(image.tobytes(), np.uint8),
                )  # fmt: skip
                writer.write(connection, nanoseconds, store.serialize_cdr(message, "sensor_msgs/msg/Image"))
    assert main(["calibrate-time", str(tmp_path / "bag")]) == 0
    printed = capsys.readouterr().out
    offset = float(printed.split("thermal_time_offset:")[1].split()[0])
    assert offset == pytest.approx(-0.08, abs=0.02)
