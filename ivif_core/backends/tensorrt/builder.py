"""ONNX -> TensorRT engine: what is asked for, its cache key, and the build.

One path serves TensorRT 8.6 to 11 and TensorRT for RTX (`library`): what a release has is asked of the module itself
(`hasattr`), never concluded from its version number. Precision comes from the types in the ONNX file wherever TensorRT
can build strongly typed.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ivif_core.backends.tensorrt.engine_cache import BuildCancelled
from ivif_core.backends.tensorrt.engine_options import EngineOptions
from ivif_core.backends.tensorrt.library import LIBRARIES, Gpu, Library
from ivif_core.errors import BackendUnavailable, ModelError
from ivif_core.files.interruption import held, is_signal_held

_LOG = logging.getLogger(__name__)
_WORKSPACE_BYTES = 1 << 30

Progress = Callable[[str, float], None]
"""Called with a phase's name and the share of it that is done, in [0, 1]."""


def built_precision(trt: Any, types: str, precision: str) -> str:
    """The precision that an engine gets: the one asked for, or the model's own where the release has no flag for it."""
    return precision if precision == "fp32" or hasattr(trt.BuilderFlag, "FP16") else types


def describe(
    library: Library, trt: Any, gpu: Gpu | None, onnx: bytes, types: str, options: EngineOptions
) -> dict[str, Any]:
    """Everything that the engine depends on, as JSON; its hash is the cache key.

    Args:
        trt: the library's module.
        gpu: the one that is there.
        types: precision of the ONNX file's own types.
    """
    version = str(trt.__version__)
    built = asdict(options)
    for name in ("cache", "cache_limit_bytes", "device", "library", "compute_capabilities"):
        del built[name]
    return {
        "model": hashlib.sha256(onnx).hexdigest(),
        "types": types,
        **({} if library.name == "tensorrt" else {"library": library.name}),
        "tensorrt": f"{version.split('.')[0]}.x" if options.version_compatible else version,
        "gpu": library.serves(gpu, options),
        **built,
    }


@held()  # TensorRT calls the logger and the monitor, and drops what they raise
def build_engine(
    library: Library,
    trt: Any,
    gpu: Gpu | None,
    onnx: bytes,
    types: str,
    options: EngineOptions,
    *,
    logger: Any,
    timings: bytes = b"",
    progress: Progress | None = None,
    cancelled: threading.Event | None = None,
) -> tuple[bytes, bytes]:
    """Build an engine; seconds on a desktop, minutes on a small Jetson.

    Args:
        library, trt, gpu: see `describe`.
        onnx, types: the model and the precision of its own types, see `models.variants.typed_model`.
        logger: from `make_logger`; its last errors become part of this function's.
        timings: kernel timings of an earlier build.
        progress: called from within the build where the release reports progress (10.x and later).
        cancelled: when set, the build stops soon (10.x and later), as it does at a signal.

    Returns:
        The engine, and kernel timings for later builds.

    Raises:
        ModelError: TensorRT cannot parse or build the model.
        BackendUnavailable: the release or the machine lacks what was asked for.
        BuildCancelled: `cancelled` was set.
    """
    builder = trt.Builder(logger)
    strongly_typed = hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED") and types == options.precision
    network, _parser = _parsed(library, trt, builder, onnx, logger, strongly_typed)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    _set_precision(trt, config, types, options, strongly_typed)
    library.set_target(trt, config, gpu, options)
    _set_device(trt, builder, config, options)
    _set_profile(builder, network, config, options)
    if library.keeps_timings:
        timing_cache = config.create_timing_cache(timings)
        config.set_timing_cache(timing_cache, False)
    if hasattr(trt, "IProgressMonitor") and (progress or cancelled):
        config.progress_monitor = _make_monitor(trt, progress, cancelled)
    engine = builder.build_serialized_network(network, config)
    if cancelled is not None and cancelled.is_set():
        raise BuildCancelled("the engine's build was given up")
    if engine is None:
        raise ModelError(f"{library.name} {trt.__version__} cannot build the engine: {logger.last_errors()}")
    measured = bytes(config.get_timing_cache().serialize()) if library.keeps_timings else b""
    return bytes(engine), measured


