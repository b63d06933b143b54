from __future__ import annotations

import os

import pytest

from ivif_core.errors import InputError
from ivif_core.text_files import read_text


def test_text_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "a"
    path.write_text("grün")
    assert read_text(path, 5) == "grün"
    with pytest.raises(InputError, match="at most 4 bytes"):
        read_text(path, 4)


def test_what_is_no_text_file_is_refused_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, "/dev/zero"):
        with pytest.raises(InputError, match="expected a regular file"):
            read_text(path, 10)
    for path, says in ((tmp_path / "none", "No such file"), ("a\0b", "null"), ("x" * 5000, "too long")):
        with pytest.raises(InputError, match=says):
            read_text(path, 10)
    (tmp_path / "latin").write_bytes(b"gr\xfcn")
    with pytest.raises(InputError, match=r"no UTF-8 text \(byte 2\)"):
        read_text(tmp_path / "latin", 10)
