"""torch on an NVIDIA GPU: half precision, channels-last, one CUDA graph a shape; for GPUs without TensorRT."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ivif_core.backends.cuda import why_no_driver
from ivif_core.backends.runner import Feeds, Outputs, Port, Runner
from ivif_core.errors import ModelError
from ivif_core.files.installation import pip_install

if TYPE_CHECKING:
    from torch import Tensor

_LOG = logging.getLogger(__name__)
_WARM_UP = 3
_ELEMENT_TYPES = {1: "float32", 2: "uint8", 6: "int32"}  # TensorProto.DataType
_INPUTS = ("infrared", "visible", "vividness")  # as the modules take them, and then `aim` where there is one

_NETWORKS = "ivif_core.training.networks"
"""The one place that looks upwards, by name and when a model is opened: a student's module is written once, where it
is trained, and torch is there whenever this backend is."""


class TorchRunner(Runner):
    """Runs the student's own module with the file's weights, in `engine.precision` (int8 runs as fp16).

    Times of `device_seconds` are those of the CUDA graph.
    """

    name: ClassVar[str] = "torch"
    requirement: ClassVar[str] = f"an NVIDIA GPU, and {pip_install('torch', 'onnx')}"
    device_type: ClassVar[str] = "cuda"

    @classmethod
    def why_unavailable(cls) -> str | None:
        if reason := why_no_driver():  # asked first: importing torch takes seconds
            return reason
        for package in ("torch", "onnx"):
            if importlib.util.find_spec(package) is None:
                return f"{package} is not installed"
        import torch

        return None if torch.cuda.is_available() else "torch finds no CUDA GPU"

    def _open(self) -> tuple[dict[str, Port], dict[str, Port]]:
        import onnx
        import torch
        from onnx import numpy_helper

        networks, eight_bit = (importlib.import_module(name) for name in (_NETWORKS, f"{_NETWORKS}.eight_bit"))
        on_gpu = self.device_type == "cuda"
        self._device = torch.device(self.device_type, self.engine.device) if on_gpu else torch.device(self.device_type)
        self._precision = "fp32" if self.engine.precision == "fp32" else "fp16"
        self._device_seconds: float | None = None
        self._staged: dict[str, tuple[int, ...]] = {}
        model = onnx.load(self.model)
        inputs = {port.name: _port(port) for port in model.graph.input}
        outputs = {port.name: _port(port) for port in model.graph.output}
        if inputs.keys() - {"aim"} != set(_INPUTS) or list(outputs) != ["fused"]:
            raise ModelError(f"torch runs a whole student, {', '.join(_INPUTS)} to fused; got {', '.join(inputs)}")
        weights = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
        entry = {entry.key: entry.value for entry in model.metadata_props}.get(networks.METADATA)
        network = networks.restore_student(entry, weights)
        if not hasattr(network, "lower_precision"):  # a student that does not say what of it may be float16
            self._precision = "fp32"
        in_half = self._precision == "fp16"
        dtype = torch.float16 if in_half else torch.float32
        if in_half:
            network = network.lower_precision()
        if inputs["infrared"].dtype == "uint8":
            colour = (inputs["visible"].shape or ())[-1:] == (3,)
            network = (eight_bit.InColour if colour else eight_bit.EightBit)(network, dtype)
        elif in_half:
            network = eight_bit.Floats(network, dtype)
        self._network: Any = network.eval().to(self._device, memory_format=torch.channels_last)
        return inputs, outputs

    @property
    def device_seconds(self) -> float | None:
        return self._device_seconds

    def _run(self, feeds: Feeds) -> Outputs:
        shapes = {name: feed.shape for name, feed in feeds.items()}
        if shapes != self._staged:
            self._prepare(feeds)
            self._staged = shapes
        for name, feed in feeds.items():
            np.copyto(self._staging[name].numpy(), feed)
            self._inputs[name].copy_(self._staging[name], non_blocking=True)
        if self._graph is None:
            return {"fused": self._forward().cpu().numpy()}
        before, after = self._events
        before.record()
        self._graph.replay()
        after.record()
        fused = self._fused.cpu().numpy()  # waits for the GPU
        self._device_seconds = before.elapsed_time(after) / 1e3
        return {"fused": fused}

    def _forward(self) -> Tensor:
        import torch

        with torch.inference_mode():
            fused: Tensor = self._network(*(self._inputs[name] for name in (*_INPUTS, "aim") if name in self._inputs))
            return fused

    def _prepare(self, feeds: Feeds) -> None:
        """Memory and CUDA graph for images of another shape."""
        import torch

        on_gpu = self._device.type == "cuda"
        self._staged, self._device_seconds = {}, None
        self._graph: Any = None
        self._fused: Any = None
        self._staging: dict[str, Tensor] = {
            name: torch.from_numpy(np.zeros_like(feed)).pin_memory()
            if on_gpu
            else torch.from_numpy(np.zeros_like(feed))
            for name, feed in feeds.items()
        }
        self._inputs: dict[str, Tensor] = {name: staged.to(self._device) for name, staged in self._staging.items()}
        if on_gpu:
            self._capture()

    def _capture(self) -> None:
        """Record the network as a CUDA graph (pytorch.org, "CUDA semantics"); without one it runs all the same."""
        import torch

        stream: Any = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        try:
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    self._forward()
            torch.cuda.current_stream(self._device).wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                self._fused = self._forward()
            self._graph, self._events = graph, tuple(torch.cuda.Event(enable_timing=True) for _ in range(2))
        except RuntimeError as error:
            self._graph = self._fused = None
            _LOG.info("no CUDA graph for this network (%s); it runs without", error)

    def _close(self) -> None:
        for name in ("_network", "_staging", "_inputs", "_graph", "_events", "_fused"):
            self.__dict__.pop(name, None)
        self._staged = {}
        if self._device.type == "cuda":
            import torch

            torch.cuda.empty_cache()

    def describe(self) -> str:
        import torch

        where = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "CPU"
        return f"torch {torch.__version__} ({where}, {self._precision})"


def _port(value: Any) -> Port:
    """Of an ONNX ValueInfoProto."""
    kind = value.type.tensor_type
    shape = tuple(axis.dim_value or None for axis in kind.shape.dim) if kind.HasField("shape") else None
    return Port(_ELEMENT_TYPES.get(kind.elem_type, f"ONNX type {kind.elem_type}"), shape)
