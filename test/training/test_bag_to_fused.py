"""A robot's recording all the way: bag -> teacher -> student -> ONNX -> fused."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import torch
from rosbags.highlevel import AnyReader

from ivif_core.cli import main
from ivif_core.data.pairs import FolderPairs
from ivif_core.fusion import Fuser
from ivif_core.models import read_metadata
from ivif_core.networks.student import Student
from test.core.recorded_bag import TOPICS, record
from training.run import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
ROADSCENE = Path(os.environ.get("IVIF_SHARED", ROOT.parent / "shared")) / "data" / "roadscene"
SIZE = (96, 64)


def pairs_to_record() -> list[tuple[np.ndarray, np.ndarray]]:
    """Four small pairs of RoadScene, or as lively ones where it is not there."""
    if not ROADSCENE.is_dir():
        random = np.random.default_rng(0)
        return [(random.integers(0, 256, (60, 80), np.uint8), random.integers(0, 256, (64, 96, 3), np.uint8))] * 4
    pairs = []
    for path in sorted((ROADSCENE / "infrared").iterdir())[:4]:
        visible = next((ROADSCENE / "visible").glob(f"{path.stem}.*"))
        infrared = cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (80, 60))
        pairs.append((infrared, cv2.resize(cv2.imread(str(visible)), SIZE)))
    return pairs


def test_bag_to_fused(workshop, tmp_path):
    record(tmp_path / "bag", pairs_to_record())
    bag = [f"data={tmp_path / 'bag'}", *(f"bag.{name}={topic}" for name, topic in TOPICS.items())]
    teacher = ["train", str(workshop / "recipe.yaml"), f"output={tmp_path / 'teacher'}", "steps=2", *bag]
    assert main(teacher) == 0

    small = ["steps=3", "batch=2", "crop=64", "channels=8", "accelerator=cpu", "validation_share=0.0"]
    taught = [f"teacher={tmp_path / 'teacher/last.pt'}", f"output={tmp_path / 'student'}"]
    assert main(["distill", str(ROOT / "training/recipes/student.yaml"), *taught, *small, *bag]) == 0

    assert main(["export", str(tmp_path / "student/last.pt"), "-o", str(tmp_path / "models")]) == 0
    model = tmp_path / "models/student_uint8.onnx"
    assert read_metadata(model) == read_metadata(tmp_path / "student/student_uint8.onnx")

    content = load_checkpoint(tmp_path / "student/last.pt", "student")
    student = Student(content["recipe"]["channels"], tuple(content["recipe"]["dilations"]))
    student.load_state_dict(content["model"])
    with Fuser(model, "onnxruntime", vividness=0.7) as fuser, torch.no_grad():
        pairs = FolderPairs(tmp_path / "student/pairs")
        assert len(pairs) == 4
        for pair in pairs:
            sources = [torch.from_numpy(image)[None, None] / 255 for image in (pair.infrared, pair.visible)]
            expected = 255 * student.eval()(*sources, torch.tensor([0.7]))[0, 0].numpy()
            assert np.abs(fuser.fuse(pair.infrared, pair.visible).astype(float) - expected).max() <= 1.0
        first = fuser.fuse(pairs[0].infrared, cv2.imread(str(tmp_path / f"student/pairs/visible/{pairs[0].name}.png")))

    fuse = ["bag", str(tmp_path / "bag"), str(tmp_path / "fused"), "--model", str(model), "--vividness", "0.7"]
    topics = ["--infrared", TOPICS["infrared"], "--visible", TOPICS["visible"], "--backend", "onnxruntime"]
    assert main([*fuse, *topics]) == 0
    with AnyReader([tmp_path / "fused"]) as reader:
        connection = next(entry for entry in reader.connections if "fused" in entry.topic)
        message = reader.deserialize(next(reader.messages([connection]))[2], connection.msgtype)
    assert np.array_equal(np.reshape(message.data, first.shape), first)
