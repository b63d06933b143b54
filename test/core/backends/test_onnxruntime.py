from __future__ import annotations

import os
import subprocess
import sys

FUSE = """
import numpy as np
from ivif_core.fusion import Fuser
with Fuser(backend="onnxruntime") as fuser:
    fuser.fuse(np.zeros((32, 32), np.uint8), np.zeros((32, 32, 3), np.uint8))
"""


def test_telemetry_neither_starts_nor_leaves_a_file(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-B", "-c", FUSE], env=environment, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
