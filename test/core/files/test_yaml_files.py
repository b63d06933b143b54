"""What hostile and broken YAML does: one line, in bounded time, whatever is in the file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ivif_core.errors import ConfigError
from ivif_core.files.yaml_files import DEEPEST, LONGEST, MOST_BYTES, MOST_VALUES, load_yaml, read_yaml
from ivif_core.registration.file import load_registration
from ivif_core.settings import read_parameter_file

CAMERA = (
    "{image_width: WIDTH, image_height: 48, camera_matrix: {data: [50,0,32,0,50,24,0,0,1]}, "
    "distortion_model: plumb_bob, distortion_coefficients: {data: [0,0,0,0,0]}}"
)
PINHOLE = (
    f"model: pinhole\ninfrared: {CAMERA}\nvisible: {CAMERA.replace('WIDTH', '64')}\n"
    "rotation: [1,0,0,0,1,0,0,0,1]\ntranslation: [0,0,0]\ndistance: 5\n"
)
NUMBER = "model: homography\nhomography: [{}, 0, 0, 0, 1, 0, 0, 0, 1]\n"
BOMB = "".join(
    [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 10)}]\n" for i in range(12)]
    + ["model: homography\nhomography: *a11\n"]
)


def refusal(read, path) -> str:
    with pytest.raises(ConfigError) as refused:
        read(path)
    said = str(refused.value)
    assert "\n" not in said and len(said) < 1000
    return said


@pytest.mark.parametrize(
    "text",
    [
        "model: !!float abc",
        "model: !!bool perhaps",
        "model: !!timestamp soon",
        "model: !!int ''",
        "model: !!python/object/apply:os.system [id]",
        "model: 2024-99-99",
        "model: 1" + "0" * 400,
        "model: 0x" + "f" * 4000,  # more digits than Python prints
        "model: [" + "1," * 1000 + "]",
        'model: "\\e[2J\\n[FATAL] all is lost"',
        NUMBER.format("1" + "0" * 400),
        NUMBER.format("0x" + "f" * 3900),
        NUMBER.format(".inf"),
        NUMBER.format(".nan"),
        NUMBER.format("[1, 2]"),
        NUMBER.format("2024-01-01"),
        PINHOLE.replace("WIDTH", "1" + "0" * 30),
        PINHOLE.replace("WIDTH", ".inf"),
        PINHOLE.replace("WIDTH", ".nan"),
        PINHOLE.replace("WIDTH", "-4"),
        PINHOLE.replace("WIDTH", "{}"),
        PINHOLE.replace("WIDTH", "64").replace("distance: 5", "distance: 1" + "0" * 400),
        PINHOLE.replace("WIDTH", "64").replace("plumb_bob", "x" * 3000),
        NUMBER.format(1) + "visible_size: [1" + "0" * 30 + ", 48]",
        NUMBER.format(1) + "visible_size: [.inf, 48]",
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: *nowhere",
        BOMB,
        "[" * 100_000,
        "{a: " * 30_000,
        "- " * 50_000,
        "x" * (LONGEST + 1),
        "model: " + "1:" * 2000 + "1",
        "\t",
        "a: 1\n---\nb: 2",
        "%YAML 9.9\n---\na: 1",
        "\x00",
        "",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_no_registration_in_it(tmp_path, text):
    path = tmp_path / "registration.yaml"
    path.write_text(text)
    assert str(path) in refusal(load_registration, path) or "camera: " in refusal(load_registration, path)


@pytest.mark.parametrize("data", [b"\xff\xfea", b"model: \xc3(", b"model: \xed\xa0\x80"])
def test_no_utf8(tmp_path, data):
    path = tmp_path / "registration.yaml"
    path.write_bytes(data)
    assert "UTF-8" in refusal(load_registration, path)


def test_bounds_are_of_the_unfolded_file(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a [" + "1, " * 100 + "]\nb: [" + "*a, " * 100 + "]\n")
    assert len(read_yaml(path)["b"]) == 100  # aliases as such are no fault
    path.write_text("a: &a [" + "1, " * 100 + "]\nb: [" + "*a, " * (MOST_VALUES // 100 + 1) + "]\n")
    assert f"at most {MOST_VALUES} values" in refusal(read_yaml, path)
    path.write_text("a: " + "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1))
    assert read_yaml(path)
    path.write_text("a: " + "[" * DEEPEST + "]" * DEEPEST)
    assert "deep" in refusal(read_yaml, path)
    path.write_text("a: 1 #" + "x" * MOST_BYTES)
    assert f"{MOST_BYTES:,} bytes" in refusal(read_yaml, path)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/full", "/dev/tty", "/proc/self/mem", "a\0b", "x" * 5000])
def test_no_file_to_read(name):
    refusal(load_registration, name)


def test_folders_and_pipes_are_not_opened(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # without a writer, `open` would wait for ever
    for path in (pipe, tmp_path):
        assert "regular file" in refusal(load_registration, path)
    registration = tmp_path / "registration.yaml"
    registration.write_text(PINHOLE.replace(CAMERA, "pipe", 1))
    assert "regular file" in refusal(load_registration, registration)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("model", "homography", "visible_size", "infrared", "visible", "rotation", "translation", "distance")
registrations = st.fixed_dictionaries(
    {"model": st.sampled_from(["homography", "pinhole"]) | values}, optional=dict.fromkeys(KEYS[1:], values)
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(registrations.map(yaml.safe_dump), st.text(max_size=200)), st.data())
def test_any_text_is_a_registration_or_one_line(text, data):
    if text and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(text) - 1))
        text = (
            text[:at]
            + data.draw(st.sampled_from(["!!int ", "&a ", "*a", "[", "{", ": ", "1e999", "\n", "'"]))
            + text[at:]
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.yaml")
        path.write_text(text, errors="surrogatepass")
        for read in (load_registration, read_parameter_file):
            try:
                read(path)
            except ConfigError as error:
                assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["a: 1", "a: [1, 2.5, x, null, true]", "- 2020-01-01\n- {a: b}", "", "a: &x [1, 2]\nb: *x"]
)
def test_plain_yaml_is_what_pyyaml_reads(text):
    assert load_yaml(text, "x") == yaml.safe_load(text)


LISTS = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{c}: &{c} [{','.join(['*' + p] * 10)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        LISTS,
        "&a [*a]",
        "a: [",
        "[" * 1000,
        "model: !!float abc",
        'a: !!int ""',
        "a: !!bool x",
        "a: !!timestamp x",
        'a: !!binary "é"',
        "a: 2020-99-99",
        "? [a]\n: b",
        "<<: 3",
        '!!python/object/apply:os.system ["true"]',
        'model: "\0"',
        "a: 1" + "0" * 5000,
        "x: 2020-01-01 00:00:00 +99:99",
        "!!omap 3",
    ],
)
def test_hostile_yaml_is_one_line(text):
    with pytest.raises(ConfigError, match=r"^x: ") as caught:
        load_yaml(text, "x")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
