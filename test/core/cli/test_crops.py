"""`thermal_crop` and `rgb_crop` of a parameter file do offline what they do in the node: each camera's image is cropped
before anything else. The oracle is the same command on images that were cropped beforehand."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.fusion import prepare
from ivif_core.imaging.files import find_images, read_infrared, read_visible, write_image
from ivif_core.imaging.messages import to_visible
from ivif_core.offline.bag import FUSED_TOPIC
from ivif_core.offline.bags.images import read_bag_images
from ivif_core.offline.jobs import Job, run_job
from ivif_core.registration.base import Resize
from ivif_core.settings import Settings
from test.core.recorded_bag import TOPICS, frames, record

PARAMETERS = {
    "thermal_crop": [2, 3, 4, 0],
    "rgb_crop": [0, 6, 8, 10],
    "thermal_scaling.mode": "fixed",
    "thermal_scaling.low": 20000.0,
    "thermal_scaling.high": 24000.0,
}
BAG_TOPICS = ["--infrared", TOPICS["infrared"], "--visible", TOPICS["visible"]]
COUNT = 3


def cropped(infrared: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return infrared[2:-3, 4:], visible[:-6, 8:-10]


@pytest.fixture
def settings(brighter_model) -> Settings:
    return Settings.from_values({**PARAMETERS, "model": str(brighter_model)})


@pytest.fixture
def recorded(tmp_path, monkeypatch, settings) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two folders, a bag and a parameter file; the pairs as they are read back. Thermal images begin with telemetry."""
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in settings.not_default().items())
    Path("fusion.yaml").write_text(f"/**:\n  ros__parameters:\n{lines}")
    pairs = frames(COUNT)
    for infrared, _ in pairs:
        infrared[:2] = 65535
    visible = record(tmp_path / "bag", pairs)
    pairs = [(infrared, image) for (infrared, _), image in zip(pairs, visible, strict=True)]
    for folder in ("pairs/infrared", "pairs/visible"):
        Path(folder).mkdir(parents=True)
    for index, (infrared, image) in enumerate(pairs):
        write_image(f"pairs/infrared/{index}.png", infrared)
        write_image(f"pairs/visible/{index}.png", image)
    return pairs


@pytest.fixture
def expected(recorded, settings) -> list[np.ndarray]:
    with settings.fuser() as fuser:
        return [fuser.fuse(*cropped(*pair)) for pair in recorded]


def test_of_files_and_folders(expected):
    params = ["--params", "fusion.yaml"]
    assert main(["fuse", "pairs/infrared/1.png", "pairs/visible/1.png", "-o", "one.png", *params]) == 0
    np.testing.assert_array_equal(read_visible("one.png"), expected[1])
    assert main(["fuse", "pairs/infrared", "pairs/visible", "-o", "out", *params]) == 0
    for index, image in enumerate(expected):
        np.testing.assert_array_equal(read_visible(f"out/{index}.png"), image)


def test_of_a_bag(expected):
    assert main(["bag", "bag", "out", *BAG_TOPICS, "--params", "fusion.yaml"]) == 0
    images = read_bag_images("out", FUSED_TOPIC, FUSED_TOPIC)
    for image, pixels in zip(images, expected, strict=True):
        np.testing.assert_array_equal(to_visible(image.message), pixels)


def test_of_jobs(expected, settings, tmp_path):
    changes = settings.not_default()
    entry = run_job(Job(str(tmp_path / "pairs"), str(tmp_path / "folders"), {}, changes))
    assert (entry["error"], entry["fused"]) == ("", COUNT)
    np.testing.assert_array_equal(read_visible(tmp_path / "folders" / "2.png"), expected[2])
    entry = run_job(Job(str(tmp_path / "bag"), str(tmp_path / "bags"), TOPICS, changes))
    assert (entry["error"], entry["fused"]) == ("", COUNT)
    first = next(iter(read_bag_images(tmp_path / "bags", FUSED_TOPIC, FUSED_TOPIC)))
    np.testing.assert_array_equal(to_visible(first.message), expected[0])


def test_of_extracted_pairs(recorded, settings):
    assert main(["extract", "bag", "-o", "out", *BAG_TOPICS, "--params", "fusion.yaml"]) == 0
    scaling = settings.scaling()
    written = [sorted(find_images(f"out/{name}").values()) for name in ("infrared", "visible")]
    for pair, infrared, visible in zip(recorded, *written, strict=True):
        counts, image = cropped(*pair)
        np.testing.assert_array_equal(read_visible(visible), image)
        np.testing.assert_array_equal(read_infrared(infrared), prepare(counts, image, scaling, Resize()).registered)


def test_of_videos(recorded, settings):
    av = pytest.importorskip("av", reason="video files need PyAV")
    grey = [((infrared - 20000.0) / 4000 * 255).clip(0, 255).astype(np.uint8) for infrared, _ in recorded]
    films = {"i.mkv": (grey, "gray", "gray"), "v.mkv": ([visible for _, visible in recorded], "bgr24", "bgr0")}
    for name, (images, kind, stored) in films.items():
        with av.open(name, "w") as container:
            stream = container.add_stream("ffv1", rate=30)
            (stream.height, stream.width), stream.pix_fmt = images[0].shape[:2], stored
            for index, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, format=kind)
                frame.pts, frame.time_base = index, Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    assert main(["fuse", "i.mkv", "v.mkv", "-o", "out.mkv", "--params", "fusion.yaml"]) == 0
    with av.open("out.mkv") as container, settings.fuser() as fuser:
        fused = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
        for pixels, infrared, (_, visible) in zip(fused, grey, recorded, strict=True):
            np.testing.assert_array_equal(pixels, fuser.fuse(*cropped(infrared, visible)))


def test_a_crop_that_leaves_nothing_is_said(recorded, capsys):
    Path("fusion.yaml").write_text("/**: {ros__parameters: {rgb_crop: [32, 32, 0, 0]}}")
    params = ["--params", "fusion.yaml"]
    assert main(["fuse", "pairs/infrared/0.png", "pairs/visible/0.png", "-o", "out.png", *params]) == 2
    assert "image of 96×64, of which the crop [32, 32, 0, 0] leaves nothing" in capsys.readouterr().err
    assert not Path("out.png").exists()
    assert main(["bag", "bag", "out", *BAG_TOPICS, *params]) == 2
    assert "leaves nothing" in capsys.readouterr().err and not Path("out").exists()
