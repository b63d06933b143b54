from __future__ import annotations

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.imaging import colour
from ivif_core.registration.base import Homography
from ivif_core.registration.file import save_homography


@pytest.fixture
def folders(tmp_path, rng):
    """Three pairs, one image without a partner on each side; other formats and sizes."""
    infrared, visible = tmp_path / "infrared", tmp_path / "visible"
    infrared.mkdir()
    visible.mkdir()
    for stem in ("a", "b", "c"):
        cv2.imwrite(str(infrared / f"{stem}.png"), rng.integers(0, 256, (40, 48)).astype(np.uint8))
        cv2.imwrite(str(visible / f"{stem}.jpg"), cv2.blur(rng.integers(0, 256, (40, 48, 3)).astype(np.uint8), (5, 5)))
    cv2.imwrite(str(infrared / "only_thermal.png"), np.zeros((40, 48), np.uint8))
    cv2.imwrite(str(visible / "only_visible.png"), np.zeros((40, 48), np.uint8))
    return infrared, visible


@pytest.fixture
def fuse(folders, brighter_model):
    def run(*options, output):
        return main(["fuse", *map(str, folders), "-o", str(output), "--model", str(brighter_model), *options])

    return run


def brighter(folders, stem):
    infrared = cv2.imread(str(folders[0] / f"{stem}.png"), cv2.IMREAD_GRAYSCALE)
    visible = cv2.imread(str(folders[1] / f"{stem}.jpg"))
    return np.maximum(infrared, colour.luminance(visible)), visible


