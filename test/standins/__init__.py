"""Strict stand-ins for TensorRT and the CUDA runtime, for machines without a GPU."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from test.standins.cuda_runtime import CudaRuntime
from test.standins.tensorrt_module import make_tensorrt

LAYOUTS = {"new": ("cuda", "cuda.bindings", "cuda.bindings.runtime"), "old": ("cuda", "cuda.cudart")}


def install(release: str, layout: str, modules: dict[str, Any] | None = None, **behaviour: Any) -> tuple[Any, Any]:
    """Make `import tensorrt`, or `tensorrt_rtx`, and cuda-python's runtime module give stand-ins; returns both.

    Args:
        release: as in `tensorrt_module.RELEASES`.
        layout: of cuda-python, 'new' or 'old'.
        modules: `sys.modules`, or what a test has in its place.
        behaviour: for `make_tensorrt`.
    """
    modules = sys.modules if modules is None else modules
    cuda = CudaRuntime()
    tensorrt = make_tensorrt(release, cuda, **behaviour)
    modules["tensorrt"] = modules["tensorrt_rtx"] = None  # `auto` must not find a real one
    modules[tensorrt.__name__] = tensorrt
    *packages, runtime = LAYOUTS[layout]
    for name in packages:
        modules[name] = ModuleType(name)
        modules[name].__path__ = []
    modules[runtime] = cuda
    if layout == "old":
        modules["cuda.bindings"] = modules["cuda.bindings.runtime"] = None  # an import raises ImportError
    return tensorrt, cuda
