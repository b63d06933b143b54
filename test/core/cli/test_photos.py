"""`ivif fuse` and `ivif extract` with radiometric photos."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.fusion import Fuser
from ivif_core.imaging import colour
from ivif_core.imaging.files import read_infrared
from ivif_core.offline.radiometric_photo import read_photo
from ivif_core.settings import Settings, read_parameter_file
from test.core import flir_photo as flir

pytest.importorskip("flyr", reason="flyr is not installed (extra radiometric)")


@pytest.fixture
def inspection(tmp_path):
    folder = tmp_path / "inspection"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.jpg").write_bytes(flir.make_photo(np.random.default_rng(index)))
    return folder


@pytest.fixture
def fuse(brighter_model):
    def run(*arguments):
        return main(["fuse", *map(str, arguments), "--model", str(brighter_model)])

    return run


def one_line(capsys, status, *words):
    said = capsys.readouterr()
    assert status == 2 and said.out == "" and said.err.count("\n") == 1, said
    assert all(word in said.err for word in words), said.err


def expected(path):
    """Thermal by 1st to 99th percentile, placed as the camera notes it; brighter_model takes the brighter of both."""
    photo = read_photo(path)
    low, high = np.percentile(photo.celsius, [1, 99])
    intensity = cv2.convertScaleAbs(np.clip((photo.celsius - low) / (high - low), 0, 1), alpha=255)
    visible_y = colour.luminance(photo.visible)
    registered, outside = photo.registration.apply(intensity, visible_y.shape)
    return colour.recompose(np.maximum(outside.fill(registered, visible_y), visible_y), photo.visible)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_photo_is_fused_with_itself(inspection, fuse, tmp_path, capsys, count):
    photos = sorted(inspection.iterdir())[:count]
    assert fuse(*photos, "-o", tmp_path / "fused") == 0
    assert f"{count} photos fused into" in capsys.readouterr().out
    for path in photos:
        made = cv2.imread(str(tmp_path / "fused" / f"{path.stem}.png")).astype(int)
        assert np.abs(made - expected(path)).mean() < 1 and (np.abs(made - expected(path)) > 12).mean() < 0.01


def test_a_folder_of_photos_and_one_file(inspection, fuse, tmp_path, capsys):
    assert fuse(inspection, "-o", tmp_path / "fused") == 0
    assert fuse(inspection / "0.jpg", "-o", tmp_path / "one.png") == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "fused" / "0.png").read_bytes()
    assert fuse(inspection, "-o", inspection / "fused") == 2
    assert fuse(inspection / "0.jpg", inspection / "1.jpg", inspection / "2.jpg", "-o", inspection / "fused") == 0
    capsys.readouterr()
    one_line(capsys, fuse(inspection, "-o", tmp_path / "two.png"), "expected a folder", "3 photos")
    one_line(capsys, fuse(inspection / "0.jpg", "-o", tmp_path / "one.png"), "--overwrite")


def test_two_jpegs_and_a_file_are_a_pair_as_ever(inspection, fuse, tmp_path):
    pair = inspection / "0.jpg", inspection / "1.jpg"
    assert fuse(*pair, "-o", tmp_path / "pair.png") == 0
    assert cv2.imread(str(tmp_path / "pair.png")).shape == (60, 80, 3)  # what the files show, not what they hold


def test_two_plain_jpegs_and_a_folder_are_told_how_a_pair_is_named(tmp_path, fuse, capsys):
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), np.zeros((60, 80, 3), np.uint8))
    status = fuse(tmp_path / "a.jpg", tmp_path / "b.jpg", "-o", tmp_path / "fused")
    one_line(capsys, status, "plain JPEG", "none of 1 others", "-o fused.png")


def test_a_photo_that_does_not_say_how_its_pictures_lie_is_named(tmp_path, rng, fuse, capsys):
    (tmp_path / "a.jpg").write_bytes(flir.make_photo(rng, flir.IN_PICTURE))
    assert fuse(tmp_path / "a.jpg", "-o", tmp_path / "a.png") == 0
    assert "a.jpg does not say how its pictures lie; thermal was resized" in capsys.readouterr().err


def test_a_range_is_in_celsius_whatever_the_file_says_of_counts(inspection, fuse, tmp_path):
    params = tmp_path / "p.yaml"
    params.write_text(
        "/ivif_fusion:\n  ros__parameters:\n    radiometry: {kind: linear, scale: 0.01, offset: -273.15}\n"
        "    thermal_scaling: {mode: fixed, low: 20.0, high: 30.0}\n"
    )
    photo = read_photo(inspection / "0.jpg")
    assert fuse(inspection / "0.jpg", "--params", params, "--grey", "-o", tmp_path / "f.png") == 0
    intensity = cv2.convertScaleAbs(np.clip((photo.celsius - 20) / 10, 0, 1), alpha=255)
    visible_y = colour.luminance(photo.visible)
    registered, outside = photo.registration.apply(intensity, visible_y.shape)
    made = cv2.imread(str(tmp_path / "f.png"), cv2.IMREAD_GRAYSCALE).astype(int)
    assert np.abs(made - np.maximum(outside.fill(registered, visible_y), visible_y)).max() <= 1


def test_a_broken_photo_is_named_and_the_rest_is_done(inspection, fuse, tmp_path, capsys):
    (inspection / "1.jpg").write_bytes((inspection / "1.jpg").read_bytes()[:3000])
    assert fuse(inspection, "-o", tmp_path / "fused") == 1
    said = capsys.readouterr()
    assert "2 photos fused" in said.out and "not fused: 1: " in said.err and "cut short" in said.err
    for index in (0, 2):
        (inspection / f"{index}.jpg").write_bytes(flir.make_photo(np.random.default_rng(), flir.EMBEDDED))
    one_line(capsys, fuse(inspection, "-o", tmp_path / "none"), "no visible picture", "none of 2 others")


@pytest.mark.parametrize("command", ["fuse", "extract"])
def test_what_holds_no_two_pictures_is_one_line_and_leaves_nothing(tmp_path, rng, capsys, command, brighter_model):
    cv2.imwrite(str(tmp_path / "plain.jpg"), np.zeros((60, 80, 3), np.uint8))
    whole = flir.make_photo(rng)
    (tmp_path / "no_visible.jpg").write_bytes(flir.make_photo(rng, flir.EMBEDDED))
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.jpg").mkdir()
    model = ["--model", str(brighter_model)] if command == "fuse" else []
    for name, words in {
        "plain": "plain JPEG",
        "no_visible": "no visible",
        "cut": "cut short",
        "folder": "no JPEG files",
        "none": "cannot read",
    }.items():
        status = main([command, str(tmp_path / f"{name}.jpg"), "-o", str(tmp_path / "out"), *model])
        one_line(capsys, status, words)
        assert not list(tmp_path.glob("out/*"))


def test_options_of_bags_and_crops_are_refused(inspection, tmp_path, capsys):
    extract = ["extract", str(inspection / "0.jpg"), "-o", str(tmp_path / "out")]
    one_line(capsys, main([*extract, "--infrared", "/t"]), "--infrared", "bags only")
    one_line(capsys, main([*extract, "--every", "2"]), "--every")
    params = tmp_path / "p.yaml"
    params.write_text("/**:\n  ros__parameters:\n    thermal_crop: [2.0, 0.0, 0.0, 0.0]\n")
    one_line(capsys, main([*extract, "--params", str(params)]), "photos are taken whole")


def test_without_the_extra_one_line_says_what_to_install(inspection, tmp_path):
    code = (
        "import sys\nsys.modules['flyr'] = None\nfrom ivif_core.cli.main import main\n"
        f"sys.exit(main(['fuse', {str(inspection)!r}, '-o', {str(tmp_path / 'out')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "flyr" in done.stderr and "pip install" in done.stderr and "radiometric" in done.stderr


def test_what_is_extracted_is_fused_to_the_same(inspection, fuse, tmp_path, capsys):
    out = tmp_path / "out"
    (inspection / "1.jpg").write_bytes(b"")
    assert main(["extract", str(inspection), "-o", str(out)]) == 1
    said = capsys.readouterr()
    assert "2 pairs" in said.out and "left out: " in said.err
    photo = read_photo(inspection / "0.jpg")
    counts = read_infrared(out / "infrared" / "0.png")
    assert counts.dtype == np.uint16
    settings = Settings.from_values(read_parameter_file(out / "0.yaml"))
    np.testing.assert_allclose(settings.radiometry().celsius(counts), photo.celsius, atol=0.006)
    np.testing.assert_allclose(settings.registration.matrix, photo.registration.matrix, rtol=1e-8)
    fused = settings.fuser(is_stream=False).fuse(counts, cv2.imread(str(out / "visible" / "0.png")))
    direct = Fuser(registration=photo.registration).fuse(photo.celsius, photo.visible)
    assert np.abs(fused.astype(int) - direct).mean() < 0.5
    assert main(["extract", str(inspection), "-o", str(out)]) == 2  # it exists already


def test_hot_photos_take_coarser_steps(tmp_path, rng):
    celsius = flir.scene(rng)[0] + 500
    hot = {flir.RAW: flir.raw_record(flir.counts_of(celsius, 1700.0)), flir.CAMERA: flir.camera_record(R1=1700.0)}
    records = flir.make_records(rng) | hot
    (tmp_path / "hot.jpg").write_bytes(flir.in_jpeg(flir.fff(records)))
    assert main(["extract", str(tmp_path / "hot.jpg"), "-o", str(tmp_path / "out")]) == 0
    settings = Settings.from_values(read_parameter_file(tmp_path / "out" / "hot.yaml"))
    written = settings.radiometry().celsius(read_infrared(tmp_path / "out" / "infrared" / "hot.png"))
    np.testing.assert_allclose(written, celsius, atol=0.11)
