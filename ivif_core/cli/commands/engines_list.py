"""`ivif engines list`: what the cache of TensorRT engines holds."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ivif_core.backends.tensorrt.engine_cache import EngineCache
from ivif_core.errors import InputError
from ivif_core.files.writing import printable

_SHOWN = ("file", "precision", "gpu", "library", "tensorrt", "minimum", "maximum")
_UNREAD = "damaged or unreadable; it will be built anew"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif engines list`."""
    parser.add_argument("--cache", type=Path, metavar="DIR", help="default: ivif/engines in the XDG cache directory")


def run(args: argparse.Namespace) -> int:
    """Print a line an engine.

    Raises:
        InputError: the cache cannot be read.
    """
    cache = EngineCache(args.cache)
    try:
        entries = cache.entries()
    except OSError as error:
        raise InputError(f"cannot read {printable(cache.folder)}: {error.strerror}") from error
    for entry in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        of = ", ".join(f"{name} {_text(entry.of[name])}" for name in _SHOWN if name in entry.of)
        print(f"{entry.key[:12]}  {entry.size / 2**20:8.1f} MiB  used {used}  {of or _UNREAD}")
    total, most = (size / 2**20 for size in (sum(entry.size for entry in entries), cache.limit_bytes))
    print(f"{len(entries)} engines, {total:.1f} MiB of at most {most:.0f} MiB in {printable(cache.folder)}")
    return 0


def _text(value: object) -> str:
    return "×".join(str(side) for side in reversed(value)) if isinstance(value, list) else str(value)
