from __future__ import annotations

from dataclasses import dataclass

import pytest

from ivif_core.errors import ConfigError
from ivif_core.training.recipe import RunRecipe, from_dict, load_recipe, to_dict


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
        ("bag.every=0", r"bag\.every: expected 1 or more"),
        ("bag.scaling.mode=magic", r"bag\.scaling\.mode: 'magic' is not one of percentile"),
        ("bag.scaling.smoothing=1", r"bag\.scaling\.smoothing: 1\.0 is outside"),
        ("bag.scaling.low=.nan", r"bag\.scaling\.low: expected a finite number"),
        ("bag.scaling={mode: fixed, low: 9, high: 3}", "low must be under high"),
        ("texts=[1]", r"texts\[0\] takes str, got 1"),
        ("bag=3", "bag is a group"),
        ("data.x=3", "data is a value, not a group"),
        ("steps", "no override"),
        ("steps=[1", "cannot be read"),
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
