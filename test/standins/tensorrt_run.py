"""The half of TensorRT's stand-in that runs: engine, execution context, runtime."""

from __future__ import annotations

import functools
import hashlib
import json
import weakref
from typing import Any

import numpy as np
import onnx
import onnxruntime

from test.standins.cuda_runtime import CudaRuntime
from test.standins.tensorrt_release import MAGIC, Release


def runtime_class(release: Release, cuda: CudaRuntime, *, refuse_capture: bool) -> type:
    """Runtime; its engines and contexts are not named in the module. Arguments as in `make_tensorrt`."""
    Strict, ILogger, data_type, io_mode = release.Strict, release.ILogger, release.DataType, release.TensorIOMode
    element_types = {1: data_type.FLOAT, 2: data_type.UINT8, 10: data_type.HALF}
    arrays = {data_type.FLOAT: np.float32, data_type.UINT8: np.uint8, data_type.HALF: np.float16}

    class IExecutionContext(Strict):
        def __init__(self, engine: ICudaEngine, config: IRuntimeConfig | None) -> None:
            super().__init__()
            self._engine, self._config = engine, config
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
            if self._config is not None:
                assert stream not in cuda.capturing, "it captures by itself"
                compiled = self._config._cache._compiled
                compiled |= {"×".join(map(str, shape)) for shape in self._shapes.values()}
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

        def create_execution_context(self, runtime_config: IRuntimeConfig | None = None) -> IExecutionContext:
            assert runtime_config is None or isinstance(runtime_config, IRuntimeConfig)
            return IExecutionContext(self, runtime_config)

        def create_runtime_config(self) -> IRuntimeConfig:
            return IRuntimeConfig()

    class IRuntimeCache(Strict):
        def __init__(self) -> None:
            super().__init__()
            self._compiled: set[str] = set()

        def deserialize(self, blob: bytes) -> bool:
            device, _, shapes = blob.decode().partition("\n")
            if device != cuda.device_name:
                return False
            self._compiled |= set(shapes.split())
            return True

        def serialize(self) -> bytes:
            return "\n".join([cuda.device_name, *sorted(self._compiled)]).encode()

    class IRuntimeConfig(Strict):
        cuda_graph_strategy = None
        _cache: IRuntimeCache | None = None

        def create_runtime_cache(self) -> IRuntimeCache:
            return IRuntimeCache()

        def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
            assert isinstance(cache, IRuntimeCache)
            self._cache = cache
            return True

        def get_runtime_cache(self) -> IRuntimeCache | None:
            return self._cache

    class Runtime(Strict):
        engine_host_code_allowed = False
        DLA_core = -1

        def __init__(self, logger: ILogger) -> None:
            super().__init__()
            assert isinstance(logger, ILogger)
            self._logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> ICudaEngine | None:
            header, _, model = plan.removeprefix(MAGIC).partition(b"\n")
            try:
                header = json.loads(header)
                sound = header["sha256"] == hashlib.sha256(model).hexdigest()
            except ValueError:
                sound = False
            if not plan.startswith(MAGIC) or not sound:
                self._logger.log(ILogger.Severity.ERROR, "the plan is damaged")
                return None
            own = header["release"] == release.name or (header["portable"] and self.engine_host_code_allowed)
            if not own or header["gpu"] not in (None, cuda.device_name):
                self._logger.log(ILogger.Severity.ERROR, "the plan is for another TensorRT or another GPU")
                return None
            return ICudaEngine(header, model, self._logger)

    return Runtime
