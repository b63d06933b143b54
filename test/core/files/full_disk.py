"""A disk that is full, played by a limit on the size of files: writes fail with EFBIG as they would with ENOSPC."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

COMMAND = "import sys; from ivif_core.cli.main import main; sys.exit(main(sys.argv[1:]))"


def full_disk(code: str, room: int, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in `folder`, where no file can become larger than `room` bytes."""
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
