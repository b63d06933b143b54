"""A stand-in for cuda-python's runtime module that computes on the host and forgives nothing.

Device addresses are not host addresses; queued work runs only when its stream is waited for, on the memory as it is
then; freeing twice, using freed memory, copying past the end and calls that break a capture fail as on a GPU, or as an
assertion where a GPU would corrupt memory silently.
"""

from __future__ import annotations

import ctypes
import enum
import itertools
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

NAMES = [
    "cudaDeviceAttr",
    "cudaDeviceGetAttribute",
    "cudaFree",
    "cudaFreeHost",
    "cudaGetDeviceCount",
    "cudaGetDeviceProperties",
    "cudaGetErrorName",
    "cudaGetErrorString",
    "cudaGraphDestroy",
    "cudaGraphExecDestroy",
    "cudaGraphInstantiateWithFlags",
    "cudaGraphLaunch",
    "cudaMalloc",
    "cudaMallocHost",
    "cudaMemGetInfo",
    "cudaMemcpyAsync",
    "cudaMemcpyKind",
    "cudaSetDevice",
    "cudaStreamBeginCapture",
    "cudaStreamCaptureMode",
    "cudaStreamCreateWithFlags",
    "cudaStreamDestroy",
    "cudaStreamEndCapture",
    "cudaStreamNonBlocking",
    "cudaStreamSynchronize",
]
"""What the product uses of the module; compared with the real one where it is installed."""


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorNoDevice = 100
    cudaErrorStreamCaptureUnsupported = 900


class _Attribute(enum.IntEnum):
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class _Kind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class _CaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


_OK = cudaError_t.cudaSuccess
_INVALID = cudaError_t.cudaErrorInvalidValue


