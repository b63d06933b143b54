"""A stand-in for the module `tensorrt` of one release, made from the table of that release's names.

It knows only the names of the release, refuses calls in the wrong order, loads only engines of its own release and GPU,
and runs the ONNX with ONNX Runtime when the CUDA stand-in runs the stream. Numbers are therefore those of the model.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

from test.standins.cuda_runtime import CudaRuntime
from test.standins.tensorrt_build import builder_classes
from test.standins.tensorrt_release import Release, names_of
from test.standins.tensorrt_run import runtime_class

RELEASES = {"8.6": "8.6.1", "10.3": "10.3.0", "10.16": "10.16.1.11", "11.4": "11.4.0.106"}
RTX = {"rtx-1.7": "1.7.1.116"}


def make_tensorrt(
    release: str,
    cuda: CudaRuntime,
    *,
    on_build: Callable[[], None] = lambda: None,
    build_steps: int = 4,
    step_seconds: float = 0.0,
    dla_cores: int = 0,
    refuse_capture: bool = False,
) -> ModuleType:
    """The module.

    Args:
        on_build: called when a build starts.
        build_steps, step_seconds: progress that a build makes.
        refuse_capture: an engine that cannot be captured in a CUDA graph.
    """
    names = Release(release)

    class Module(ModuleType):
        def live(self) -> dict[str, int]:
            """Objects that still exist, by class, after a garbage collection (slow, so only where there are any)."""
            if names.alive:
                gc.collect()
            counts: dict[str, int] = {}
            for thing in names.alive:
                counts[type(thing).__name__] = counts.get(type(thing).__name__, 0) + 1
            return counts

    module = Module("tensorrt_rtx" if release in RTX else "tensorrt")
    made = (
        *builder_classes(
            names, cuda, on_build=on_build, build_steps=build_steps, step_seconds=step_seconds, dla_cores=dla_cores
        ),
        runtime_class(names, cuda, refuse_capture=refuse_capture),
    )
    classes = {kind.__name__: kind for kind in made}
    for name in names_of(release, "top_level"):
        setattr(module, name, classes[name] if name in classes else getattr(names, name))
    module.__version__ = (RELEASES | RTX)[release]
    module.__spec__ = ModuleSpec(module.__name__, None)  # importlib.util.find_spec asks for it
    return module
