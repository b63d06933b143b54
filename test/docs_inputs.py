"""The files that the commands of the documentation name: pairs, videos and bags of the rendered street."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ivif_core.models import resolve_model
from ivif_core.scene import Street
from test.core import flir_photo, recorded_bag

FRAMES, RATE = 48, 30
LEFT, UPPER, WIDTH, HEIGHT = 40, 30, 240, 180
"""What the thermal camera sees of the RGB image of 320×240: it has a narrower lens, for `ivif calibrate` to find."""


def write_inputs(folder: Path) -> None:
    """Fill a new folder."""
    street = Street((320, 240), seed=1)
    pairs = []
    for index in range(FRAMES):
        infrared, visible = street.render(3 * index)
        seen = infrared[UPPER : UPPER + HEIGHT, LEFT : LEFT + WIDTH]
        pairs.append((cv2.resize(seen, (160, 120), interpolation=cv2.INTER_AREA), visible))
    few = pairs[:: FRAMES // 4]
    for name in ("my_pairs", "pairs", "FOLDER", "PAIRS"):
        _write(folder / name / "infrared", [infrared for infrared, _ in few])
        _write(folder / name / "visible", [visible for _, visible in few])
    for name, images in (
        ("infrared", [infrared for infrared, _ in few]),
        ("thermal", [infrared for infrared, _ in few]),
        ("visible", [visible for _, visible in few]),
        ("rgb", [visible for _, visible in few]),
        ("other", [visible for _, visible in few]),
    ):
        _write(folder / name, images)
        cv2.imwrite(str(folder / f"{name}.png"), images[0])
        _film(folder / f"{name}.mp4", images * 4)
    # The topics as the drivers of README have them.
    recorded_bag.INFRARED, recorded_bag.VISIBLE = "/boson/image_raw", "/camera/image_raw/compressed"
    recorded_bag.record(folder / "drive", [(recorded_bag.counts_of(infrared), visible) for infrared, visible in pairs])
    (folder / "drive.mcap").write_bytes((folder / "drive/drive.mcap").read_bytes())
    (folder / "drives").mkdir()
    for number in (1, 2):
        (folder / f"drives/{number}.mcap").write_bytes((folder / "drive.mcap").read_bytes())
    (folder / "recordings.txt").write_text("drives/1.mcap\nmy_pairs\n", "utf-8")
    (folder / "inspection").mkdir()
    for number in (1, 2):
        (folder / f"inspection/{number}.jpg").write_bytes(flir_photo.make_photo(np.random.default_rng(number)))
    for name in ("student.onnx", "other.onnx"):
        (folder / name).write_bytes(resolve_model(None).read_bytes())


def _write(folder: Path, images: list[np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{index}.png"), image)


def _film(path: Path, images: list[np.ndarray]) -> None:
    height, width = images[0].shape[:2]
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (width, height))
    for image in images:
        film.write(image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    film.release()
