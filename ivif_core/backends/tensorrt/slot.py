"""One execution context with its stream and buffers: copies in, runs, copies out; as a CUDA graph after its first."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import numpy as np

from ivif_core.backends.cuda import Cuda, CudaError, host_array
from ivif_core.backends.runner import Feeds, Outputs
from ivif_core.errors import InputError, ModelError

_LOG = logging.getLogger(__name__)


class Slot:
    """One execution context with its stream, memory and CUDA graph, for one shape of images at a time."""

    def __init__(self, cuda: Cuda, trt: Any, engine: Any, config: Any, *, captures: bool) -> None:
        self.engine = engine
        self._cuda = cuda
        self._types = types_of(trt, engine)
        self._outputs = [name for name in self._types if engine.get_tensor_mode(name) != trt.TensorIOMode.INPUT]
        self._context = engine.create_execution_context(*([] if config is None else [config]))
        if self._context is None:
            raise CudaError(
                "TensorRT has no memory for an execution context: free GPU memory or lower the maximum size"
            )
        self._stream = cuda.create_stream()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._memory = contextlib.ExitStack()
        self._device: dict[str, tuple[int, int]] = {}
        self._host: dict[str, tuple[int, np.ndarray]] = {}
        self._graph: Any = None
        self._may_capture = captures
        self._warm = False

    def submit(self, feeds: Feeds) -> None:
        """Start the work on one pair; the images may be overwritten when this returns."""
        self._prepare({name: feed.shape for name, feed in feeds.items()})
        for name, feed in feeds.items():
            np.copyto(self._host[name][1], feed)
        if self._graph is None and self._warm and self._may_capture:
            self._capture()
        if self._graph is not None:
            self._cuda.launch(self._graph, self._stream)
        else:
            self._enqueue()
            self._warm = True  # a capture needs one run before it, in which TensorRT sets itself up

    def collect(self) -> Outputs:
        """Wait for the work; returns copies of the outputs, since pinned memory may go with the next shape."""
        self.wait()
        return {name: self._host[name][1].copy() for name in self._outputs}

    def wait(self) -> None:
        """Wait for the work and leave its result; nothing once closed."""
        if self._context is not None:
            self._cuda.synchronize(self._stream)

    def close(self) -> None:
        """Give everything back; the context first, since it uses the rest."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._cuda.destroy_stream, self._stream)
            stack.callback(self._release)
            stack.callback(self.wait)
        self._context = self.engine = None

    def _release(self) -> None:
        self._shapes = {}
        self._memory.close()
        self._graph, self._warm = None, False

    def _prepare(self, shapes: dict[str, tuple[int, ...]]) -> None:
        if shapes == self._shapes:
            return
        self.wait()
        self._release()
        context = self._context
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise InputError(f"TensorRT refuses {name} of shape {shape}")
        missing = context.infer_shapes()
        if missing:
            raise ModelError(f"TensorRT lacks the shapes of {', '.join(missing)}")
        try:
            for name, dtype in self._types.items():
                shape = tuple(context.get_tensor_shape(name))
                nbytes = int(np.prod(shape)) * dtype.itemsize
                device = self._cuda.allocate(nbytes)
                self._memory.callback(self._cuda.free, device)
                host = self._cuda.allocate_host(nbytes)
                self._memory.callback(self._cuda.free_host, host)
                self._device[name] = device, nbytes
                self._host[name] = host, host_array(host, shape, dtype)
                if not context.set_tensor_address(name, device):
                    raise ModelError(f"TensorRT refuses the memory for {name}")
        except BaseException:
            self._release()
            raise
        self._shapes = shapes

    def _enqueue(self) -> None:
        for name in self._shapes:
            device, nbytes = self._device[name]
            self._cuda.copy_in(device, self._host[name][0], nbytes, self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise CudaError("TensorRT could not start the engine")
        for name in self._outputs:
            device, nbytes = self._device[name]
            self._cuda.copy_out(self._host[name][0], device, nbytes, self._stream)

    def _capture(self) -> None:
        """Record copies and work as one graph, which starts in one call; without it everything runs all the same."""
        try:
            self._cuda.begin_capture(self._stream)
            try:
                self._enqueue()
            finally:
                graph = self._cuda.end_capture(self._stream)
                self._memory.callback(self._cuda.destroy_graph, graph)
            self._graph = graph
        except CudaError as error:
            self._may_capture = False
            _LOG.info("no CUDA graph for this engine (%s); it runs without", error)


def types_of(trt: Any, engine: Any) -> dict[str, np.dtype]:
    """Element types of the engine's inputs and outputs; TensorRT's own `nptype` fails with some NumPy releases."""
    known: dict[Any, np.dtype[Any]] = {trt.DataType.UINT8: np.dtype(np.uint8), trt.DataType.FLOAT: np.dtype(np.float32)}
    types = {}
    for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
        dtype = engine.get_tensor_dtype(name)
        if dtype not in known:
            raise ModelError(f"expected {name} to be uint8 or float32, the engine has {dtype}")
        types[name] = known[dtype]
    return types
