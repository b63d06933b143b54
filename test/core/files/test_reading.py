from __future__ import annotations

import os

import pytest

from ivif_core.errors import ConfigError
from ivif_core.files.reading import read_bytes, read_text


def test_ordinary_files_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("model: homography # größer\n", encoding="utf-8")
    assert read_text(path) == "model: homography # größer\n"
    assert read_bytes(path, path.stat().st_size) == path.read_bytes()
    with pytest.raises(ConfigError, match="larger than 10 bytes"):
        read_bytes(path, 10)
    path.write_bytes(b"a\xff")
    with pytest.raises(ConfigError, match="byte 1 is not UTF-8"):
        read_text(path)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "/", "/nowhere", "a\0b", "x" * 5000])
def test_what_is_no_ordinary_file_is_refused(place):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_bytes(place, 100)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="expected a regular file"):
        read_text(tmp_path / "pipe")