class CudaRuntime:
    """The module's functions over memory that is accounted for.

    Attributes:
        fail_after: allocations that still succeed before the GPU is out of memory; None: never.
        calls: names of the functions called, in order.
    """

    cudaDeviceAttr = _Attribute
    cudaMemcpyKind = _Kind
    cudaStreamCaptureMode = _CaptureMode
    cudaStreamNonBlocking = 1

    def __init__(self, devices: int = 1, name: str = "Stand-in GPU", capability: tuple[int, int] = (8, 7)) -> None:
        self.devices, self.device_name, self.capability = devices, name, capability
        self.device_memory: dict[int, np.ndarray] = {}
        self.host_memory: dict[int, ctypes.Array] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.capturing: dict[int, list[Callable[[], None]]] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.executables: dict[int, list[Callable[[], None]]] = {}
        self.fail_after: int | None = None
        self.calls: list[str] = []
        self._handles = itertools.count(0x1000)
        self._next_address = 0xD000_0000_0000

    def __getattribute__(self, name: str) -> object:
        if name.startswith("cuda") and not name.startswith("cudaError"):
            if name not in NAMES:
                raise AttributeError(f"{name} is not in the table of CUDA names")
            object.__getattribute__(self, "calls").append(name)
        return object.__getattribute__(self, name)

    def live(self) -> dict[str, int]:
        """What has been taken and not given back."""
        kinds = {
            "device memory": self.device_memory,
            "host memory": self.host_memory,
            "streams": self.streams,
            "graphs": self.graphs,
            "executable graphs": self.executables,
        }
        return {kind: len(things) for kind, things in kinds.items() if things}

    def at(self, address: int, nbytes: int) -> np.ndarray:
        """Bytes of device memory; asserts that all of them belong to one live allocation."""
        for start, block in self.device_memory.items():
            if start <= address < start + block.nbytes:
                assert address + nbytes <= start + block.nbytes, "access past the end of device memory"
                return block[address - start : address - start + nbytes]
        raise AssertionError(f"{address:#x} is no live device memory")

    def enqueue(self, stream: object, work: Callable[[], None]) -> None:
        """Queue work, or record it while the stream is captured."""
        handle = int(stream)
        assert handle in self.streams, "work on a stream that does not exist (any more)"
        (self.capturing[handle] if handle in self.capturing else self.streams[handle]).append(work)

    def cudaGetDeviceCount(self) -> tuple:
        return (_OK, self.devices) if self.devices else (cudaError_t.cudaErrorNoDevice, None)

    def cudaSetDevice(self, device: int) -> tuple:
        return (_OK if 0 <= device < self.devices else _INVALID,)

    def cudaGetDeviceProperties(self, device: int) -> tuple:
        return _OK, SimpleNamespace(name=self.device_name.encode())

    def cudaDeviceGetAttribute(self, attribute: _Attribute, device: int) -> tuple:
        return _OK, self.capability[attribute - _Attribute.cudaDevAttrComputeCapabilityMajor]

    def cudaGetErrorName(self, error: cudaError_t) -> tuple:
        return _OK, error.name.encode()

    def cudaGetErrorString(self, error: cudaError_t) -> tuple:
        return _OK, b"as the stand-in has it"

    def _allocation(self) -> cudaError_t:
        if self.capturing:  # neither kind of allocation may happen in the middle of a capture
            return cudaError_t.cudaErrorStreamCaptureUnsupported
        if self.fail_after is not None:
            self.fail_after -= 1
            if self.fail_after < 0:
                return cudaError_t.cudaErrorMemoryAllocation
        return _OK

    def cudaMalloc(self, nbytes: int) -> tuple:
        error = self._allocation()
        if error:
            return error, None
        address, self._next_address = self._next_address, self._next_address + (nbytes + 511) // 256 * 256
        self.device_memory[address] = np.full(nbytes, 0xA5, np.uint8)  # never zero by chance
        return _OK, address

    def cudaMemGetInfo(self) -> tuple:
        total = 8 << 30
        return _OK, total - sum(block.nbytes for block in self.device_memory.values()), total

    def cudaFree(self, address: int) -> tuple:
        return (_OK if self.device_memory.pop(address, None) is not None else _INVALID,)

    def cudaMallocHost(self, nbytes: int) -> tuple:
        error = self._allocation()
        if error:
            return error, None
        block = (ctypes.c_uint8 * nbytes)(*([0x5A] * min(nbytes, 64)))
        self.host_memory[ctypes.addressof(block)] = block
        return _OK, ctypes.addressof(block)

    def cudaFreeHost(self, address: int) -> tuple:
        return (_OK if self.host_memory.pop(address, None) is not None else _INVALID,)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple:
        assert flags == self.cudaStreamNonBlocking
        handle = next(self._handles)
        self.streams[handle] = []
        return _OK, handle

    def cudaStreamDestroy(self, stream: int) -> tuple:
        return (_OK if self.streams.pop(int(stream), None) is not None else _INVALID,)

    def cudaStreamSynchronize(self, stream: int) -> tuple:
        if int(stream) in self.capturing:
            return (cudaError_t.cudaErrorStreamCaptureUnsupported,)
        if int(stream) not in self.streams:
            return (_INVALID,)
        work, self.streams[int(stream)] = self.streams[int(stream)], []
        for item in work:
            item()
        return (_OK,)

    def cudaMemcpyAsync(self, target: int, source: int, nbytes: int, kind: _Kind, stream: int) -> tuple:
        device, host = (target, source) if kind == _Kind.cudaMemcpyHostToDevice else (source, target)

        def copy() -> None:
            assert host in self.host_memory, "copy with host memory that is not pinned, or is freed"
            assert nbytes <= len(self.host_memory[host]), "copy past the end of host memory"
            pinned = np.frombuffer(self.host_memory[host], np.uint8)[:nbytes]
            block = self.at(device, nbytes)
            np.copyto(*((block, pinned) if kind == _Kind.cudaMemcpyHostToDevice else (pinned, block)))

        self.enqueue(stream, copy)
        return (_OK,)

    def cudaStreamBeginCapture(self, stream: int, mode: _CaptureMode) -> tuple:
        if int(stream) not in self.streams or int(stream) in self.capturing:
            return (_INVALID,)
        self.capturing[int(stream)] = []
        return (_OK,)

    def cudaStreamEndCapture(self, stream: int) -> tuple:
        if int(stream) not in self.capturing:
            return _INVALID, None
        handle = next(self._handles)
        self.graphs[handle] = self.capturing.pop(int(stream))
        return _OK, handle

    def cudaGraphInstantiateWithFlags(self, graph: int, flags: int) -> tuple:
        if graph not in self.graphs or flags:
            return _INVALID, None
        handle = next(self._handles)
        self.executables[handle] = list(self.graphs[graph])
        return _OK, handle

    def cudaGraphDestroy(self, graph: int) -> tuple:
        return (_OK if self.graphs.pop(graph, None) is not None else _INVALID,)

    def cudaGraphExecDestroy(self, graph: int) -> tuple:
        return (_OK if self.executables.pop(graph, None) is not None else _INVALID,)

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple:
        if graph not in self.executables:
            return (_INVALID,)
        for work in self.executables[graph]:
            self.enqueue(stream, work)
        return (_OK,)
