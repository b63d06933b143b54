"""The half of TensorRT's stand-in that builds: parser, network, configuration, builder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import onnx

from test.standins.cuda_runtime import CudaRuntime
from test.standins.tensorrt_release import MAGIC, Release


def builder_classes(
    release: Release,
    cuda: CudaRuntime,
    *,
    on_build: Callable[[], None],
    build_steps: int,
    step_seconds: float,
    dla_cores: int,
) -> tuple[type, ...]:
    """Builder and OnnxParser; what they give out is not named in the module. Arguments as in `make_tensorrt`."""
    Strict, ILogger = release.Strict, release.ILogger
    builder_flag, network_flag = release.BuilderFlag, release.NetworkDefinitionCreationFlag
    is_rtx = release.name.startswith("rtx")
    hardware, pools, devices = release.HardwareCompatibilityLevel, release.MemoryPoolType, release.DeviceType

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
            assert explicit or release.name != "8.6", "8.6 parses ONNX only into networks of explicit batch"
            strong = network_flag.__members__.get("STRONGLY_TYPED")
            self._strong = release.name.startswith(("11", "rtx")) or strong in known
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

        def node_operator(self) -> str:
            return ""

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

        num_compute_capabilities = 0

        def set_compute_capability(self, compute_capability: Any, index: int) -> bool:
            assert compute_capability in release.ComputeCapability and 0 <= index < self.num_compute_capabilities
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
            monitor = None if release.name == "8.6" else config.progress_monitor
            if monitor is not None:
                monitor.phase_start("Building", None, build_steps)
            for step in range(build_steps):
                time.sleep(step_seconds)
                if monitor is not None and not monitor.step_complete("Building", step):
                    return refuse("cancelled")
            if monitor is not None:
                monitor.phase_finish("Building")
            header = {
                "release": release.name,
                "portable": builder_flag.VERSION_COMPATIBLE in config._flags,
                "gpu": None if config.hardware_compatibility_level or is_rtx else cuda.device_name,
                "shapes": shapes,
                "sha256": hashlib.sha256(network._onnx).hexdigest(),
                "flags": sorted(f.name for f in config._flags),
                "strongly_typed": network._strong,
            }
            return IHostMemory(MAGIC + json.dumps(header).encode() + b"\n" + network._onnx)

    return Builder, OnnxParser
