"""A robot's recording all the way: bag -> teacher -> student -> ONNX -> fused, offline and by the live node."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rosbags.highlevel import AnyReader

from ivif_core.cli.main import main
from ivif_core.fusion import Fuser
from ivif_core.models import read_metadata
from ivif_core.training.data.pairs import FolderPairs
from ivif_core.training.teach_student import load_student
from ivif_ros.tools.processes import Processes, isolated_environment
from test.core.recorded_bag import TOPICS, record

ROOT = Path(__file__).resolve().parents[2]
ROADSCENE = Path(os.environ.get("IVIF_SHARED", ROOT.parent / "shared")) / "data" / "roadscene"
SIZE = (96, 64)
VIVIDNESS = 0.7
PATIENCE = 60.0
"""Seconds for the node to have fused every pair; it takes about four."""


def pairs_to_record() -> list[tuple[np.ndarray, np.ndarray]]:
    """Four small pairs of RoadScene, or as lively ones where it is not there."""
    if not ROADSCENE.is_dir():
        random = np.random.default_rng(0)
        sizes = (60, 80), (64, 96, 3)
        return [tuple(random.integers(0, 256, size, np.uint8) for size in sizes) for _ in range(4)]
    pairs = []
    for path in sorted((ROADSCENE / "infrared").iterdir())[:4]:
        visible = next((ROADSCENE / "visible").glob(f"{path.stem}.*"))
        infrared = cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (80, 60))
        pairs.append((infrared, cv2.resize(cv2.imread(str(visible)), SIZE)))
    return pairs


@dataclass(frozen=True)
class Journey:
    """What a researcher has in hand after bag -> teacher -> student -> ONNX."""

    folder: Path
    model: Path

    @property
    def bag(self) -> Path:
        return self.folder / "bag"

    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The bag's pairs as they were trained on: intensity on the visible grid, and BGR."""
        pictures = self.folder / "student/pairs/visible"
        return [
            (pair.infrared, cv2.imread(str(pictures / f"{pair.name}.png")))
            for pair in FolderPairs(self.folder / "student/pairs")
        ]

    def fused(self) -> list[np.ndarray]:
        """The pairs fused by the exported model, BGR."""
        with Fuser(self.model, "onnxruntime", vividness=VIVIDNESS) as fuser:
            return [fuser.fuse(*pair) for pair in self.pairs()]


@pytest.fixture(scope="module")
def journey(workshop, tmp_path_factory) -> Journey:
    folder = tmp_path_factory.mktemp("journey")
    record(folder / "bag", pairs_to_record())
    bag = [f"data={folder / 'bag'}", *(f"bag.{name}={topic}" for name, topic in TOPICS.items())]
    teacher = ["train", str(workshop / "recipe.yaml"), f"output={folder / 'teacher'}", "steps=2", *bag]
    assert main(teacher) == 0
    small = [
        "steps=3",
        "batch=2",
        "crop=32",
        "width=64",
        'recorded=""',
        "channels=8",
        "dilations=[1]",
        "wide_dilations=[1]",
        "wide_channels=8",
        "accelerator=cpu",
        "validation_share=0.0",
    ]
    taught = [f"teacher={folder / 'teacher/last.pt'}", f"output={folder / 'student'}"]
    assert main(["distill", str(ROOT / "training/recipes/student.yaml"), *taught, *small, *bag]) == 0
    assert main(["export", str(folder / "student/last.pt"), "-o", str(folder / "models")]) == 0
    return Journey(folder, folder / "models/student_uint8.onnx")


def test_the_exported_model_is_the_trained_student(journey):
    assert read_metadata(journey.model) == read_metadata(journey.folder / "student/student_uint8.onnx")
    student = load_student(journey.folder / "student/last.pt")
    pairs = FolderPairs(journey.folder / "student/pairs")
    assert len(pairs) == 4
    with Fuser(journey.model, "onnxruntime", vividness=VIVIDNESS) as fuser, torch.no_grad():
        for pair in pairs:
            sources = [torch.from_numpy(image)[None, None] / 255 for image in (pair.infrared, pair.visible)]
            expected = 255 * student(*sources, torch.tensor([VIVIDNESS]))[0, 0].numpy()
            assert np.abs(fuser.fuse(pair.infrared, pair.visible).astype(float) - expected).max() <= 1.0


def test_the_bag_fused_offline_is_what_fuser_makes(journey):
    fused = journey.folder / "fused"
    fuse = ["bag", str(journey.bag), str(fused), "--model", str(journey.model), "--vividness", str(VIVIDNESS)]
    topics = ["--infrared", TOPICS["infrared"], "--visible", TOPICS["visible"], "--backend", "onnxruntime"]
    assert main([*fuse, *topics]) == 0
    with AnyReader([fused]) as reader:
        connection = next(entry for entry in reader.connections if "fused" in entry.topic)
        found = [reader.deserialize(raw, connection.msgtype).data for *_, raw in reader.messages([connection])]
    expected = journey.fused()
    assert len(found) == len(expected)
    for data, image in zip(found, expected, strict=True):
        assert np.array_equal(np.reshape(data, image.shape), image)


@pytest.mark.skipif(find_spec("rclpy") is None, reason="no ROS here: pip install 'ivif_ros[ros]'")
def test_the_bag_replayed_to_the_live_node_is_what_fuser_makes(journey, tmp_path):
    """Replay, node and listener are processes on a DDS graph of their own; the bag loops until each pair was fused."""
    expected, logs, heard = journey.fused(), tmp_path / "logs", tmp_path / "heard"
    logs.mkdir()
    heard.mkdir()
    # Frames are 33 ms apart and their partners 4: with a slop between, no lost frame's partner finds another.
    settings = {"model": journey.model, "backend": "onnxruntime", "vividness": VIVIDNESS, "slop": 0.015}
    parameters = [word for name, value in settings.items() for word in ("-p", f"{name}:={value}")]
    topics = ["--infrared-topic", TOPICS["infrared"], "--visible-topic", TOPICS["visible"]]
    seen: dict[str, int] = {}
    with Processes({**isolated_environment(), "PYTHONPATH": str(ROOT)}, logs) as children:
        children.start("listener", "test.training.fused_listener", ["ivif/fused", str(heard)])
        children.start("node", "ivif_ros", ["--ros-args", *parameters])
        children.start("replay", "ivif_ros.tools.replay", [str(journey.bag), *topics])
        end = time.monotonic() + PATIENCE
        while set(seen.values()) != set(range(len(expected))) and time.monotonic() < end:
            children.wait(0.1)
            for path in heard.glob("*.npy"):
                if path.name not in seen:
                    image = np.load(path)
                    same = [index for index, pixels in enumerate(expected) if np.array_equal(image, pixels)]
                    assert len(same) == 1, f"{path.name} is none of the bag's pairs fused by Fuser"
                    seen[path.name] = same[0]
    said = "\n".join(path.read_text() for path in logs.iterdir())
    assert set(seen.values()) == set(range(len(expected))), f"fused so far: {sorted(seen.values())}\n{said}"
    with Fuser(vividness=VIVIDNESS) as shipped:
        assert not np.array_equal(shipped.fuse(*journey.pairs()[0]), expected[0])
