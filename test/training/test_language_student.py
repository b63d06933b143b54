"""The sentence reaches what the student makes at vividness 1, and nothing else: small real runs with a tiny CLIP."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ivif_core.cli.main import main as ivif
from ivif_core.errors import ConfigError, ModelError
from ivif_core.training import language_student
from ivif_core.training.checkpoint import load_checkpoint
from ivif_core.training.data.pairs import FolderPairs
from ivif_core.training.language_student import guards_of, load_student_recipe, teach_by_recipe
from ivif_core.training.networks.aimed_student import VIVID_ROWS
from ivif_core.training.networks.learned_student import LearnedStudent
from ivif_core.training.run import CHECKPOINT
from ivif_core.training.teach_student import StudentRecipe, distill_student, load_student, make_student

SHAPE = {"channels": 8, "dilations": [1], "wide_channels": 8, "wide_dilations": [1]}
RECIPE = """
teacher: visible
steps: 2
batch: 4
crop: 64
width: 64
window: [32, 32]
image_every: 1000
accelerator: cpu
validation_share: 0.0
channels: 8
dilations: [1]
wide_channels: 8
wide_dilations: [1]
"""
LANGUAGE = """
language:
  weight: 1.0
  steps: 8
  crop: 32
  rate: 2.0e-2
  clip: {model: tiny.json, pretrained: tiny.pt}
  patches: {count: 2, entropy: 3.0}
  perceptual: {features: pixels, weight: 1.0}
"""


@pytest.fixture(scope="module")
def folder(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipes without and with a sentence, and `start.pt`, a student of random weights."""
    folder = tmp_path_factory.mktemp("language")
    plain = RECIPE + f"data: {workshop}\noutput: {folder}/run\n"
    (folder / "plain.yaml").write_text(plain)
    said = LANGUAGE.replace("tiny", f"{workshop}/tiny") + f"  start: {folder}/start.pt\n"
    (folder / "said.yaml").write_text(plain + said)
    torch.manual_seed(1)
    student = make_student(SHAPE)
    torch.nn.init.normal_(student.maps.head.weight, std=0.02)
    torch.save({"kind": "student", "step": 1, "recipe": SHAPE, "model": student.state_dict()}, folder / "start.pt")
    return folder


def distil(folder: Path, output: Path, *overrides: str, recipe: str = "said.yaml") -> LearnedStudent:
    assert ivif(["distill", str(folder / recipe), f"output={output}", *overrides]) == 0
    return load_student(output / CHECKPOINT)


def fused(student: LearnedStudent, workshop: Path, vividness: float) -> torch.Tensor:
    """All pairs, N×1×H×W."""
    sources = (np.stack([getattr(p, n) for p in FolderPairs(workshop)])[:, None] for n in ("infrared", "visible"))
    with torch.no_grad():
        return student(*(torch.from_numpy(images) / 255 for images in sources), torch.tensor([vividness]))


@pytest.mark.usefixtures("unexported")
def test_the_sentence_reaches_the_output(folder: Path, workshop: Path, tmp_path: Path) -> None:
    """The runs differ in the sentence alone: where it did not reach the output, both students would be the same."""
    images = [
        fused(distil(folder, tmp_path / aim, f"language.texts.fused={aim}"), workshop, 1.0)
        for aim in ("a bright street", "a dark image of nobody")
    ]
    assert float((images[0] - images[1]).abs().mean()) > 1 / 255


@pytest.mark.usefixtures("unexported")
def test_the_faithful_end_stays_bit_by_bit(folder: Path, workshop: Path, tmp_path: Path) -> None:
    before, after = load_student(folder / "start.pt"), distil(folder, tmp_path)
    assert torch.equal(fused(before, workshop, 0.0), fused(after, workshop, 0.0))
    assert not torch.equal(fused(before, workshop, 1.0), fused(after, workshop, 1.0))
    for name, values in before.state_dict().items():
        kept = slice(-VIVID_ROWS) if name.startswith("maps.head") else slice(None)
        assert torch.equal(values[kept], after.state_dict()[name][kept]), name


@pytest.mark.usefixtures("unexported")
def test_a_weight_of_0_is_plain_distillation(folder: Path, tmp_path: Path) -> None:
    said = distil(folder, tmp_path / "said", "language.weight=0", "language.start=")
    plain = StudentRecipe(
        **{key: value for key, value in vars(load_student_recipe(folder / "plain.yaml")).items() if key != "language"}
    )
    distill_student(replace(plain, output=str(tmp_path / "plain")))
    found = [load_checkpoint(tmp_path / name / CHECKPOINT, "student") for name in ("said", "plain")]
    assert all(torch.equal(values, found[1]["model"][name]) for name, values in found[0]["model"].items())
    first, second = ({**entry["recipe"], "output": ""} for entry in found)
    assert first == second
    assert all(torch.equal(values, found[1]["model"][name]) for name, values in said.state_dict().items())