@held()
def check_with_real_parser(onnx: bytes) -> None:
    """Let TensorRT for RTX parse a model where it is installed, which needs no GPU; else nothing happens.

    Raises:
        ModelError: it refuses the model; says why.
    """
    library = LIBRARIES["tensorrt-rtx"]
    if library.is_installed():
        trt = library.load()
        logger = make_logger(trt)
        _parsed(library, trt, trt.Builder(logger), onnx, logger, strongly_typed=True)


def _parsed(
    library: Library, trt: Any, builder: Any, onnx: bytes, logger: Any, strongly_typed: bool
) -> tuple[Any, Any]:
    """The network, and its parser, which must live as long.

    Raises:
        ModelError: the parser refuses the model.
    """
    flags = trt.NetworkDefinitionCreationFlag
    creation = 0
    if strongly_typed:
        creation |= 1 << int(flags.STRONGLY_TYPED)
    if hasattr(flags, "EXPLICIT_BATCH"):
        creation |= 1 << int(flags.EXPLICIT_BATCH)
    network = builder.create_network(creation)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        errors = "; ".join(_complaint(parser.get_error(i)) for i in range(parser.num_errors))
        raise ModelError(f"{library.name} {trt.__version__} cannot parse the model: {errors}")
    return network, parser


def _complaint(error: Any) -> str:
    """What the parser says of a node, with the operator's name where the release tells it."""
    operator = error.node_operator() if hasattr(error, "node_operator") else ""
    return f"{operator}: {error.desc()}" if operator else str(error.desc())


def _set_precision(trt: Any, config: Any, types: str, options: EngineOptions, strongly_typed: bool) -> None:
    if options.precision == "int8" and types != "int8":
        raise ModelError("int8 needs a model with quantisation inside: `ivif export --variants int8` makes one")
    if options.precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits of mantissa are not what fp32 promises
    elif strongly_typed:
        return
    elif hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.FP16)
        if options.precision == "int8":
            config.set_flag(trt.BuilderFlag.INT8)
    else:
        _LOG.warning(
            "TensorRT %s takes precision from the model alone and this model is %s: the engine will be slower than "
            "in %s; `ivif export --variants %s` makes the model for it",
            trt.__version__,
            types,
            options.precision,
            options.precision,
        )


def _set_device(trt: Any, builder: Any, config: Any, options: EngineOptions) -> None:
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.dla_core is not None:
        if options.dla_core >= builder.num_DLA_cores:
            raise BackendUnavailable(f"DLA core {options.dla_core} does not exist: there are {builder.num_DLA_cores}")
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options.dla_core
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _set_profile(builder: Any, network: Any, config: Any, options: EngineOptions) -> None:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if -1 in shape:
            sizes = (options.minimum, options.optimum, options.maximum)
            profile.set_shape(tensor.name, *(_with_size(shape, size) for size in sizes))
    if config.add_optimization_profile(profile) < 0:
        raise ModelError("TensorRT refuses the image sizes asked for")


def _with_size(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, ...]:
    """The shape of one image of that size: N×C×H×W, or N×H×W×3 for colour."""
    if len(shape) != 4:
        raise ModelError(f"expected inputs of 4 dynamic axes, got {shape}")
    return (1, *size, 3) if shape[3] == 3 else (1, shape[1], *size)


def make_logger(trt: Any) -> Any:
    """A TensorRT logger that writes to `logging` and remembers errors, since TensorRT's calls return none."""
    severity = trt.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.ERROR,
        severity.ERROR: logging.ERROR,
        severity.WARNING: logging.WARNING,
        severity.INFO: logging.DEBUG,  # TensorRT says a great deal at this level
        severity.VERBOSE: logging.NOTSET,
    }

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            level = levels[severity]
            if level:
                _LOG.log(min(level, logging.WARNING), "TensorRT: %s", message)  # whether it is an error, we say
            if level == logging.ERROR:
                self.errors = [*self.errors[-4:], message]

        def last_errors(self) -> str:
            return "; ".join(self.errors) or "it gives no reason"

    return Logger()


def _make_monitor(trt: Any, progress: Progress | None, cancelled: threading.Event | None) -> Any:
    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = max(num_steps, 1)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if progress is not None:
                progress(phase_name, min((step + 1) / self.steps.get(phase_name, step + 1), 1.0))
            return not is_signal_held() and (cancelled is None or not cancelled.is_set())

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()
