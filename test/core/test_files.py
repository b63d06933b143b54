from __future__ import annotations

import pytest

from ivif_core.errors import InputError
from ivif_core.files import write_text


def test_text_is_written_whole(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old and longer than what comes")
    write_text(path, "grüne Wiese\n")
    assert path.read_bytes() == "grüne Wiese\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none/page\.html: No such file or directory"):
        write_text(tmp_path / "none" / "page.html", "x")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(InputError, match="cannot write"):
        write_text(path, "x")
    assert list(tmp_path.iterdir()) == [path]
