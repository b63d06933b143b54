"""Which TensorRT: the full one (Jetson, containers) or TensorRT for RTX (desktops, by pip). What differs stands here.

TensorRT for RTX 1.x has the API of TensorRT 10 and 11. It builds without a GPU, for all GPUs of some compute
capabilities; the last step to machine code is taken on the GPU, by a just-in-time compiler whose results can be kept
(docs.nvidia.com/deeplearning/tensorrt-rtx, "CPU-Only AOT", "Working with Runtime Cache").
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from ivif_core.backends.tensorrt.engine_options import EngineOptions
from ivif_core.errors import BackendUnavailable, ConfigError

Gpu = tuple[str, str]
"""Name and compute capability, as ('NVIDIA GeForce RTX 4090', '8.9')."""


class Library(ABC):
    """One of the two; `trt` is always its Python module."""

    name: ClassVar[str]
    module: ClassVar[str]
    builds_ahead: ClassVar[bool]
    """Whether engines are built without a GPU, for more than the one that is there."""
    keeps_timings: ClassVar[bool]
    """Whether kernel timings of one build make the next one faster."""
    captures_itself: ClassVar[bool]
    """Whether it makes CUDA graphs by itself, for every shape."""

    def is_installed(self) -> bool:
        """Without importing it."""
        return importlib.util.find_spec(self.module) is not None

    def load(self) -> Any:
        """The module.

        Raises:
            BackendUnavailable: it is not installed, or its libraries do not load.
        """
        try:
            return importlib.import_module(self.module)
        except (ImportError, OSError) as error:
            raise BackendUnavailable(f"{self.name}: {self.module} does not load: {error}") from error

    def why_not_on(self, capability: str) -> str | None:
        """None where it serves GPUs of that compute capability, else why not."""
        return None

    @abstractmethod
    def serves(self, gpu: Gpu | None, options: EngineOptions) -> str:
        """The GPUs that an engine of these options is for, as the cache key and `ivif engines list` have it.

        Args:
            gpu: the one that is there.
        """

    @abstractmethod
    def set_target(self, trt: Any, config: Any, gpu: Gpu | None, options: EngineOptions) -> None:
        """Ask for an engine that serves those GPUs.

        Raises:
            BackendUnavailable: this release cannot.
        """

    def runtime_config(self, trt: Any, engine: Any, compiled: bytes) -> Any | None:
        """What an execution context is made with, or None where there is no such thing.

        Args:
            compiled: what `compiled` gave in an earlier process; refused by the library where the GPU or driver is
                another one.
        """
        return None

    def compiled(self, config: Any) -> bytes:
        """What the just-in-time compiler made so far, for the next process; empty where there is none."""
        return b""


class FullTensorRt(Library):
    """`tensorrt`, from JetPack, NVIDIA's containers or NVIDIA's index; 8.6 to 11."""

    name = "tensorrt"
    module = "tensorrt"
    builds_ahead = False
    keeps_timings = True
    captures_itself = False

    def serves(self, gpu: Gpu | None, options: EngineOptions) -> str:
        if gpu is None:
            raise BackendUnavailable("TensorRT builds an engine on the GPU that runs it, and there is none here")
        if options.compute_capabilities:
            raise ConfigError("compute capabilities are chosen with TensorRT for RTX; TensorRT takes --hardware")
        return {"exact": " ".join(gpu), "compute_capability": gpu[1], "ampere_plus": "8.0+"}[options.hardware]

    def set_target(self, trt: Any, config: Any, gpu: Gpu | None, options: EngineOptions) -> None:
        levels = trt.HardwareCompatibilityLevel
        if options.hardware == "ampere_plus":
            config.hardware_compatibility_level = levels.AMPERE_PLUS
        elif options.hardware == "compute_capability":
            if not hasattr(levels, "SAME_COMPUTE_CAPABILITY"):
                raise BackendUnavailable(
                    f"TensorRT {trt.__version__} cannot build for all GPUs of a compute capability (10.13 and later "
                    "can); choose exact or ampere_plus"
                )
            config.hardware_compatibility_level = levels.SAME_COMPUTE_CAPABILITY


class TensorRtForRtx(Library):
    """`tensorrt_rtx`, whole on PyPI for x86-64."""

    name = "tensorrt-rtx"
    module = "tensorrt_rtx"
    builds_ahead = True
    keeps_timings = False  # its timing cache does nothing, its documentation says
    captures_itself = True

    CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
    """What NVIDIA names; data-centre Hopper (9.0) is not among them."""
    DEFAULT = "8.0, 8.6, 8.9, 12.0 and later"
    TURING = "7.5"  # is served only where it is asked for

    def why_not_on(self, capability: str) -> str | None:
        if capability in self.CAPABILITIES or float(capability) > float(self.CAPABILITIES[-1]):
            return None
        return f"TensorRT for RTX supports compute capability {', '.join(self.CAPABILITIES)}, this GPU has {capability}"

    def _chosen(self, gpu: Gpu | None, options: EngineOptions) -> tuple[str, ...]:
        if options.hardware != "exact":
            raise ConfigError("hardware is chosen with TensorRT; TensorRT for RTX takes compute capabilities")
        if not options.compute_capabilities and gpu is not None and gpu[1] == self.TURING:
            return (self.TURING,)
        if unknown := set(options.compute_capabilities) - set(self.CAPABILITIES):
            known = ", ".join(self.CAPABILITIES)
            raise ConfigError(f"compute capability {min(unknown)} is not known; choose of {known}")
        return tuple(sorted(set(options.compute_capabilities), key=float))

    def serves(self, gpu: Gpu | None, options: EngineOptions) -> str:
        return ", ".join(self._chosen(gpu, options)) or self.DEFAULT

    def set_target(self, trt: Any, config: Any, gpu: Gpu | None, options: EngineOptions) -> None:
        chosen = self._chosen(gpu, options)
        if not chosen:
            return
        config.num_compute_capabilities = len(chosen)
        for index, capability in enumerate(chosen):
            known = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}", None)
            if known is None or not config.set_compute_capability(known, index):
                raise BackendUnavailable(f"TensorRT for RTX {trt.__version__} cannot build for {capability}")

    def runtime_config(self, trt: Any, engine: Any, compiled: bytes) -> Any | None:
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        cache = config.create_runtime_cache()
        if compiled:
            cache.deserialize(compiled)  # False: of another GPU or driver; it is then compiled anew
        config.set_runtime_cache(cache)
        return config

    def compiled(self, config: Any) -> bytes:
        return bytes(config.get_runtime_cache().serialize())


LIBRARIES: dict[str, Library] = {library.name: library for library in (FullTensorRt(), TensorRtForRtx())}


def choose(name: str, capability: str | None = None) -> Library:
    """The library of that name; `auto`: on a Jetson the full one, elsewhere TensorRT for RTX, whichever is installed.

    Args:
        capability: of the GPU, where there is one; `auto` passes over a library that does not serve it.

    Raises:
        BackendUnavailable: it is not installed, or none is, or none serves this GPU; says what to install.
    """
    order = [LIBRARIES[name]] if name != "auto" else list(LIBRARIES.values())
    if name == "auto" and platform.machine() != "aarch64":
        order.reverse()
    reasons = []
    for library in order:
        reason = library.why_not_on(capability) if capability and name == "auto" else None
        if not library.is_installed():
            reason = f"{library.module} is not installed"
        if reason is None:
            return library
        reasons.append(reason)
    raise BackendUnavailable("no TensorRT to use: " + "; ".join(reasons))
