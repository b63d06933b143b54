"""`python -m test.fuzz --minutes N`: every mill for its share of the time; exit status 1 on any fault."""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from test.fuzz.campaign import Counts, kept, replay, run_mill
from test.fuzz.mill import Mill

MILLS = ("messages", "live_parameters", "bags", "images", "texts", "recipes", "models", "kills", "full_disks", "races")
"""Each is a module of `test.fuzz.mills` with a `make_mill`."""


def make_mill(name: str) -> Mill:
    return import_module(f"test.fuzz.mills.{name}").make_mill()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m test.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for all mills together (1)")
    parser.add_argument("--only", action="append", choices=MILLS, metavar="MILL", help=", ".join(MILLS))
    parser.add_argument("--cases", type=int, help="end each mill after so many cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=Path, default=Path("out/fuzz"), help="folder for faulty inputs (out/fuzz)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try the input of a case.json again")
    args = parser.parse_args()
    if args.replay:
        return try_again(args.replay)
    names = args.only or MILLS
    share = args.minutes * 60 / len(names)
    faults = 0
    for name in names:
        started, counts = time.monotonic(), Counts()
        try:
            run_mill(
                make_mill(name), args.seed, args.faults.resolve(), counts, seconds=share, most=args.cases, tell=tell
            )
        except KeyboardInterrupt:
            return 130
        finally:
            for line in [*counts.lines(name), f"{name}: {time.monotonic() - started:.0f} s, seed {args.seed}"]:
                tell(line)
        faults += sum(counts.faults.values())
    return 1 if faults else 0


def try_again(file: Path) -> int:
    name, case = kept(file)
    verdict = replay(make_mill(name), case)
    print(verdict.said, end="")
    for fault in verdict.faults:
        print(f"FAULT {name} {case.kind}: {fault}")
    return 1 if verdict.faults else 0


def tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
