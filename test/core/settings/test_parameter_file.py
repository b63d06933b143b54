from __future__ import annotations

import pytest

from ivif_core.errors import ConfigError
from ivif_core.settings import read_parameter_file


def read(tmp_path, text: str, node: str | None = None) -> dict:
    path = tmp_path / "parameters.yaml"
    path.write_text(text)
    return read_parameter_file(path, node)


@pytest.mark.parametrize(
    "section",
    [
        "/**",
        "/*",
        "ivif_fusion",
        "/ivif_fusion",
        "/**/ivif_fusion",
        "/robot1/ivif_fusion",
        "robot1/ivif_fusion",
        "/a/b/ivif_fusion",
        "/*/ivif_fusion",
        "/robot1/*",
        "/robot1/**",
        "/robot1/**/ivif_fusion",
    ],
)
def test_every_form_of_a_section_is_found(tmp_path, section):
    assert read(tmp_path, f"{section}: {{ros__parameters: {{slop: 0.2}}}}") == {"slop": 0.2}


def test_namespaces_may_be_nested(tmp_path):
    text = "robot1: {ivif_fusion: {ros__parameters: {slop: 0.2}}, other: {ros__parameters: {rate: 3}}}"
    assert read(tmp_path, text) == {"slop": 0.2}
    text = "/a: {b: {ivif_fusion: {ros__parameters: {slop: 0.2}}}, '**': {ros__parameters: {queue_size: 3}}}"
    assert read(tmp_path, text) == {"slop": 0.2, "queue_size": 3}


@pytest.mark.parametrize(
    ("sections", "slop"),
    [
        (["/**", "ivif_fusion"], 2),
        (["ivif_fusion", "/**"], 2),
        (["/**", "ivif_fusion", "/*"], 3),
        (["/**", "/other", "/robot1/ivif_fusion", "/*"], 3),  # /* is no pattern for a node in a namespace
    ],
)
def test_the_later_section_wins(tmp_path, sections, slop):
    lines = [f"{name}: {{ros__parameters: {{slop: {value}}}}}" for value, name in enumerate(sections, 1)]
    assert read(tmp_path, "\n".join(lines)) == {"slop": slop}


def test_a_repeated_section_adds_to_the_first(tmp_path):
    text = "/**: {ros__parameters: {a: 1, b: 1}}\n/*: {ros__parameters: {b: 2}}\n/**: {ros__parameters: {b: 3, c: 3}}"
    assert read(tmp_path, text) == {"a": 1, "b": 2, "c": 3}


def test_nested_and_dotted_names_are_the_same(tmp_path):
    nested = read(tmp_path, "/**: {ros__parameters: {thermal_scaling: {mode: fixed, low: 100}}}")
    dotted = read(tmp_path, "/**: {ros__parameters: {thermal_scaling.mode: fixed, thermal_scaling.low: 100}}")
    assert nested == dotted == {"thermal_scaling.mode": "fixed", "thermal_scaling.low": 100}


def test_one_of_several_nodes_is_asked_for(tmp_path):
    text = "\n".join(f"/robot{i}/ivif_fusion: {{ros__parameters: {{slop: 0.{i}}}}}" for i in (1, 2))
    with pytest.raises(ConfigError, match=r"/robot1/ivif_fusion, /robot2/ivif_fusion are different nodes.*--node"):
        read(tmp_path, text)
    assert read(tmp_path, text, "/robot2/ivif_fusion") == read(tmp_path, text, "robot2/ivif_fusion") == {"slop": 0.2}
    assert read(tmp_path, f"{text}\nivif_fusion: {{ros__parameters: {{slop: 0.3}}}}") == {"slop": 0.3}
    assert read(tmp_path, "/left: {ros__parameters: {slop: 0.4}}", "left") == {"slop": 0.4}
    with pytest.raises(ConfigError, match=r"expected a section /\*\* or /ivif_fusion, got /left"):
        read(tmp_path, "/left: {ros__parameters: {slop: 0.4}}")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("on", True),
        ("NO", False),
        ("'on'", "on"),
        ("!!str 5", "5"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("010", 8),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("99999999999999999999", 1e20),
        ("1e999", "1e999"),
        ("null", "null"),
        ('""', ""),
        ("[1, 2]", [1, 2]),
        ("[1.0, 2e0]", [1.0, 2.0]),
        ("[]", None),
    ],
)
def test_words_become_values_as_in_ros(tmp_path, word, value):
    found = read(tmp_path, f"/**:\n  ros__parameters:\n    a: {word}\n")["a"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected a section /\\*\\* or /ivif_fusion, got no section"),
        ("other: {ros__parameters: {}}", "got other"),
        ("/**: 3", "line 1: expected a mapping under"),
        ("/**: {ros__parameters: 3}", "expected a mapping under ros__parameters"),
        ("/**: {slop: 1}", "expected a mapping under slop"),
        ("ros__parameters: {slop: 1}", "under the name of a node"),
        ("[1]", "expected names of nodes"),
        ("slop", "expected names of nodes"),
        ("a: [", "cannot be read"),
        ("/**: {ros__parameters: {a: }}", "expected a value"),
        ("/**: {ros__parameters: {a: {}}}", "a: the group is empty"),
        ("/**: {ros__parameters: {a: &x 1, b: *x}}", "aliases"),
        ("/**: {ros__parameters: {a: [[1], [2]]}}", "no lists in lists"),
        ("/**: {ros__parameters: {a: [1, 0.5]}}", "a: expected a list of one type .* got 1 and 0.5"),
        ("/**: {ros__parameters: {[1]: 2}}", "expected a name"),
        ("/**: {ros__parameters: {a: 1}, b: {ros__parameters: {c: 1}}}", "as the last key there"),
    ],
)
def test_what_ros_would_refuse_is_refused_on_one_line(tmp_path, text, told):
    with pytest.raises(ConfigError, match=told) as refused:
        read(tmp_path, text)
    assert len(str(refused.value).splitlines()) == 1
