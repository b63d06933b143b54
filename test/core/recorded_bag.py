"""Bags for tests: two cameras, an IMU and transforms, as a robot records them.

`python -m test.core.recorded_bag FOLDER BAG` records the pairs of FOLDER/infrared and FOLDER/visible.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

INFRARED, VISIBLE, IMU, TF = "/boson/image_raw", "/front/image_raw/compressed", "/imu", "/tf"
TOPICS = {"infrared": INFRARED, "visible": VISIBLE}
START = 1_700_000_000_000_000_000
PERIOD = 33_333_333


def frames(count: int, size: tuple[int, int] = (96, 64)) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of smooth images: mono16 counts of another size, and BGR."""
    pairs = []
    for index in range(count):
        random = np.random.default_rng(index)
        infrared = cv2.resize(random.integers(20000, 24000, (6, 8), np.uint16), (80, 64))
        pairs.append((infrared, cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), size)))
    return pairs


def record(
    path: Path,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    mcap: bool = True,
    zstd: bool = False,
    lag: int = 4_000_000,
    thermal_stamp: Callable[[int], int] = lambda stamp: stamp,
) -> list[np.ndarray]:
    """Write a bag at 30 Hz; the visible image is JPEG and its camera `lag` ns later than the thermal one.

    `thermal_stamp` makes the thermal driver's stamp of the true one, ns.

    Returns:
        The visible images as a reader of the bag decodes them.
    """
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    types = store.types
    decoded = []

    def header(stamp: int, frame: str):
        time = types["builtin_interfaces/msg/Time"](*divmod(stamp, 10**9))
        return types["std_msgs/msg/Header"](time, frame)

    writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP if mcap else StoragePlugin.SQLITE3)
    if zstd:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        image, compressed = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
        imu, tf = "geometry_msgs/msg/Vector3Stamped", "tf2_msgs/msg/TFMessage"
        kinds = {INFRARED: image, VISIBLE: compressed, IMU: imu, TF: tf}
        topics = {name: writer.add_connection(name, kind, typestore=store) for name, kind in kinds.items()}

        def write(topic: str, recorded: int, message) -> None:
            writer.write(topics[topic], recorded, store.serialize_cdr(message, kinds[topic]))

        for index, (infrared, visible) in enumerate(pairs):
            stamp = START + index * PERIOD
            thermal = types[image](
                header=header(thermal_stamp(stamp), "boson"),
                height=infrared.shape[0],
                width=infrared.shape[1],
                encoding="mono16" if infrared.dtype == np.uint16 else "mono8",
                is_bigendian=0,
                step=infrared.strides[0],
                data=infrared.reshape(-1).view(np.uint8),
            )
            write(INFRARED, stamp + 1_000_000, thermal)
            for part in range(3):
                at = stamp + part * PERIOD // 3
                vector = types["geometry_msgs/msg/Vector3"](0.1 * index, float(part), 9.81)
                write(IMU, at, types[imu](header=header(at, "imu"), vector=vector))
            rotation = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
            move = types["geometry_msgs/msg/Transform"](types["geometry_msgs/msg/Vector3"](index, 0.0, 0.0), rotation)
            moved = types["geometry_msgs/msg/TransformStamped"](header(stamp, "map"), "base", move)
            write(TF, stamp + 2_000_000, types[tf](transforms=[moved]))
            jpeg = cv2.imencode(".jpg", visible)[1].reshape(-1)
            decoded.append(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
            picture = types[compressed](header=header(stamp + lag, "front"), format="jpeg", data=jpeg)
            write(VISIBLE, stamp + lag + 1_000_000, picture)
    return decoded


def cut(bag: Path, share: float = 0.7) -> None:
    """Cut the bag's file as a broken copy would, and leave its metadata."""
    file = next(file for file in bag.iterdir() if file.suffix in (".mcap", ".db3"))
    with file.open("r+b") as opened:
        opened.truncate(int(file.stat().st_size * share))


def read_all(bag: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Topic -> (time of recording, bytes) of every message, in order."""
    from rosbags.rosbag2 import Reader

    messages: dict[str, list[tuple[int, bytes]]] = {}
    with Reader(bag) as reader:
        for connection, recorded, raw in reader.messages():
            messages.setdefault(connection.topic, []).append((recorded, bytes(raw)))
    return messages


def main(folder: Path, bag: Path) -> None:
    """Record a folder of real pairs three times over, thermal as 16-bit counts of 640×512: for `ivif bench bag`."""
    from ivif_core.imaging.files import pair_by_stem, read_infrared, read_visible

    files, _ = pair_by_stem(folder / "infrared", folder / "visible")
    pairs = [(counts_of(read_infrared(infrared)), read_visible(visible)) for infrared, visible in files.values()]
    record(bag, pairs * 3, mcap=bag.suffix != ".db3")


def counts_of(infrared: np.ndarray) -> np.ndarray:
    """uint16 512×640 as an uncooled camera sends them, from 8-bit infrared."""
    return cv2.resize(infrared, (640, 512)).astype(np.uint16) * 16 + 20000


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
