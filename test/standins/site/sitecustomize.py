"""Puts the stand-ins into a child process: found by Python itself when this folder is on PYTHONPATH."""

from __future__ import annotations

import os
from pathlib import Path


def _log_build() -> None:
    with Path(os.environ["STANDIN_LOG"]).open("a") as log:
        log.write(f"build {os.getpid()}\n")


if "STANDIN_RELEASE" in os.environ:
    from test.standins import install

    install(
        os.environ["STANDIN_RELEASE"],
        "new",
        on_build=_log_build,
        step_seconds=float(os.environ.get("STANDIN_STEP_SECONDS", "0")),
    )
