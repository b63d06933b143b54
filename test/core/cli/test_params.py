"""`--params`: what the node would refuse is refused by every command, in one line and before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ivif_core.cli.main import main
from ivif_core.fusion import Fuser
from ivif_core.imaging.files import read_visible, write_image
from ivif_core.settings import Settings

WRONG = {
    "{vividnes: 1.0}": "vividnes: no such parameter; the nearest is vividness",
    "{slop: 20}": "slop: 20.0 is outside [0, 10]",
    "{queue_size: 3.7}": "queue_size: expected a whole number, got 3.7",
    "{on_missing: bogus}": "on_missing: 'bogus' is not one of pause, visible_only, thermal_only, hold",
    "{engine: {precision: fp8}}": "engine.precision: 'fp8' is not one of fp32, fp16, int8",
}
TOPICS = ["--infrared", "/i", "--visible", "/v"]
COMMANDS = {
    "bag": ["bag", "in", "out", *TOPICS],
    "extract": ["extract", "in", "-o", "out", *TOPICS],
    "fuse": ["fuse", "in", "in", "-o", "out"],
    "fuse-many": ["fuse-many", "in", "-o", "out", *TOPICS],
}


@pytest.fixture
def pair(tmp_path, monkeypatch) -> tuple[np.ndarray, np.ndarray]:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    counts = rng.integers(20000, 24000, (48, 64)).astype(np.uint16)
    visible = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
    for folder in ("in/infrared", "in/visible"):
        Path(folder).mkdir(parents=True)
    write_image("in/infrared/a.png", counts)
    write_image("in/visible/a.png", visible)
    return counts, visible


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("parameters", WRONG)
def test_a_wrong_parameter_is_refused_before_any_work(pair, capsys, command, parameters):
    Path("fusion.yaml").write_text(f"/**: {{ros__parameters: {parameters}}}")
    assert main([*COMMANDS[command], "--params", "fusion.yaml"]) == 2
    assert capsys.readouterr().err.strip() == f"ivif {command}: {WRONG[parameters]}"
    assert not Path("out").exists()


def test_fuse_does_what_the_file_says_and_the_command_line_goes_over_it(pair):
    values = {"thermal_scaling.mode": "fixed", "thermal_scaling.low": 20000, "thermal_scaling.high": 24000}
    lines = "".join(f"    {name}: {value}\n" for name, value in {**values, "vividness": 0.1}.items())
    Path("fusion.yaml").write_text(f"/robot1/ivif_fusion:\n  ros__parameters:\n{lines}")
    command = ["fuse", "in/infrared/a.png", "in/visible/a.png", "--params", "fusion.yaml", "-o"]
    assert main([*command, "file.png"]) == 0 and main([*command, "flag.png", "--vividness", "0.9"]) == 0
    for name, vividness in (("file.png", 0.1), ("flag.png", 0.9)):
        with Fuser(scaling=Settings.from_values(values).scaling(), vividness=vividness) as fuser:
            np.testing.assert_array_equal(read_visible(name), fuser.fuse(*pair))
    assert main([*command, "x.png", "--node", "/robot2/ivif_fusion"]) == 2


def test_fuse_refuses_images_that_the_file_calls_too_large(pair, capsys):
    Path("fusion.yaml").write_text("/**: {ros__parameters: {maximum_megapixels: 0.01}}")
    write_image("large.png", np.zeros((101, 100, 3), np.uint8))
    command = ["fuse", "in/infrared/a.png", "large.png", "-o", "out.png", "--params", "fusion.yaml"]
    assert main(command) == 2 and "0.01 megapixels" in capsys.readouterr().err


def test_every_shipped_default_changes_no_pixel(pair):
    shipped = str(Path(__file__).parents[3] / "config" / "fusion.yaml")
    command = ["fuse", "in/infrared/a.png", "in/visible/a.png", "-o"]
    assert main([*command, "plain.png"]) == 0 and main([*command, "params.png", "--params", shipped]) == 0
    assert Path("plain.png").read_bytes() == Path("params.png").read_bytes()
    with Fuser() as fuser:
        np.testing.assert_array_equal(read_visible("plain.png"), fuser.fuse(*pair))


def test_the_colour_is_an_option_and_one_that_is_none_is_refused(pair, capsys):
    command = ["fuse", "in/infrared/a.png", "in/visible/a.png", "-o", "out.png", "--colour"]
    assert main([*command, "rainbow"]) == 2
    assert "output.colour: 'rainbow' is not one of fused, ironbow, white_hot, overlay" in capsys.readouterr().err
    assert main([*command, "overlay", "--grey"]) == 2
    assert "exclude each other" in capsys.readouterr().err and not Path("out.png").exists()
    assert main([*command, "white_hot"]) == 0
    with Fuser() as fuser:
        np.testing.assert_array_equal(read_visible(Path("out.png")), fuser.fuse(*pair, grey=True))
