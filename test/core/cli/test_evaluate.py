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
    assert "infrared/scene2.png" in said and "mean/scene1.png could not be decoded: it is not an image" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "infrared", "visible"], "no folder at nowhere"),
        (["mean", "x/../mean", "infrared", "visible"], "both named 'mean'"),
        (["mean", "infrared", "visible", "--workers", "0"], "--workers: expected a whole number from 1"),
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
    assert "clip.mp4 cannot be read as a video" in capsys.readouterr().err


def bright_squares_detector(path):
    """A detector in YOLOX' layout: an object of class 0, 16 pixels wide, around every 8×8 cell that is bright."""
    side, cells = 64, 8 * 8 + 4 * 4 + 2 * 2
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra test)")
    TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper
    constants = {
        "dark": np.float32(-200), "scale": np.float32(1 / 55), "zero": np.float32(0), "one": np.float32(1),
        "boxes": np.tile(np.float32([0.5, 0.5, np.log(2), np.log(2)]), (1, 64, 1)),
        "nothing": np.zeros((1, cells - 64, 7), np.float32), "line": np.int64([1, 64, 1]),
        "certain": np.ones((1, 64, 1), np.float32), "none": np.zeros((1, 64, 1), np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Add", ["cells", "dark"], ["over"]),
        helper.make_node("Mul", ["over", "scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "zero", "one"], ["clipped"]),
        helper.make_node("Reshape", ["clipped", "line"], ["score"]),
        helper.make_node("Concat", ["boxes", "score", "certain", "none"], ["seen"], axis=2),
        helper.make_node("Concat", ["seen", "nothing"], ["output"], axis=1),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, side, side))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, cells, 7))
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "bright", [images], [output], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def test_objects_that_a_detector_finds(tmp_path, monkeypatch, capsys):
    """One object in the infrared, one in the visible; a set that keeps both, and one that keeps one and invents one."""
    monkeypatch.chdir(tmp_path)
    places = {"infrared": [(1, 1)], "visible": [(4, 5)], "both": [(1, 1), (4, 5)], "one": [(1, 1), (6, 2)]}
    for name, cells in places.items():
        image = np.full((64, 64), 90, np.uint8)
        for row, column in cells:
            image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 255
        (tmp_path / name).mkdir()
        for k in range(2):
            cv2.imwrite(str(tmp_path / name / f"{k}.png"), image)
    bright_squares_detector(tmp_path / "d.onnx")
    command = ["evaluate", "both", "one", "infrared", "visible", "--workers", "1", "--detector", "d.onnx"]
    assert main([*command, "--classes", "0", "--json", "out.json"]) == 0
    found = strict(tmp_path / "out.json")
    expected = {"objects": 4, "found": 1.0, "persons": 4, "persons_found": 1.0, "false_alarms": 0.0}
    assert {key: found["both"]["detector"][key] for key in expected} == expected
    assert found["one"]["detector"]["found"] == 0.5 and found["one"]["detector"]["false_alarms"] == 1.0
    assert found["one"]["detector"]["sources"]["visible"]["found"] == 0.5
    assert "of 4 objects that either source shows, 4 of them persons" in capsys.readouterr().out
    # Of another class there is none; and nobody is that certain.
    assert main([*command, "--classes", "1", "--person", "1", "--json", "none.json"]) == 0
    assert strict(tmp_path / "none.json")["both"]["detector"]["found"] is None
    assert main([*command, "--classes", "0", "--scores", "0.5", "1.5"]) == 2
    assert main([*command, "--classes", "7"]) == 2
    (tmp_path / "d.onnx").write_text("no model")
    assert main(command) == 2
