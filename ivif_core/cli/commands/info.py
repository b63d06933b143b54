"""`ivif info`: what is installed, what runs the model here, and which model it is."""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path

import cv2

from ivif_core import __version__, backends
from ivif_core.errors import IvifError, one_line
from ivif_core.models import read_metadata, resolve_model

PACKAGES = ("numpy", "onnxruntime", "openvino", "tensorrt", "torch", "rosbags")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fill in the parser of `ivif info`."""
    parser.add_argument("--model", type=Path, metavar="FILE", help="ONNX file (default: the shipped student)")


def run(args: argparse.Namespace) -> int:
    """Print the facts that a bug report needs."""
    print(f"ivif       {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"cores      {len(os.sched_getaffinity(0))}")
    print(f"packages   opencv {cv2.__version__}" + "".join(f", {package}" for package in _installed()))
    model = resolve_model(args.model)
    facts = read_metadata(model)
    checksum = hashlib.sha256(model.read_bytes()).hexdigest()
    print(f"model      {model} ({model.stat().st_size / 1024:.0f} KiB, sha256 {checksum[:12]})")
    for key, value in sorted(facts.items()):
        print(f"           {one_line(key)} {one_line(value)}")  # a stranger's file may hold anything
    title, usable = "backends", []
    for name, reason in backends.available().items():
        requirement = backends.backend_class(name).requirement
        failure = reason and f"{reason}; to have it: {requirement}"
        described = ""
        if failure is None:
            described, failure = _loads(name, model)
        if failure is None:
            usable.append(name)
        print(f"{title:10} {name}: {f'yes: {described}' if failure is None else f'no: {failure}'}")
        title = ""
    chosen = next((name for name in backends.AUTO_ORDER if name in usable), None)
    print(f"auto takes {chosen or 'nothing: no backend can run the model'}")
    return 0 if chosen else 1


def _installed() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def _loads(name: str, model: Path) -> tuple[str, str | None]:
    """What the backend says of itself, and why it cannot run the model, or None."""
    backend = backends.StudentModel(backends.backend_class(name), model)
    try:
        if backend.needs_build():
            return "its engine is not built yet; `ivif engines build` does it, else the first use", None
        with backend:
            return backend.describe(), None
    except IvifError as error:
        return "", f"installed, but {error}"
