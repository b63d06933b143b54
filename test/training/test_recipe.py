from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.errors import ConfigError
from ivif_core.training import train_pocket_clip
from ivif_core.training.recipe import RunRecipe, find_recipe, from_dict, load_recipe, to_dict
from ivif_core.training.train_teacher import load_teacher_recipe


@dataclass(frozen=True, kw_only=True)
class Recipe(RunRecipe):
    rate: float = 1e-3
    texts: tuple[str, ...] = ("a text",)
    limit: int | None = None


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("data: pairs\noutput: run\nsteps: 10\nbatch: 2\ncrop: 32\nrate: 5e-4\n")
    return path


def test_file_and_overrides_become_typed_values(path):
    recipe = load_recipe(Recipe, path, ["steps=20", "bag.slop=0.1", "texts=[one, two]", "limit=3", "data=a=b"])
    assert (recipe.steps, recipe.rate, recipe.texts, recipe.limit) == (20, 5e-4, ("one", "two"), 3)
    assert recipe.bag.slop == 0.1 and recipe.data == "a=b" and recipe.seed == 0
    assert load_recipe(Recipe, path, ["texts=one only", "limit=null"]).texts == ("one only",)
    assert from_dict(Recipe, to_dict(recipe), "memory") == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stpes=3", "unknown key 'stpes'; the nearest is 'steps'"),
        ("bag.slopp=3", r"unknown key 'bag\.slopp'; the nearest is 'bag\.slop'"),
        ("steps=many", "steps takes int, got 'many'"),
        ("steps=true", "steps takes int, got True"),
        ("rate=fast", "rate takes float"),
        ("bag.slop=20", r"bag\.slop: 20\.0 is outside \[0, 10\]"),
        ("bag.queue_size=0", r"bag\.queue_size: 0 is outside \[1, 1000\]"),
        ("bag.time_offset=-11", r"bag\.time_offset: -11\.0 is outside"),
        ("bag.every=0", r"bag\.every: expected 1 to 1e\+09, got 0"),
        ("bag.scaling.mode=magic", r"bag\.scaling\.mode: 'magic' is not one of percentile"),
        ("bag.scaling.smoothing=1", r"bag\.scaling\.smoothing: 1\.0 is outside"),
        ("bag.scaling.low=.nan", r"bag\.scaling\.low: expected a finite number"),
        ("bag.scaling={mode: fixed, low: 9, high: 3}", "low must be under high"),
        ("texts=[1]", r"texts\[0\] takes str, got 1"),
        ("bag=3", "bag is a group"),
        ("data.x=3", "data is a value, not a group"),
        ("steps", "not an override"),
        ("steps=[1", "cannot be read"),
        ("steps=.inf", r"steps takes int, got inf"),
        ("steps=.nan", r"steps takes int, got nan"),
        ("steps=0", "steps: expected 1 to 1e"),
        ("steps=-3", "steps: expected 1 to 1e"),
        ("steps=" + "9" * 400, "steps: expected 1 to 1e"),
        ("batch=0", "batch: expected 1 to 65536, got 0"),
        ("crop=-32", "crop: expected 1 to 8192, got -32"),
        ("seed=-1", "seed: expected 0 to"),
        ("validation_share=1.5", "validation_share: expected 0 to 1, got 1.5"),
        ("checkpoint_every=0", "checkpoint_every: expected 1"),
        ("workers=-1", "workers: expected 0"),
        ("bag.slop=-1", r"bag\.slop: -1\.0 is outside \[0, 10\]"),
        ("bag.time_offset=.nan", r"bag\.time_offset: expected a finite number, got nan"),
        ("rate=.inf", "rate: expected a finite number, got inf"),
        ("rate=" + "9" * 400, "rate takes float"),
        ("limit=-" + "9" * 40, "limit: expected a finite number"),
    ],
)
def test_mistakes_are_named(path, override, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(Recipe, path, [override])


def test_missing_keys_and_files_are_named(path, tmp_path):
    path.write_text("data: pairs\n")
    with pytest.raises(ConfigError, match="missing output, steps"):
        load_recipe(Recipe, path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(Recipe, tmp_path / "none.yaml")
    path.write_text("just words")
    with pytest.raises(ConfigError, match="expected 'key: value'"):
        load_recipe(Recipe, path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(Recipe, path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from([field.name for field in dataclasses.fields(Recipe)])


@settings(max_examples=40)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_whatever_stands_in_a_recipe_is_taken_within_its_ranges_or_refused_in_one_line(values):
    whole = {"data": "pairs", "output": "run", "steps": 10, "batch": 2, "crop": 32, **values}
    try:
        recipe = from_dict(Recipe, whole, "memory")
    except ConfigError as error:
        assert "\n" not in str(error) and len(str(error)) < 400
        return
    for key, (low, high) in Recipe.RANGES.items():
        place = recipe
        for name in key.split("."):
            place = getattr(place, name)
        assert low <= place <= high


def test_recipes_of_the_package_are_found_by_name_and_files_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = find_recipe("student.yaml")
    assert shipped.is_file() and shipped.parent.name == "recipes"
    (tmp_path / "student.yaml").write_text("mine: 1")
    assert find_recipe("student.yaml") == Path("student.yaml")
    with pytest.raises(ConfigError, match=r"techer\.yaml.*student\.yaml.*, teacher\.yaml"):
        find_recipe("techer.yaml")


@pytest.mark.parametrize("name", ["teacher.yaml", "teacher_pocket.yaml", "pocket_clip.yaml"])
def test_what_a_shipped_recipe_names_is_found_beside_it(tmp_path, monkeypatch, name):
    """`teacher_pocket.yaml` names `pocket_clip.json` and `pocket_clip.yaml`, which names that JSON file too."""
    monkeypatch.chdir(tmp_path)
    made = []
    monkeypatch.setattr(
        train_pocket_clip,
        "train_pocket_clip",
        lambda recipe, why: made.append(recipe) or Path("runs/pocket_clip/clip.pt"),
    )
    if name == "pocket_clip.yaml":
        made.append(train_pocket_clip.load_pocket_clip_recipe(name))
    else:
        recipe = load_teacher_recipe(name)
        assert name == "teacher.yaml" or Path(recipe.clip.model).is_file()
    assert all(Path(recipe.architecture).is_file() for recipe in made) and len(made) == (name != "teacher.yaml")
