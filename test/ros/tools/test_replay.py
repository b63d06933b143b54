"""`replay` as a process of its own on a real graph."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from ivif_core.errors import InputError, IvifError
from ivif_core.imaging.messages import decode_image
from ivif_ros.tools import frames, replay
from ivif_ros.tools.frames import to_counts
from ivif_ros.tools.processes import ProcessDied, Processes, isolated_environment
from test.ros.conftest import wait_for

COUNT = 4


def pixels_of(index, channels=0):
    shape = (40, 48, channels) if channels else (32, 40)
    return np.random.default_rng([index, channels]).integers(0, 256, shape, np.uint8)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, channels in (("infrared", 0), ("visible", 3)):
        (tmp_path / name).mkdir()
        for index in range(COUNT):
            cv2.imwrite(str(tmp_path / name / f"{index:03}.png"), pixels_of(index, channels))
    return tmp_path


both_storages = pytest.mark.parametrize("bag", ["mcap", "sqlite3"], indirect=True)


@pytest.fixture
def bag(request, tmp_path) -> Path:
    """20 Hz thermal and 10 Hz RGB under names of their own, and a topic that is no image."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    image, header, stamp, text = (
        store.types[name]
        for name in (
            "sensor_msgs/msg/Image",
            "std_msgs/msg/Header",
            "builtin_interfaces/msg/Time",
            "std_msgs/msg/String",
        )
    )
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=StoragePlugin[getattr(request, "param", "mcap").upper()]) as writer:
        topics = {
            name: writer.add_connection(name, image.__msgtype__, typestore=store) for name in ("/boson", "/front/rgb")
        }
        note = writer.add_connection("/note", text.__msgtype__, typestore=store)
        writer.write(note, 0, store.serialize_cdr(text("hello"), text.__msgtype__))
        for index in range(2 * COUNT):
            for name, step, channels in (("/boson", 1, 0), ("/front/rgb", 2, 3)):
                if index % step:
                    continue
                pixels = pixels_of(index // step % COUNT, channels)
                nanoseconds = 5_000_000_000 + index * 50_000_000
                message = image(
                    header=header(stamp(*divmod(nanoseconds, 10**9)), "camera"),
                    height=pixels.shape[0],
                    width=pixels.shape[1],
                    encoding="bgr8" if channels else "mono8",
                    is_bigendian=0,
                    step=pixels.strides[0],
                    data=pixels.reshape(-1),
                )
                writer.write(topics[name], nanoseconds, store.serialize_cdr(message, image.__msgtype__))
    return path


@pytest.fixture
def logs(tmp_path) -> Path:
    logs = tmp_path / "logs"
    logs.mkdir()
    return logs


@pytest.fixture
def received(graph):
    """(receipt, message) of each topic, as they come."""
    received = {"thermal/image_raw": [], "rgb/image_raw": [], "rgb/camera_info": []}
    listener = graph.node("listener")
    for topic, messages in received.items():
        kind = CameraInfo if topic.endswith("info") else Image
        listener.create_subscription(
            kind, topic, lambda message, messages=messages: messages.append(message), qos_profile_sensor_data
        )
    return received


def seconds(message):
    return message.header.stamp.sec + message.header.stamp.nanosec / 1e9


def stamps(messages):
    return np.array([seconds(message) for message in messages])


def index_of(message, originals):
    """Which of the originals a message shows."""
    (index,) = (i for i, original in enumerate(originals) if np.array_equal(decode_image(message), original))
    return index


@pytest.mark.parametrize("raw16", [False, True])
def test_a_folder_loops_pixel_by_pixel_at_its_rate(folder, graph, received, logs, raw16):
    with Processes(graph.environment, logs) as children:
        children.start("replay", "ivif_ros.tools.replay", [str(folder), "--rate", "20", *["--raw16"] * raw16])
        assert wait_for(lambda: all(len(messages) > 3 * COUNT for messages in received.values()), 15)
        children.check()
    thermal, rgb, info = received.values()
    infrared = [pixels_of(index) for index in range(COUNT)]
    infrared = [to_counts(pixels) for pixels in infrared] if raw16 else infrared
    visible = [pixels_of(index, 3) for index in range(COUNT)]
    assert {message.encoding for message in thermal} == {"mono16" if raw16 else "mono8"}
    shown = {seconds(message): index_of(message, infrared) for message in thermal}
    for message in rgb:
        if seconds(message) in shown:  # best effort: one of a pair may be lost
            assert index_of(message, visible) == shown[seconds(message)]
    for messages in (thermal, rgb):
        gaps = np.diff(stamps(messages)) * 20
        np.testing.assert_allclose(gaps, np.rint(gaps), atol=1e-4)  # over the seam of two laps too
        assert np.median(gaps) == pytest.approx(1)
        assert {message.header.frame_id for message in messages} <= {"thermal_optical_frame", "rgb_optical_frame"}
    assert {(message.width, message.height) for message in info} == {(48, 40)}
    assert abs(time.time() - seconds(thermal[-1])) < 5


def test_counts_can_be_turned_back():
    levels = np.arange(256, dtype=np.uint8)
    counts = to_counts(levels)
    assert counts.dtype == np.uint16 and (counts[0], counts[-1]) == (20_000, 24_000)
    np.testing.assert_array_equal(np.rint((counts.astype(float) - 20_000) * 255 / 4_000), levels)
    np.testing.assert_array_equal(to_counts(counts), counts)


@both_storages
def test_a_bag_keeps_its_times_and_its_rates(bag, graph, received, logs):
    topics = ("--infrared-topic", "/boson", "--visible-topic", "/front/rgb")
    with Processes(graph.environment, logs) as children:
        children.start("replay", "ivif_ros.tools.replay", [str(bag), *topics, "--infrared-offset", "0.01"])
        thermal, rgb, _ = received.values()
        assert wait_for(lambda: len(rgb) > 2 * COUNT, 15)
        children.check()
    assert np.median(np.diff(stamps(thermal))) == pytest.approx(0.05, abs=1e-5)
    assert np.median(np.diff(stamps(rgb))) == pytest.approx(0.10, abs=1e-5)
    infrared, visible = ([pixels_of(index, channels) for index in range(COUNT)] for channels in (0, 3))
    shown = {round(seconds(message) - 0.01, 3): index_of(message, infrared) for message in thermal}
    together = [
        (index_of(message, visible), shown[round(seconds(message), 3)])
        for message in rgb
        if round(seconds(message), 3) in shown
    ]
    assert len(together) > COUNT
    assert all(2 * index % COUNT == partner for index, partner in together)


@both_storages
def test_a_bag_can_be_given_another_rate(bag, graph, received, logs):
    topics = ("--infrared-topic", "/boson", "--visible-topic", "/front/rgb")
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    with Processes(graph.environment, logs) as children:
        children.start("replay", "ivif_ros.tools.replay", [str(file), *topics, "--rate", "25"])
        assert wait_for(lambda: len(received["rgb/image_raw"]) > 2 * COUNT, 15)
    assert np.median(np.diff(stamps(received["rgb/image_raw"]))) == pytest.approx(0.04, abs=1e-5)


def test_sizes_and_a_number_of_pairs(folder, graph, received, logs):
    with Processes(graph.environment, logs) as children:
        sizes = ("--infrared-size", "64x33", "--visible-size", "50x60")
        arguments = [str(folder), "--count", "6", "--rate", "10", *sizes]
        player = children.start("replay", "ivif_ros.tools.replay", arguments)
        assert wait_for(lambda: player.poll() is not None, 15)
    assert player.returncode == 0
    thermal, rgb, _ = received.values()
    assert "sent 6 pairs" in (logs / "replay.log").read_text()
    assert 1 <= len(rgb) <= 6
    assert {(message.width, message.height) for message in thermal} == {(64, 33)}
    assert {(message.width, message.height) for message in rgb} == {(50, 60)}


def test_large_images_arrive(folder, graph, received, logs):
    """Best effort, and each eight times Fast DDS's own shared-memory segment: the shipped profile carries them."""
    with Processes(graph.environment, logs) as children:
        arguments = [str(folder), "--visible-size", "1280x1024", "--count", "60"]
        player = children.start("replay", "ivif_ros.tools.replay", arguments)
        assert wait_for(lambda: player.poll() is not None, 20)
    assert len(received["rgb/image_raw"]) > 40


def test_ctrl_c_ends_it_quickly_and_cleanly(folder, graph, received, logs):
    with Processes(graph.environment, logs) as children:
        children.start("replay", "ivif_ros.tools.replay", [str(folder)])
        assert wait_for(lambda: bool(received["rgb/image_raw"]), 15)
        assert children.stop("replay") == 0


@pytest.mark.parametrize(
    "arguments,said",
    [
        (["nowhere"], "no bag at nowhere"),
        (["{folder}/visible"], "no metadata.yaml"),
        (["{folder}/empty"], "no names match"),
        (["{bag}", "--infrared-topic", "/lepton"], "image topics of this bag: /boson, /front/rgb"),
    ],
)
def test_nonsense_is_refused_with_the_reason(folder, bag, arguments, said):
    for name in ("infrared", "visible"):
        (folder / "empty" / name).mkdir(parents=True)
    with pytest.raises(InputError) as refused:
        parsed = replay.parse_arguments([text.format(folder=folder, bag=bag) for text in arguments])
        for _ in next(replay.make_laps(parsed, threading.Event())):
            pass
    assert said in str(refused.value)


def test_images_that_the_parameter_file_calls_too_large_are_refused(folder, bag, tmp_path):
    cv2.imwrite(str(folder / "visible" / "000.png"), np.zeros((101, 100), np.uint8))
    path = tmp_path / "fusion.yaml"
    for value, said in ((0.01, "0.01 megapixels"), (0, "maximum_megapixels: 0.0 is outside")):
        path.write_text(f"/**: {{ros__parameters: {{maximum_megapixels: {value}}}}}")
        parsed = replay.parse_arguments([str(folder), "--params", str(path)])
        with pytest.raises(IvifError, match=said):
            next(replay.make_laps(parsed, threading.Event()))
    with pytest.raises(InputError, match=r"0\.001 megapixels"):
        list(frames.bag_frames(bag, ("/boson", "/front/rgb"), None, 0.001))


@pytest.mark.parametrize(
    "arguments", ["--visible-size 640", "--visible-size 16x16", "--rate 0", "--rate fast", "--count 0"]
)
def test_nonsense_on_the_command_line(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        replay.parse_arguments(arguments.split())
    assert "expected" in capsys.readouterr().err


def test_a_failure_is_an_exit_code_and_a_message(graph, logs):
    with Processes(graph.environment, logs) as children:
        children.start("replay", "ivif_ros.tools.replay", ["nowhere"])
        with pytest.raises(ProcessDied, match="replay ended with status 2:\n  replay: no bag at nowhere"):
            children.wait(10)


def test_the_bags_own_topics_and_rate_without_being_told(bag, graph, received, logs):
    with Processes(graph.environment, logs) as children:
        children.start("replay", "ivif_ros.tools.replay", [str(bag)])
        assert wait_for(lambda: len(received["rgb/image_raw"]) > COUNT, 15)
        children.check()
    assert "thermal /boson, RGB /front/rgb" in (logs / "replay.log").read_text()
    assert np.median(np.diff(stamps(received["rgb/image_raw"]))) == pytest.approx(0.1, abs=1e-3)
    assert {message.encoding for message in received["rgb/image_raw"]} == {"bgr8"}


def test_camera_info_goes_beside_remapped_images(folder, graph, logs):
    heard = []
    graph.node("listener").create_subscription(CameraInfo, "/front/camera_info", heard.append, qos_profile_sensor_data)
    with Processes(graph.environment, logs) as children:
        remapped = ["--ros-args", "-r", "rgb/image_raw:=/front/image_raw"]
        children.start("replay", "ivif_ros.tools.replay", [str(folder), *remapped])
        assert wait_for(lambda: heard, 15)


def test_arguments_that_ros_refuses_are_one_line():
    command = [sys.executable, "-m", "ivif_ros.tools.replay", "--ros-args", "--log-level", "loud"]
    done = subprocess.run(command, env=isolated_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "replay: ROS refuses what follows --ros-args: Couldn't parse log level"
    )
