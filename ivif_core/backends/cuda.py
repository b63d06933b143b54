"""The few CUDA runtime calls that a backend needs, over cuda-python in its old and its new module layout.

Everything that touches GPU or pinned memory goes through here; nothing else imports cuda-python.
"""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

import numpy as np

from ivif_core.errors import BackendUnavailable, IvifError
from ivif_core.files.installation import pip_install

LAYOUTS = ("cuda.bindings.runtime", "cuda.cudart")
"""Module of the runtime API: since cuda-python 12.8, and before (JetPack 6)."""


class CudaError(IvifError, RuntimeError):
    """A CUDA call failed."""


def why_no_driver() -> str | None:
    """None where NVIDIA's driver library loads, else why there is no GPU to use; costs no heavy import."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver (libcuda.so.1) on this machine"
    return None


def runtime_module() -> Any:
    """cuda-python's runtime module.

    Raises:
        BackendUnavailable: it is not installed.
    """
    for layout in LAYOUTS:
        try:
            return importlib.import_module(layout)
        except ImportError:
            continue
    raise BackendUnavailable(f"cuda-python is not installed; {pip_install('cuda-python')} (12.x on JetPack 6)")


def device_count() -> int:
    """Number of usable GPUs.

    Raises:
        BackendUnavailable: cuda-python is not installed, or there is no driver or no GPU; the message says which.
    """
    cudart = runtime_module()
    try:
        error, count = cudart.cudaGetDeviceCount()
    except RuntimeError as failure:  # the old layout raises where the driver library is missing
        raise BackendUnavailable(f"no usable NVIDIA driver: {failure}") from failure
    if int(error) != 0 or not count:
        raise BackendUnavailable(f"no usable NVIDIA GPU: {_text(cudart, error) if int(error) else 'none is visible'}")
    return int(count)


def compute_capability(device: int = 0) -> str:
    """Of a GPU, as '8.7'; sets nothing up on it.

    Raises:
        BackendUnavailable, CudaError: as `device_count`, or the call failed.
    """
    count = device_count()
    if not 0 <= device < count:
        raise BackendUnavailable(f"GPU {device} does not exist: there are {count}, numbered from 0")
    cudart = runtime_module()
    numbers = []
    for name in ("cudaDevAttrComputeCapabilityMajor", "cudaDevAttrComputeCapabilityMinor"):
        error, number = cudart.cudaDeviceGetAttribute(getattr(cudart.cudaDeviceAttr, name), device)
        if int(error) != 0:
            raise CudaError(f"cudaDeviceGetAttribute: {_text(cudart, error)}")
        numbers.append(str(number))
    return ".".join(numbers)


class Cuda:
    """One GPU. Addresses are integers; streams and graphs are cuda-python's handles (`int()` gives their address)."""

    def __init__(self, device: int = 0) -> None:
        """
        Raises:
            BackendUnavailable: no cuda-python, no driver, or no such GPU.
        """
        count = device_count()
        if not 0 <= device < count:
            raise BackendUnavailable(f"GPU {device} does not exist: there are {count}, numbered from 0")
        self.device = device
        self._cudart = runtime_module()
        self.use()

    def use(self) -> None:
        """Make this the current GPU of the calling thread: CUDA keeps one for each thread."""
        self._call("cudaSetDevice", self.device)

    @property
    def name(self) -> str:
        """Product name, as 'Orin' or 'NVIDIA GeForce RTX 4090'."""
        name = self._call("cudaGetDeviceProperties", self.device).name
        return (name.decode() if isinstance(name, bytes) else str(name)).rstrip("\0")

    @property
    def compute_capability(self) -> str:
        """As '8.7'."""
        return compute_capability(self.device)

    def free_memory(self) -> int:
        """Bytes of GPU memory that nobody uses."""
        error, free, _ = self._cudart.cudaMemGetInfo()
        if int(error) != 0:
            raise CudaError(f"cudaMemGetInfo: {_text(self._cudart, error)}")
        return int(free)

    def allocate(self, nbytes: int) -> int:
        """Address of new GPU memory."""
        return int(self._call("cudaMalloc", nbytes))

    def free(self, address: int) -> None:
        """Give back what `allocate` gave."""
        self._call("cudaFree", address)

    def allocate_host(self, nbytes: int) -> int:
        """Address of new page-locked host memory, from and to which copies run by themselves."""
        return int(self._call("cudaMallocHost", nbytes))

    def free_host(self, address: int) -> None:
        """Give back what `allocate_host` gave; arrays over it must not be read any more."""
        self._call("cudaFreeHost", address)

    def create_stream(self) -> Any:
        """A new queue of GPU work that does not wait for the default one."""
        return self._call("cudaStreamCreateWithFlags", self._cudart.cudaStreamNonBlocking)

    def destroy_stream(self, stream: Any) -> None:
        """Give back what `create_stream` gave."""
        self._call("cudaStreamDestroy", stream)

    def synchronize(self, stream: Any) -> None:
        """Wait until all work of the stream is done."""
        self._call("cudaStreamSynchronize", stream)

    def copy_in(self, device: int, host: int, nbytes: int, stream: Any) -> None:
        """Queue a copy from pinned host memory to the GPU."""
        self._call("cudaMemcpyAsync", device, host, nbytes, self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice, stream)

    def copy_out(self, host: int, device: int, nbytes: int, stream: Any) -> None:
        """Queue a copy from the GPU to pinned host memory."""
        self._call("cudaMemcpyAsync", host, device, nbytes, self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost, stream)

    def begin_capture(self, stream: Any) -> None:
        """From here on, record the stream's work instead of doing it; other threads' CUDA calls stay allowed."""
        mode = self._cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: Any) -> Any:
        """Stop recording; returns the graph, ready to launch."""
        graph = self._call("cudaStreamEndCapture", stream)
        try:
            # cudaGraphInstantiate changed its arguments between CUDA 11 and 12; this one did not.
            return self._call("cudaGraphInstantiateWithFlags", graph, 0)
        finally:
            self._call("cudaGraphDestroy", graph)

    def launch(self, graph: Any, stream: Any) -> None:
        """Queue a recorded graph."""
        self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: Any) -> None:
        """Give back what `end_capture` gave."""
        self._call("cudaGraphExecDestroy", graph)

    def _call(self, function: str, *arguments: Any) -> Any:
        error, *results = getattr(self._cudart, function)(*arguments)
        if int(error) != 0:
            raise CudaError(f"{function}: {_text(self._cudart, error)}")
        return results[0] if results else None


def host_array(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Host memory at that address as an array; it does not keep the memory alive."""
    nbytes = int(np.prod(shape)) * dtype.itemsize
    memory = memoryview((ctypes.c_uint8 * nbytes).from_address(address))
    return np.frombuffer(memory, dtype).reshape(shape)


def _text(cudart: Any, error: Any) -> str:
    parts = [function(error)[1] for function in (cudart.cudaGetErrorName, cudart.cudaGetErrorString)]
    return ": ".join(part.decode() if isinstance(part, bytes) else str(part) for part in parts)
