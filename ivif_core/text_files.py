"""Text files that appear only when whole."""

from __future__ import annotations

import os
from pathlib import Path

from ivif_core.errors import InputError


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text; a reader sees the old file or the whole new one.

    Raises:
        InputError: the folder is missing or cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
