"""A library of C that prints beside the one line of an error is not heard; and what is printed on purpose is."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np

COMMAND = "import sys; from ivif_core.cli.main import main; sys.exit(main(sys.argv[1:]))"


def run(code, *arguments, **environment):
    call = [sys.executable, "-B", "-c", code, *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})


def test_broken_png_is_one_line(tmp_path, rng):
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    cv2.imwrite(str(good), rng.integers(0, 256, (40, 40, 3)).astype(np.uint8))
    data = bytearray(good.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)
    arguments = ("fuse", good, broken, "-o", tmp_path / "out.png")
    ended = run(COMMAND, *arguments)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("ivif fuse: ") and "broken.png" in line
    assert "libpng" in run(COMMAND, *arguments, IVIF_TRACEBACK="1").stderr


def test_own_lines_are_heard_and_file_descriptor_2_comes_back():
    code = """
import os, sys
from ivif_core.cli.quiet import only_own_lines
with only_own_lines():
    print("own Ü", file=sys.stderr)
    os.write(2, b"library\\n")
os.write(2, b"after\\n")
print("last", file=sys.stderr)
"""
    ended = run(code)
    assert ended.returncode == 0 and ended.stderr.splitlines() == ["own Ü", "after", "last"]
