from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ivif_core import backends

FUSE = """
import sys
import numpy as np
from ivif_core.fusion import Fuser
with Fuser(backend=sys.argv[1]) as fuser:
    fuser.fuse(np.zeros((32, 32), np.uint8), np.zeros((32, 32, 3), np.uint8))
"""


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_telemetry_neither_starts_nor_leaves_a_file(backend, tmp_path):
    if reason := backends.available()[backend]:
        pytest.skip(reason)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    for name in ("ORT_DISABLE_TELEMETRY", "CI", "TF_BUILD", "JENKINS_URL"):  # the last three stop OpenVINO's
        environment.pop(name, None)
    command = [sys.executable, "-B", "-c", FUSE, backend]
    ended = subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True, text=True)
    assert ended.stderr == "" and list(tmp_path.iterdir()) == []