def test_folders_are_fused_by_name_and_lonely_files_are_named(folders, fuse, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert fuse(output=out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png", "c.png"]
    for stem in ("a", "b", "c"):
        fused_y, visible = brighter(folders, stem)
        np.testing.assert_array_equal(cv2.imread(str(out / f"{stem}.png")), colour.recompose(fused_y, visible))
    said = capsys.readouterr()
    assert "3 pairs fused" in said.out and "2 files without a partner" in said.out
    assert "only_thermal.png" in said.err and "only_visible.png" in said.err


def test_grey_gives_luminance_only(folders, fuse, tmp_path):
    assert fuse("--grey", output=tmp_path / "out") == 0
    written = cv2.imread(str(tmp_path / "out" / "b.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, brighter(folders, "b")[0])


def test_what_is_there_is_replaced_only_when_asked(folders, fuse, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png").write_bytes(b"mine")
    assert fuse(output=out) == 0
    assert (out / "b.png").read_bytes() == b"mine"
    assert "2 pairs fused" in (said := capsys.readouterr().out) and "1 existed already" in said
    assert fuse("--overwrite", output=out) == 0
    np.testing.assert_array_equal(cv2.imread(str(out / "b.png")), colour.recompose(*brighter(folders, "b")))


def test_a_broken_image_is_named_and_the_rest_is_done(folders, fuse, tmp_path, capsys):
    whole = (folders[1] / "b.jpg").read_bytes()
    (folders[1] / "b.jpg").write_bytes(whole[: len(whole) // 2])
    cv2.imwrite(str(folders[1] / "c.jpg"), np.zeros((8, 8, 3), np.uint8))  # under the smallest size
    out = tmp_path / "out"
    assert fuse(output=out) == 1
    assert [path.name for path in out.iterdir()] == ["a.png"]
    said = capsys.readouterr().err
    assert "not fused: b: " in said and "b.jpg is cut short" in said and "not fused: c: " in said


def test_inputs_are_never_written_over(folders, fuse, brighter_model, capsys):
    before = (folders[1] / "a.jpg").read_bytes()
    for folder in folders:
        assert fuse("--overwrite", output=folder) == 2
        assert "holds inputs" in capsys.readouterr().err
    pair = [str(folders[0] / "a.png"), str(folders[1] / "a.jpg")]
    assert main(["fuse", *pair, "-o", pair[1], "--overwrite", "--model", str(brighter_model)]) == 2
    assert "is an input" in capsys.readouterr().err
    assert (folders[1] / "a.jpg").read_bytes() == before


def test_two_files(folders, brighter_model, tmp_path, capsys):
    command = ["fuse", str(folders[0] / "a.png"), str(folders[1] / "a.jpg"), "--model", str(brighter_model), "-o"]
    out = tmp_path / "fused.png"
    assert main([*command, str(out)]) == 0
    np.testing.assert_array_equal(cv2.imread(str(out)), colour.recompose(*brighter(folders, "a")))
    assert main([*command, str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, str(out), "--overwrite"]) == 0
    for bad in (tmp_path, tmp_path / "fused", tmp_path / "nowhere" / "fused.png"):
        assert main([*command, str(bad)]) == 2
        assert str(bad) in capsys.readouterr().err


def test_sixteen_bit_thermal_of_another_size(brighter_model, tmp_path, rng):
    counts = rng.integers(7000, 9000, (30, 36)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "thermal.png"), counts)
    cv2.imwrite(str(tmp_path / "visible.png"), np.full((60, 72, 3), 40, np.uint8))
    files = [str(tmp_path / f"{name}.png") for name in ("thermal", "visible", "fused")]
    assert main(["fuse", *files[:2], "-o", files[2], "--grey", "--model", str(brighter_model)]) == 0
    fused = cv2.imread(files[2], cv2.IMREAD_UNCHANGED)
    assert fused.shape == (60, 72) and fused.min() == 40 and fused.max() > 240


def test_a_registration_file_is_followed(brighter_model, tmp_path):
    """Thermal moved by 8 pixels to the right: the bright bar comes out there, and beside its view RGB is left."""
    infrared = np.zeros((48, 64), np.uint8)
    infrared[:, 20:30] = 200
    cv2.imwrite(str(tmp_path / "thermal.png"), infrared)
    cv2.imwrite(str(tmp_path / "visible.png"), np.full((48, 64, 3), 40, np.uint8))
    save_homography(tmp_path / "r.yaml", Homography(np.array([[1, 0, 8], [0, 1, 0], [0, 0, 1.0]])), {})
    files = [str(tmp_path / f"{name}.png") for name in ("thermal", "visible", "fused")]
    options = ["--grey", "--model", str(brighter_model), "--registration", str(tmp_path / "r.yaml")]
    assert main(["fuse", *files[:2], "-o", files[2], *options]) == 0
    expected = np.full((48, 64), 40)
    expected[:, 28:38] = 200
    assert np.abs(cv2.imread(files[2], cv2.IMREAD_UNCHANGED) - expected).max() <= 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"infrared": "nowhere"}, "nowhere"),
        ({"visible": "empty"}, "no names match"),
        ({"--vividness": "1.5"}, "vividness: 1.5 is outside [0, 1]"),
        ({"--backend": "abacus"}, "backend: 'abacus' is not one of auto"),
        ({"--registration": "nothing.yaml"}, "nothing.yaml"),
        ({"--model": "nothing.onnx"}, "no file at nothing.onnx"),
    ],
)
def test_wrong_input_says_what_is_wrong(change, says, folders, brighter_model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    given = {"infrared": str(folders[0]), "visible": str(folders[1]), "--model": str(brighter_model), "-o": "out"}
    given.update(change)
    options = [part for key, value in given.items() if key.startswith("-") for part in (key, value)]
    assert main(["fuse", given["infrared"], given["visible"], *options]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_that_one_reading_takes_and_another_refuses_leaves_no_output(brighter_model, tmp_path, rng, capsys):
    """16-bit TIFF whose LZW data end early: libtiff's way to 8 bits fills up what is missing, the other does not."""
    good, broken = tmp_path / "good.png", tmp_path / "broken.tiff"
    cv2.imwrite(str(good), rng.integers(0, 256, (48, 48)).astype(np.uint8))
    counts = cv2.resize(rng.integers(20000, 24000, (6, 8), np.uint16), (48, 48))
    whole = bytearray(cv2.imencode(".tiff", counts)[1].tobytes())
    for place in range(8, 600, 7):
        data = bytearray(whole)
        data[place : place + 4] = b"\xff" * 4
        broken.write_bytes(data)
        code = main(["fuse", str(good), str(broken), "-o", str(tmp_path / "out.png"), "--model", str(brighter_model)])
        assert code in (0, 2) and (tmp_path / "out.png").is_file() == (code == 0), place
        (tmp_path / "out.png").unlink(missing_ok=True)
    assert "Traceback" not in capsys.readouterr().err
