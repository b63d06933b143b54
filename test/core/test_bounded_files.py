from __future__ import annotations

import os

import pytest
import yaml

from ivif_core.bounded_files import load_yaml, read_bytes, read_text
from ivif_core.errors import ConfigError


def test_ordinary_files_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("model: homography # größer\n", encoding="utf-8")
    assert read_text(path) == "model: homography # größer\n"
    assert read_bytes(path, path.stat().st_size) == path.read_bytes()
    with pytest.raises(ConfigError, match="larger than 10 bytes"):
        read_bytes(path, 10)
    path.write_bytes(b"a\xff")
    with pytest.raises(ConfigError, match="no UTF-8 text at byte 1"):
        read_text(path)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "/", "/nowhere", "a\0b", "x" * 5000])
def test_what_is_no_ordinary_file_is_refused(place):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_bytes(place, 100)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no ordinary file"):
        read_text(tmp_path / "pipe")


@pytest.mark.parametrize(
    "text", ["a: 1", "a: [1, 2.5, x, null, true]", "- 2020-01-01\n- {a: b}", "", "a: &x [1, 2]\nb: *x"]
)
def test_plain_yaml_is_what_pyyaml_reads(text):
    assert load_yaml(text, "x") == yaml.safe_load(text)


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{c}: &{c} [{','.join(['*' + p] * 10)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
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
    with pytest.raises(ConfigError, match="x: cannot be read") as caught:
        load_yaml(text, "x")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
