"""torch on an NVIDIA GPU: half precision, channels-last, one CUDA graph a shape; for GPUs without TensorRT."""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ivif_core.backends.base import Backend, Signature, signature_from_io
from ivif_core.backends.cuda import why_no_driver
from ivif_core.backends.tensorrt.builder import typed_model

if TYPE_CHECKING:
    from torch import Tensor

_LOG = logging.getLogger(__name__)
_WARM_UP = 3
_ELEMENT_TYPES = {1: "float32", 2: "uint8"}  # TensorProto.DataType


class TorchBackend(Backend):
    """Runs the model's ONNX graph with torch, in the precision of `engine.precision` (int8 runs as fp16).

    `device_seconds` is what the GPU took for the network at the last `infer`, without copies to it and from it; None
    where it ran without a CUDA graph.
    """

    name: ClassVar[str] = "torch"
    requirement: ClassVar[str] = "an NVIDIA GPU, and pip install torch onnx"
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

    def _open(self) -> Signature:
        import onnx
        import torch

        from ivif_core.models.onnx_graph import fold_constants, to_half

        self._device = torch.device(self.device_type, self.engine.device if self.device_type == "cuda" else None)
        precision = "fp32" if self.engine.precision == "fp32" else "fp16"
        file, types = typed_model(self.model, precision)
        self._graph_of_model = fold_constants(onnx.load(file))
        if types == "fp32" and precision == "fp16":
            self._graph_of_model = to_half(self._graph_of_model)
        self._precision = precision
        self.device_seconds: float | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        return signature_from_io(
            {
                value.name: (
                    _ELEMENT_TYPES.get(value.type.tensor_type.elem_type, "another type"),
                    value.type.tensor_type.shape.dim[-1].dim_value or None,
                )
                for value in self._graph_of_model.graph.input
            },
            [value.name for value in self._graph_of_model.graph.output],
        )

    def _run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        shapes = {name: feed.shape for name, feed in feeds.items()}
        if shapes != self._shapes:
            self._prepare(feeds)
            self._shapes = shapes
        for name, feed in feeds.items():
            np.copyto(self._staging[name].numpy(), feed)
            self._inputs[name].copy_(self._staging[name], non_blocking=True)
        if self._graph is not None:
            before, after = self._events
            before.record()
            self._graph.replay()
            after.record()
            fused = self._fused.cpu().numpy()  # waits for the GPU
            self.device_seconds = before.elapsed_time(after) / 1e3
            return fused
        return self._network(self._inputs).cpu().numpy()

    def _prepare(self, feeds: dict[str, np.ndarray]) -> None:
        """Network, memory and CUDA graph for images of another shape."""
        import torch

        from ivif_core.backends.onnx_in_torch import OnnxInTorch
        from ivif_core.models.onnx_graph import with_shapes

        on_gpu = self._device.type == "cuda"
        self._shapes, self._graph, self._fused, self.device_seconds = {}, None, None, None
        model = with_shapes(self._graph_of_model, {name: feed.shape for name, feed in feeds.items()})
        self._network: Any = OnnxInTorch(model).eval().to(self._device)
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

        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        try:
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    self._network(self._inputs)
            torch.cuda.current_stream(self._device).wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream):
                self._fused = self._network(self._inputs)
            self._graph, self._events = graph, tuple(torch.cuda.Event(enable_timing=True) for _ in range(2))
        except RuntimeError as error:
            self._graph = self._fused = None
            _LOG.info("no CUDA graph for this network (%s); it runs without", error)

    def _close(self) -> None:
        for name in ("_network", "_staging", "_inputs", "_graph", "_events", "_fused", "_graph_of_model"):
            self.__dict__.pop(name, None)
        if self._device.type == "cuda":
            import torch

            torch.cuda.empty_cache()

    def describe(self) -> str:
        import torch

        where = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "CPU"
        return f"torch {torch.__version__} ({where}, {self._precision})"
