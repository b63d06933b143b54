"""`ivif engines clear`: remove the cached TensorRT engines."""

from __future__ import annotations

import argparse
from pathlib import Path

from ivif_core.backends.tensorrt.engine_cache import EngineCache
from ivif_core.errors import OutputError
from ivif_core.files.writing import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif engines clear`."""
    parser.add_argument("--cache", type=Path, metavar="DIR", help="default: ivif/engines in the XDG cache directory")


def run(args: argparse.Namespace) -> int:
    """Remove them.

    Raises:
        OutputError: the cache cannot be written.
    """
    cache = EngineCache(args.cache)
    try:
        print(f"removed {cache.clear()} engines from {printable(cache.folder)}")
    except OSError as error:
        raise OutputError(f"cannot clear {printable(cache.folder)}: {error.strerror}") from error
    return 0
