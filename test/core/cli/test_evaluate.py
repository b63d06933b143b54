from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.evaluation.metrics import METRICS


@pytest.fixture
def folders(tmp_path, rng, monkeypatch):
    """infrared, visible, mean and noisy in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("infrared", "visible", "mean", "noisy"):
        (tmp_path / name).mkdir()
    for k in range(5):
        infrared, visible = (cv2.blur(rng.integers(0, 256, (48, 60)).astype(np.uint8), (5, 5)) for _ in range(2))
        mean = ((infrared.astype(int) + visible) // 2).astype(np.uint8)
        noisy = np.clip(mean + rng.normal(0, 30, mean.shape), 0, 255).astype(np.uint8)
        for name, image in (("infrared", infrared), ("visible", visible), ("mean", mean), ("noisy", noisy)):
            cv2.imwrite(str(tmp_path / name / f"scene{k}.png"), image)
    return tmp_path


def strict(path):
    """JSON as other languages read it: without NaN."""
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_json_of_one_folder(folders, capsys):
    assert main(["evaluate", "mean", "infrared", "visible", "--json", "out.json", "--workers", "1"]) == 0
    found = strict(folders / "out.json")
    assert list(found) == ["mean"] and list(found["mean"]) == ["mean", "std", "images"]
    assert list(found["mean"]["mean"]) == list(found["mean"]["std"]) == list(METRICS)
    assert list(found["mean"]["images"]) == [f"scene{k}" for k in range(5)]
    values = [image["Qabf"] for image in found["mean"]["images"].values()]
    assert found["mean"]["mean"]["Qabf"] == pytest.approx(np.mean(values))
    assert found["mean"]["std"]["Qabf"] == pytest.approx(np.std(values))
    assert found["mean"]["mean"]["glare_detail"] is None
    said = capsys.readouterr().out
    assert f"{np.mean(values):.4g} ± {np.std(values):.2g}" in said and "over 5 images" in said


def test_several_folders_are_ranked(folders, capsys):
    assert main(["evaluate", "mean", "with noise=noisy", "infrared", "visible", "--json", "out.json"]) == 0
    found = strict(folders / "out.json")
    assert list(found) == ["mean", "with noise"]
    assert found["mean"]["rank"]["PSNR"] == 1 and found["with noise"]["rank"]["PSNR"] == 2
    assert found["mean"]["rank"]["SF"] == 2
    lead = found["mean"]["minus"]["with noise"]["PSNR"]
    assert 0 < lead["low"] < lead["mean"] < lead["high"]
    expected = found["mean"]["mean"]["PSNR"] - found["with noise"]["mean"]["PSNR"]
    assert lead["mean"] == pytest.approx(expected)
    said = capsys.readouterr().out
    assert "(1)" in said and "(2)" in said and "with noise" in said


def test_what_is_missing_or_broken_is_named_and_the_rest_is_measured(folders, capsys):
    (folders / "mean" / "scene1.png").write_bytes(b"no image")
    (folders / "mean" / "scene2.png").unlink()
    assert main(["evaluate", "mean", "infrared", "visible", "--json", "out.json", "--workers", "1"]) == 1
    assert list(strict(folders / "out.json")["mean"]["images"]) == ["scene0", "scene3", "scene4"]
    said = capsys.readouterr().err
    assert "infrared/scene2.png" in said and "mean/scene1.png could not be decoded: it is no image" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "infrared", "visible"], "no folder at nowhere"),
        (["mean", "x/../mean", "infrared", "visible"], "both named 'mean'"),
        (["mean", "infrared", "visible", "--workers", "0"], "--workers: expected at least 1"),
        (
            ["mean", "infrared", "visible", "--json", "none/out.json"],
            "cannot write none/out.json: expected the path of a file",
        ),
    ],
)
def test_wrong_input_says_what_is_wrong(arguments, says, folders, capsys):
    (folders / "x").mkdir()
    assert main(["evaluate", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_folder_may_have_an_equals_sign(folders):
    (folders / "mean").rename(folders / "v=1")
    assert main(["evaluate", "v=1", "infrared", "visible", "--json", "out.json", "--workers", "1"]) == 0
    assert list(strict(folders / "out.json")) == ["v=1"]


def test_json_can_be_printed(folders, capsys):
    assert main(["evaluate", "mean", "infrared", "visible", "--json", "-", "--workers", "1"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["mean"]
    assert not (folders / "-").exists()


def test_videos_are_sequences(folders, capsys):
    """Lossless, so that the same frames as images give the same figures; one is longer by a frame."""
    for name in ("infrared", "visible", "noisy"):
        writer = cv2.VideoWriter(str(folders / f"{name}.avi"), cv2.VideoWriter_fourcc(*"FFV1"), 10, (60, 48))
        for k in (0, 1, 2, 3, 4, 4)[: 6 if name == "infrared" else 5]:
            writer.write(cv2.imread(str(folders / name / f"scene{k}.png")))
        writer.release()
    videos = ["noisy.avi", "infrared.avi", "visible.avi"]
    assert main(["evaluate", *videos, "--json", "video.json", "--workers", "1"]) == 0
    assert "000005.png" in capsys.readouterr().err
    images = ["evaluate", "noisy", "infrared", "visible", "--sequence", "--json", "images.json", "--workers", "1"]
    assert main(images) == 0
    of_video, of_images = strict(folders / "video.json")["noisy"], strict(folders / "images.json")["noisy"]
    assert list(of_video["images"]) == [f"{k:06}" for k in range(5)]
    assert of_video["mean"]["temporal_stability"] > 0
    for column, value in of_images["mean"].items():
        assert of_video["mean"][column] == (value if value is None else pytest.approx(value, rel=0.02)), column


def test_what_is_no_video_is_named(folders, capsys):
    (folders / "clip.mp4").write_bytes(b"no video")
    assert main(["evaluate", "clip.mp4", "infrared", "visible"]) == 2
    assert "clip.mp4 is no video" in capsys.readouterr().err
