"""Large buffers of one frame serve the next one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from ivif_core.imaging.freed_memory import keep_freed_memory
changed = keep_freed_memory()
def frame(): [np.ones(12 << 20, np.uint8) for _ in range(3)]
frame()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): frame()
print(changed, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults_of_five_frames(**variables: str) -> tuple[bool, int]:
    """Whether the allocator was changed, and the pages that the system had to give for five frames of 36 MB."""
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name and "TUNABLES" not in name}
    run = [sys.executable, "-c", FAULTS]
    said = subprocess.run(run, env=environment | variables, check=True, capture_output=True, text=True).stdout.split()
    return said[0] == "True", int(said[1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt(3) is glibc's")
def test_the_next_frame_takes_no_new_pages():
    changed, kept = faults_of_five_frames()
    left, usual = faults_of_five_frames(MALLOC_TRIM_THRESHOLD_="131072")
    assert changed and not left, "what the user has set by environment stays"
    assert kept < 100 < 5000 < usual
