"""`python -m ivif_core.settings`: print the parameter file; with --write, write the documents of the table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ivif_core.errors import IvifError
from ivif_core.settings.documents import parameter_file, write_documents

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Exit status 0; 2 where a file cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m ivif_core.settings", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help="config/fusion.yaml and docs/parameters.md of this checkout"
    )
    if not parser.parse_args().write:
        print(parameter_file(), end="")
        return 0
    try:
        for path in write_documents(ROOT):
            print(path)
    except IvifError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