@pytest.mark.usefixtures("unexported")
def test_distilled_first_where_no_start_is_given(folder: Path, workshop: Path, tmp_path: Path) -> None:
    after = distil(folder, tmp_path / "both", "language.start=")
    before = distil(folder, tmp_path / "plain", recipe="plain.yaml")
    assert torch.equal(fused(before, workshop, 0.0), fused(after, workshop, 0.0))
    with pytest.raises(ConfigError, match="another recipe"):  # before a step of the long part is run
        teach_by_recipe(
            load_student_recipe(
                folder / "said.yaml",
                [f"output={tmp_path / 'both'}", "language.start=", "language.rate=1e-3", "teacher=nowhere"],
            )
        )


@pytest.mark.usefixtures("unexported")
def test_a_resumed_run_ends_bit_equal(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = distil(folder, tmp_path / "whole").state_dict(), []

    def interrupting(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return guards_of(*arguments)

    monkeypatch.setattr(language_student, "guards_of", interrupting)
    recipe = load_student_recipe(folder / "said.yaml", [f"output={tmp_path / 'parts'}"])
    with pytest.raises(KeyboardInterrupt):
        teach_by_recipe(recipe)
    assert load_checkpoint(tmp_path / "parts" / CHECKPOINT, "student")["step"] == 3
    teach_by_recipe(recipe)
    parts = load_student(tmp_path / "parts" / CHECKPOINT).state_dict()
    assert len(calls) == 8 and all(torch.equal(values, parts[name]) for name, values in whole.items())


@pytest.mark.usefixtures("unexported")
def test_guards_count_and_that_of_warm_things_is_switched_off_by_its_weight(folder: Path, tmp_path: Path) -> None:
    """With no weight for anything else, a guard alone moves the student; without any it stays where it is."""
    silent = [f"language.parts.{name}=0" for name in ("whole", "patches", "similarity")]
    off = [f"vivid.{name}=0" for name in ("edges", "information", "differences", "noise", "glare", "warm", "flicker")]
    alone = [*silent, "language.perceptual.weight=0", "overflow=0"]
    start = load_student(folder / "start.pt").maps.head.bias
    assert torch.equal(distil(folder, tmp_path / "off", *alone, *off).maps.head.bias, start)
    assert not torch.equal(distil(folder, tmp_path / "on", *alone, *off, "vivid.edges=1").maps.head.bias, start)


def test_it_goes_on_from_files_and_from_what_ships(
    folder: Path, workshop: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The start's size counts, not the recipe's."""
    made = distil(folder, tmp_path / "first", "language.steps=1")
    assert (tmp_path / "first/student_maps.onnx").is_file()
    request.getfixturevalue("unexported")
    again = distil(folder, tmp_path / "again", "language.steps=1", f"language.start={tmp_path / 'first/student.onnx'}")
    assert torch.equal(fused(made, workshop, 0.0), fused(again, workshop, 0.0))
    uint8 = load_student(tmp_path / "first/student_uint8.onnx").state_dict()
    assert all(torch.equal(values, uint8[name]) for name, values in made.state_dict().items())
    shipped = distil(folder, tmp_path / "shipped", "language.steps=1", "language.start=shipped")
    assert torch.equal(fused(load_student("shipped"), workshop, 0.0), fused(shipped, workshop, 0.0))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["language.weight=0"], "language.weight=1"),
        (["language.start=", "devices=2"], "language.start=…"),
        (["language.weight=-1"], "language.weight: expected 0 to 1000"),
        (["language.weight=.nan"], "language.weight"),
        (["language.crop=8"], "language.crop: expected 32"),
        (["language.patches.count=0"], "language.patches.count"),
        (["language.goal=people"], "unknown key 'language.goal'"),
        (["language.texts.fused=[]"], "texts.fused: expected at least one sentence"),
        (["language.start=nowhere.pt"], "nowhere.pt"),
        (["language.start=nowhere.onnx"], "nowhere.onnx"),
        (["language.clip.pretrained=/nowhere/clip.pt"], "/nowhere/clip.pt"),
        (["language.start=", "language.clip.pretrained=/nowhere/clip.pt"], "/nowhere/clip.pt"),
        (["language.start=", "language.perceptual.features=vgg"], "perceptual.features"),
        (["language.perceptual.features=vgg"], "perceptual.features"),
    ],
)
def test_what_cannot_be_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], said: str
) -> None:
    assert ivif(["distill", str(folder / "said.yaml"), f"output={tmp_path / 'run'}", *overrides]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ivif")]
    assert len(lines) == 1 and said in lines[0], lines
    assert not (tmp_path / "run").exists()


def test_an_onnx_file_that_is_broken_or_of_another_network_is_refused(tmp_path: Path) -> None:
    from ivif_core.training.export import export_student
    from ivif_core.training.networks.rule_reference import RuleReference

    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        load_student(tmp_path / "broken.onnx")
    export_student(RuleReference(), tmp_path, recipe="", name="rules")
    with pytest.raises(ModelError, match="RuleReference"):
        load_student(tmp_path / "rules.onnx")
