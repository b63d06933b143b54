"""A stand-in for the module `tensorrt` of one release, made from the table of that release's names.

It knows only the names of the release, refuses calls in the wrong order, loads only engines of its own release and GPU,
and runs the ONNX with ONNX Runtime when the CUDA stand-in runs the stream. Numbers are therefore those of the model.
"""

from __future__ import annotations

import enum
import functools
import gc
import hashlib
import json
import time
import weakref
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime

from test.standins.cuda_runtime import CudaRuntime

RELEASES = {"8.6": "8.6.1", "10.3": "10.3.0", "10.16": "10.16.1.11", "11.4": "11.4.0.106"}
NAMES: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("tensorrt_names.json").read_text())
"""class ('top_level' for the module) -> name -> releases that have it; made from the real bindings of each release."""

_MAGIC = b"standin-plan"


def names_of(release: str, kind: str) -> set[str]:
    """The names of a class in a release."""
    return {name for name, releases in NAMES[kind].items() if release in releases.split()}


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
    alive: weakref.WeakSet = weakref.WeakSet()

    class Strict:
        """Refuses public names that the release's class does not have."""

        def __init__(self) -> None:
            alive.add(self)

        def __getattribute__(self, name: str) -> Any:
            kind = type.__getattribute__(type(self), "__name__")
            if not name.startswith("_") and kind in NAMES and name not in names_of(release, kind):
                raise AttributeError(f"{kind} of TensorRT {release} has no {name}")
            return object.__getattribute__(self, name)

        def __setattr__(self, name: str, value: Any) -> None:
            if not name.startswith("_"):
                getattr(self, name)  # raises for a name that does not exist
            object.__setattr__(self, name, value)

    def enumeration(kind: str) -> Any:
        return enum.IntEnum(
            kind, {name: index for index, name in enumerate(NAMES[kind]) if name in names_of(release, kind)}
        )

    data_type, io_mode = enumeration("DataType"), enumeration("TensorIOMode")
    builder_flag, network_flag = enumeration("BuilderFlag"), enumeration("NetworkDefinitionCreationFlag")
    hardware, pools, devices = (enumeration(k) for k in ("HardwareCompatibilityLevel", "MemoryPoolType", "DeviceType"))
    element_types = {1: data_type.FLOAT, 2: data_type.UINT8, 10: data_type.HALF}
    arrays = {data_type.FLOAT: np.float32, data_type.UINT8: np.uint8, data_type.HALF: np.float16}

    class ILogger:
        Severity = enum.IntEnum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"], start=0)

        def log(self, severity: int, message: str) -> None:
            raise NotImplementedError

    class IProgressMonitor:
        pass

    class IHostMemory(Strict):
        def __init__(self, data: bytes) -> None:
            super().__init__()
            self._data = data

        def __bytes__(self) -> bytes:
            return self._data

    class ITensor(Strict):
        name = shape = None

        def __init__(self, name: str, shape: tuple[int, ...]) -> None:
            super().__init__()
            object.__setattr__(self, "name", name)
            object.__setattr__(self, "shape", shape)

    class INetworkDefinition(Strict):
        def __init__(self, flags: int) -> None:
            super().__init__()
            known = {flag for flag in network_flag if flags & (1 << flag)}
            assert flags == sum(1 << flag for flag in known), "a network flag that this release does not have"
            explicit = "EXPLICIT_BATCH" not in network_flag.__members__ or network_flag.EXPLICIT_BATCH in known
            assert explicit or release != "8.6", "8.6 parses ONNX only into networks of explicit batch"
            strong = network_flag.__members__.get("STRONGLY_TYPED")
            self._strong = release.startswith("11") or strong in known
            self._onnx: bytes | None = None
            self._inputs: list[ITensor] = []

        @property
        def num_inputs(self) -> int:
            return len(self._inputs)

        def get_input(self, index: int) -> ITensor:
            return self._inputs[index]

    class ParserError(Strict):
        def __init__(self, text: str) -> None:
            super().__init__()
            self._text = text

        def desc(self) -> str:
            return self._text

    class OnnxParser(Strict):
        def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
            super().__init__()
            assert isinstance(network, INetworkDefinition) and isinstance(logger, ILogger)
            self._network, self._errors = network, []

        def parse(self, model: bytes) -> bool:
            assert isinstance(model, bytes)
            try:
                parsed = onnx.load_model_from_string(model)
                onnx.checker.check_model(parsed)
            except Exception as error:
                self._errors.append(ParserError(f"failed to parse: {error}"))
                return False
            for value in parsed.graph.input:
                dims = value.type.tensor_type.shape.dim
                shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)
                self._network._inputs.append(ITensor(value.name, shape))
            self._network._onnx = model
            return True

        @property
        def num_errors(self) -> int:
            return len(self._errors)

        def get_error(self, index: int) -> ParserError:
            return self._errors[index]

    class IOptimizationProfile(Strict):
        def __init__(self) -> None:
            super().__init__()
            self._shapes: dict[str, tuple] = {}

        def set_shape(self, name: str, smallest: tuple, usual: tuple, largest: tuple) -> None:
            if not all(a <= b <= c for a, b, c in zip(smallest, usual, largest, strict=True)):
                raise ValueError(f"profile of {name} is not ordered")
            self._shapes[name] = (smallest, usual, largest)

    class ITimingCache(Strict):
        def __init__(self, data: bytes) -> None:
            super().__init__()
            self._data = data

        def serialize(self) -> IHostMemory:
            return IHostMemory(self._data + b".")

    class IBuilderConfig(Strict):
        hardware_compatibility_level = hardware.NONE
        default_device_type = devices.GPU
        DLA_core = -1
        progress_monitor = None

        def __init__(self) -> None:
            super().__init__()
            self._flags, self._profiles, self._timing = {builder_flag.TF32}, [], None

        def set_memory_pool_limit(self, pool: Any, size: int) -> None:
            assert pool in pools and size > 0

        def set_flag(self, flag: Any) -> None:
            self._flags.add(builder_flag(flag))

        def clear_flag(self, flag: Any) -> None:
            self._flags.discard(builder_flag(flag))

        def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
            self._profiles.append(profile)
            return len(self._profiles) - 1

        def create_timing_cache(self, data: bytes) -> ITimingCache:
            return ITimingCache(data)

        def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
            assert isinstance(cache, ITimingCache)
            self._timing = cache
            return True

        def get_timing_cache(self) -> ITimingCache:
            return self._timing

    class Builder(Strict):
        def __init__(self, logger: ILogger) -> None:
            super().__init__()
            assert isinstance(logger, ILogger)
            self._logger = logger

        num_DLA_cores = dla_cores

        def create_network(self, flags: int) -> INetworkDefinition:
            return INetworkDefinition(flags)

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def create_optimization_profile(self) -> IOptimizationProfile:
            return IOptimizationProfile()

        def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
            def refuse(reason: str) -> None:
                self._logger.log(ILogger.Severity.ERROR, reason)

            on_build()
            if network._onnx is None:
                return refuse("nothing was parsed into the network")
            precision = {f.name for f in config._flags} & {"FP16", "INT8"}
            if network._strong and precision:
                return refuse(f"a strongly typed network takes no {precision} flag")
            dynamic = {t.name for t in network._inputs if -1 in t.shape}
            shapes = config._profiles[0]._shapes if config._profiles else {}
            if dynamic != shapes.keys():
                return refuse(f"profile has {sorted(shapes)}, dynamic inputs are {sorted(dynamic)}")
            monitor = None if release == "8.6" else config.progress_monitor
            if monitor is not None:
                monitor.phase_start("Building", None, build_steps)
            for step in range(build_steps):
                time.sleep(step_seconds)
                if monitor is not None and not monitor.step_complete("Building", step):
                    return refuse("cancelled")
            if monitor is not None:
                monitor.phase_finish("Building")
            header = {
                "release": release,
                "portable": builder_flag.VERSION_COMPATIBLE in config._flags,
                "gpu": None if config.hardware_compatibility_level else cuda.device_name,
                "shapes": shapes,
                "sha256": hashlib.sha256(network._onnx).hexdigest(),
                "flags": sorted(f.name for f in config._flags),
                "strongly_typed": network._strong,
            }
            return IHostMemory(_MAGIC + json.dumps(header).encode() + b"\n" + network._onnx)

    class IExecutionContext(Strict):
        def __init__(self, engine: ICudaEngine) -> None:
            super().__init__()
            self._engine = engine
            self._shapes: dict[str, tuple[int, ...]] = {}
            self._outputs: dict[str, tuple[int, ...]] = {}
            self._addresses: dict[str, int] = {}
            self._ran = False

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            smallest, _, largest = self._engine._profile(name)
            fits = len(shape) == len(smallest) and all(
                a <= b <= c for a, b, c in zip(smallest, shape, largest, strict=True)
            )
            if fits:
                self._shapes[name] = tuple(shape)
                self._outputs, self._addresses, self._ran = {}, {}, False
            return fits

        def infer_shapes(self) -> list[str]:
            missing = [name for name in self._engine._inputs if name not in self._shapes]
            if not missing:
                zeros = {n: np.zeros(s, arrays[self._engine._inputs[n][0]]) for n, s in self._shapes.items()}
                outputs = self._engine._session.run(None, zeros)
                self._outputs = {n: o.shape for n, o in zip(self._engine._outputs, outputs, strict=True)}
            return missing

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            known = {**self._shapes, **self._outputs}
            return known.get(name) or self._engine.get_tensor_shape(name)

        def set_tensor_address(self, name: str, address: int) -> bool:
            shape = self.get_tensor_shape(name)
            assert -1 not in shape, f"address of {name} before its shape"
            cuda.at(address, int(np.prod(shape)) * np.dtype(arrays[self._engine.get_tensor_dtype(name)]).itemsize)
            self._addresses[name] = address
            return True

        def execute_async_v3(self, stream: int) -> bool:
            engine = self._engine
            assert type(stream) is int, "a stream is given as its address"
            if self._addresses.keys() != engine._inputs.keys() | engine._outputs.keys():
                self._engine._logger.log(ILogger.Severity.ERROR, "not every tensor has an address")
                return False
            if stream in cuda.capturing:
                if refuse_capture:
                    engine._logger.log(ILogger.Severity.ERROR, "operation not permitted when stream is capturing")
                    return False
                assert self._ran, "capture before a first run"
            shapes, addresses = {**self._shapes, **self._outputs}, dict(self._addresses)
            cuda.enqueue(stream, functools.partial(_execute, weakref.ref(self), engine, shapes, addresses))
            self._ran = True
            return True

    def _execute(context: weakref.ref, engine: ICudaEngine, shapes: dict, addresses: dict) -> None:
        assert context() is not None, "the execution context was freed before its work was done"

        def array(name: str, dtype: Any) -> np.ndarray:
            count = int(np.prod(shapes[name]))
            block = cuda.at(addresses[name], count * np.dtype(dtype).itemsize)
            return block.view(dtype).reshape(shapes[name])

        feeds = {name: array(name, arrays[dtype]) for name, (dtype, _) in engine._inputs.items()}
        results = engine._session.run(list(engine._outputs), feeds)
        for name, result in zip(engine._outputs, results, strict=True):
            np.copyto(array(name, result.dtype), result)

    class ICudaEngine(Strict):
        def __init__(self, header: dict[str, Any], model: bytes, logger: ILogger) -> None:
            super().__init__()
            graph = onnx.load_model_from_string(model).graph

            def tensors(values: Any) -> dict[str, tuple]:
                return {
                    v.name: (
                        element_types[v.type.tensor_type.elem_type],
                        tuple(d.dim_value or -1 for d in v.type.tensor_type.shape.dim),
                    )
                    for v in values
                }

            self._inputs, self._outputs = tensors(graph.input), tensors(graph.output)
            self._header, self._logger = header, logger
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        def _profile(self, name: str) -> list:
            assert name in self._inputs, f"{name} is no input"
            return self._header["shapes"].get(name) or [self._inputs[name][1]] * 3

        @property
        def num_io_tensors(self) -> int:
            return len(self._inputs) + len(self._outputs)

        def get_tensor_name(self, index: int) -> str:
            return [*self._inputs, *self._outputs][index]

        def get_tensor_mode(self, name: str) -> Any:
            return io_mode.INPUT if name in self._inputs else io_mode.OUTPUT

        def get_tensor_dtype(self, name: str) -> Any:
            return {**self._inputs, **self._outputs}[name][0]

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return {**self._inputs, **self._outputs}[name][1]

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list:
            assert profile_index == 0
            return [tuple(shape) for shape in self._profile(name)]

        def create_execution_context(self) -> IExecutionContext:
            return IExecutionContext(self)

    class Runtime(Strict):
        engine_host_code_allowed = False
        DLA_core = -1

        def __init__(self, logger: ILogger) -> None:
            super().__init__()
            assert isinstance(logger, ILogger)
            self._logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> ICudaEngine | None:
            header, _, model = plan.removeprefix(_MAGIC).partition(b"\n")
            try:
                header = json.loads(header)
                sound = header["sha256"] == hashlib.sha256(model).hexdigest()
            except ValueError:
                sound = False
            if not plan.startswith(_MAGIC) or not sound:
                self._logger.log(ILogger.Severity.ERROR, "the plan is damaged")
                return None
            own = header["release"] == release or (header["portable"] and self.engine_host_code_allowed)
            if not own or header["gpu"] not in (None, cuda.device_name):
                self._logger.log(ILogger.Severity.ERROR, "the plan is for another TensorRT or another GPU")
                return None
            return ICudaEngine(header, model, self._logger)

    class Module(ModuleType):
        def live(self) -> dict[str, int]:
            """Objects that still exist, by class, after a garbage collection."""
            gc.collect()
            counts: dict[str, int] = {}
            for thing in alive:
                counts[type(thing).__name__] = counts.get(type(thing).__name__, 0) + 1
            return counts

    module = Module("tensorrt")
    everything = {
        **{k.__name__: k for k in (Builder, ILogger, IProgressMonitor, OnnxParser, Runtime)},
        **{k.__name__: k for k in (data_type, io_mode, builder_flag, network_flag, hardware, pools, devices)},
    }
    for name in names_of(release, "top_level"):
        setattr(module, name, everything[name])
    module.__version__ = RELEASES[release]
    module.__spec__ = ModuleSpec("tensorrt", None)  # importlib.util.find_spec asks for it
    return module
