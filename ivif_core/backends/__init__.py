"""Runtime adapters behind one contract, and the choice among them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ivif_core.backends.runner import Runner
from ivif_core.backends.student_model import Signature, StudentModel
from ivif_core.backends.tensorrt.engine_options import EngineOptions
from ivif_core.errors import BackendUnavailable, ConfigError, IvifError
from ivif_core.models import read_metadata

__all__ = [
    "AUTO_ORDER",
    "NAMES",
    "ON_CPU",
    "EngineOptions",
    "Runner",
    "Signature",
    "StudentModel",
    "available",
    "backend_class",
    "create",
]

_CLASSES = {
    "tensorrt": ("ivif_core.backends.tensorrt.runner", "TensorRtRunner"),
    "torch": ("ivif_core.backends.torch", "TorchRunner"),
    "openvino": ("ivif_core.backends.openvino", "OpenVinoRunner"),
    "onnxruntime": ("ivif_core.backends.onnxruntime", "OnnxRuntimeRunner"),
    "onnxruntime:cuda": ("ivif_core.backends.onnxruntime_gpu", "OnnxRuntimeCudaRunner"),
    "onnxruntime:tensorrt": ("ivif_core.backends.onnxruntime_gpu", "OnnxRuntimeTensorRtRunner"),
}

NAMES = tuple(_CLASSES)

AUTO_ORDER = ("tensorrt", "torch", "onnxruntime", "openvino")
"""`auto` takes the first of these that is installed. The CPU's order is measured (README, "Speed"); GPUs come first
because the CPU then stays free for the cameras."""

ON_CPU = ("onnxruntime", "openvino")
"""Of these, several instances with fewer threads each fuse more pairs a second than one."""


def backend_class(name: str) -> type[Runner]:
    """The adapter of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in _CLASSES:
        raise ConfigError(f"backend: {name!r} is not known; choose one of auto, {', '.join(_CLASSES)}")
    module, attribute = _CLASSES[name]
    kind: type[Runner] = getattr(import_module(module), attribute)
    return kind


def available() -> dict[str, str | None]:
    """Every known backend -> None where it can be used here, else the reason why not."""
    return {name: backend_class(name).why_unavailable() for name in _CLASSES}


def create(
    name: str,
    model: str | Path,
    *,
    threads: int | None = None,
    engine: EngineOptions | None = None,
    wait_for_engine: bool = True,
) -> StudentModel:
    """The model, opened in a backend; `auto` takes the first of `AUTO_ORDER` that is installed and loads the model.

    Args:
        name: one of `NAMES`, or auto.
        model, threads, engine: see `StudentModel`.
        wait_for_engine: False: where an engine has to be built first, fuse with the next backend of `AUTO_ORDER`
            meanwhile, see `DeferredModel`.

    Raises:
        ConfigError: no backend of that name.
        BackendUnavailable: asked for by name and not usable, or none is usable; the message says what to install.
        ModelError: the model does not load.
    """
    if name != "auto":
        kind = backend_class(name)
        reason = kind.why_unavailable()
        if reason:
            raise BackendUnavailable(f"backend {name!r}: {reason}; to have it: {kind.requirement}")
        student = StudentModel(kind, model, threads=threads, engine=engine)
        return student.open() if wait_for_engine else _open_at_once(student)
    failures: list[str] = []
    for candidate in AUTO_ORDER:
        kind = backend_class(candidate)
        reason = kind.why_unavailable()
        if reason is None:
            try:
                return create(candidate, model, threads=threads, engine=engine, wait_for_engine=wait_for_engine)
            except IvifError as error:
                failures.append(str(error))
        else:
            failures.append(f"{reason} ({kind.requirement})")
    read_metadata(model)  # a file that is broken is no backend's fault, and said once
    raise BackendUnavailable("no backend can run the model: " + "; ".join(dict.fromkeys(failures)))


def _open_at_once(wanted: StudentModel) -> StudentModel:
    if not wanted.needs_build():
        return wanted.open()
    from ivif_core.backends.deferred import DeferredModel

    for candidate in AUTO_ORDER:
        kind = backend_class(candidate)
        if kind.why_unavailable() is None:
            fallback = StudentModel(kind, wanted.model, threads=wanted.threads, engine=wanted.engine)
            if not fallback.needs_build():
                return DeferredModel(wanted, fallback).open()
    return wanted.open()
