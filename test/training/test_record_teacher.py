"""Recording a teacher: every training pair in as many views, none held out, and it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ivif_core.errors import InputError
from ivif_core.training.data.pairs import FolderPairs, is_held_out
from ivif_core.training.record_teacher import MINIMUM_SIDE, make_view, record


class Inverted(torch.nn.Module):
    def forward(self, infrared: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return 1 - 0.5 * (infrared + visible)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that inverts the average."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    axes = {name: {2: "H", 3: "W"} for name in ("infrared", "visible", "fused")}
    torch.onnx.export(
        Inverted(),
        (torch.rand(1, 1, 48, 40), torch.rand(1, 1, 48, 40)),
        str(path),
        input_names=["infrared", "visible"],
        output_names=["fused"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(0)
    for part in ("infrared", "visible"):
        (folder / part).mkdir()
        for name in range(8):
            image = cv2.resize(random.integers(0, 256, (6, 8)).astype(np.uint8), (320, 250))
            cv2.imwrite(str(folder / part / f"{name}.png"), image)
    return folder


def test_views_hold_what_the_teacher_makes_of_them(teacher: Path, data: Path, tmp_path: Path) -> None:
    share = 0.4
    count = record(teacher, data, tmp_path, views=2, seed=0, share=share)
    pairs = FolderPairs(tmp_path, teacher="language_teacher", on_error="fail")
    kept = [name for name in map(str, range(8)) if not is_held_out(name, share)]
    assert 0 < len(kept) < 8
    assert sorted(pair.name for pair in pairs) == sorted(f"{name}~{view}" for name in kept for view in range(2))
    assert count == len(pairs)
    for pair in pairs:
        assert min(pair.visible.shape) >= MINIMUM_SIDE
        wanted = 255 - (pair.infrared.astype(float) + pair.visible) / 2
        assert np.abs(pair.teacher - wanted).max() <= 0.5 + 1e-3


def test_a_recording_that_stopped_goes_on_to_the_same_end(teacher: Path, data: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    record(teacher, data, whole, views=1, seed=3)
    record(teacher, data, parts, views=1, seed=3)
    lost = sorted((parts / "language_teacher").iterdir())[2:4]
    for file in lost:
        file.unlink()
    kept = {file: file.stat().st_mtime_ns for file in (parts / "language_teacher").iterdir()}
    record(teacher, data, parts, views=1, seed=3)
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in kept.items())
    for file in whole.rglob("*.png"):
        assert file.read_bytes() == (parts / file.relative_to(whole)).read_bytes()


def test_views_differ_by_their_key(data: Path) -> None:
    pair = FolderPairs(data)[0]
    first, again, other = (make_view(pair, key) for key in ((0, 1, 0), (0, 1, 0), (0, 1, 1)))
    assert np.array_equal(first.visible, again.visible)
    assert first.visible.shape != other.visible.shape or not np.array_equal(first.visible, other.visible)


def test_without_pairs_nothing_is_written(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        record(teacher, tmp_path / "nothing", tmp_path / "out", views=1, seed=0)
    assert not (tmp_path / "out").exists()
