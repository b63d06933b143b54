"""`ivif engines build`: build the TensorRT engine that the node and the other commands then find in the cache."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from ivif_core.backends.tensorrt.engine_cache import EngineCache
from ivif_core.backends.tensorrt.engine_options import HARDWARE, LIBRARIES, PRECISIONS, EngineOptions, build_arguments
from ivif_core.backends.tensorrt.runner import TensorRtRunner
from ivif_core.cli.numbers import size, whole
from ivif_core.errors import BackendUnavailable, InputError
from ivif_core.models import resolve_model
from ivif_core.models.variants import typed_model

_STEP = 0.05
LARGEST_SIDE = 1 << 16
MOST_DEVICES = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif engines build`."""
    default = EngineOptions()
    parser.add_argument("model", nargs="?", type=Path, help="ONNX file (default: the shipped student)")
    for name, value in (("min", default.minimum), ("opt", default.optimum), ("max", default.maximum)):
        text = f"{value[1]}x{value[0]}"
        parser.add_argument(f"--{name}", type=size(1, LARGEST_SIDE), metavar="WxH", help=f"{name} image size ({text})")
    parser.add_argument("--precision", choices=PRECISIONS, default=default.precision)
    parser.add_argument("--device", type=whole(0, MOST_DEVICES), default=default.device, metavar="N", help="GPU (0)")
    parser.add_argument("--dla-core", type=whole(0, MOST_DEVICES), metavar="N", help="run on this DLA core of a Jetson")
    parser.add_argument("--library", choices=LIBRARIES, default="auto", help="tensorrt-rtx builds without a GPU too")
    parser.add_argument("--compute-capability", nargs="+", metavar="N.N", help="with tensorrt-rtx: GPUs to serve")
    parser.add_argument("--hardware", choices=HARDWARE, default=default.hardware, help="GPUs that can run the engine")
    parser.add_argument("--version-compatible", action="store_true", help="serve later TensorRT of the same major too")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="default: ivif/engines in the XDG cache directory")
    parser.add_argument("--dry-run", action="store_true", help="print what would be built, and its cache key")


def run(args: argparse.Namespace) -> int:
    """Build into the cache, or say what would be built.

    Raises:
        BackendUnavailable: TensorRT cannot be used here.
        InputError: the cache cannot keep the engine.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    default = EngineOptions()
    options = EngineOptions(
        minimum=args.min[::-1] if args.min else default.minimum,
        optimum=args.opt[::-1] if args.opt else default.optimum,
        maximum=args.max[::-1] if args.max else default.maximum,
        precision=args.precision,
        device=args.device,
        dla_core=args.dla_core,
        hardware=args.hardware,
        version_compatible=args.version_compatible,
        library=args.library,
        compute_capabilities=tuple(args.compute_capability or ()),
        cache=args.cache,
    )
    model = resolve_model(args.model)
    runner = TensorRtRunner(model, engine=options, progress=_Progress())
    reason = runner.why_it_cannot_build()
    if args.dry_run:
        print(json.dumps(_plan(runner, reason), indent=1))
        return 0
    if reason:
        raise BackendUnavailable(f"{reason}; to have it: {TensorRtRunner.requirement}")
    cache = EngineCache(options.cache, options.cache_limit_bytes)
    key, _ = runner.plan()
    if not runner.needs_build():
        print(f"nothing to do: {cache.path(key)}")
        return 0
    if reason := cache.why_not_writable():
        raise InputError(f"{reason}; choose a folder that can be written with --cache or XDG_CACHE_HOME")
    of = runner.build()
    if cache.load(key) is None:
        raise InputError(f"the engine was built, but {cache.folder} could not keep it: free space there")
    print(f"built {cache.path(key)} with {of.get('library', 'tensorrt')} {of['tensorrt']} for {of['gpu']}")
    return 0


def _plan(runner: TensorRtRunner, reason: str | None) -> dict[str, object]:
    cache = EngineCache(runner.engine.cache)
    if reason is None:
        key, of = runner.plan()
        return {**of, "key": key, "path": str(cache.path(key)), "cached": not runner.needs_build()}
    model, types = typed_model(runner.model, runner.engine.precision)
    arguments = build_arguments(runner.model, runner.engine)
    return {"file": model.name, "types": types, "arguments": arguments, "key": None, "why no key": reason}


class _Progress:
    """Says how far a phase is: on one line of a terminal, else a line every five hundredths."""

    def __init__(self) -> None:
        self._last: tuple[str, int] | None = None

    def __call__(self, phase: str, share: float) -> None:
        step = (phase, int(share / _STEP))
        if step != self._last:
            self._last = step
            line = f"{phase} {share:.0%}"
            print(*(("\r\033[K" + line,) if sys.stdout.isatty() else (line,)), end=_end(share), flush=True)


def _end(share: float) -> str:
    return "" if sys.stdout.isatty() and share < 1.0 else "\n"
