"""ONNX Runtime's CUDA and TensorRT providers: asked for by name, for machines that have its GPU build."""

from __future__ import annotations

from typing import Any, ClassVar

from ivif_core.backends.cuda import why_no_driver
from ivif_core.backends.onnxruntime import OnnxRuntimeRunner, import_onnxruntime
from ivif_core.backends.tensorrt.engine_cache import EngineCache
from ivif_core.files.installation import pip_install


class OnnxRuntimeCudaRunner(OnnxRuntimeRunner):
    """Runs the model with ONNX Runtime's CUDA provider."""

    name: ClassVar[str] = "onnxruntime:cuda"
    requirement: ClassVar[str] = f"an NVIDIA GPU, and {pip_install('onnxruntime-gpu')} in place of onnxruntime"
    takes_maps: ClassVar[bool] = False
    on_cpu: ClassVar[bool] = False
    provider: ClassVar[str] = "CUDAExecutionProvider"

    @classmethod
    def why_unavailable(cls) -> str | None:
        if reason := why_no_driver() or super().why_unavailable():
            return reason
        found = import_onnxruntime().get_available_providers()
        return None if cls.provider in found else f"onnxruntime has no {cls.provider} here, only {', '.join(found)}"

    def _provider_options(self) -> dict[str, Any]:
        return {"device_id": self.engine.device}


class OnnxRuntimeTensorRtRunner(OnnxRuntimeCudaRunner):
    """Runs the model with ONNX Runtime's TensorRT provider, which keeps its engines in our cache folder."""

    name: ClassVar[str] = "onnxruntime:tensorrt"
    requirement: ClassVar[str] = (
        f"an NVIDIA GPU, TensorRT's libraries, and {pip_install('onnxruntime-gpu')} in place of onnxruntime"
    )
    provider: ClassVar[str] = "TensorrtExecutionProvider"

    def _provider_options(self) -> dict[str, Any]:
        """onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html."""
        folder = str(EngineCache(self.engine.cache, self.engine.cache_limit_bytes).folder / "onnxruntime")
        return {
            "device_id": self.engine.device,
            "trt_fp16_enable": self.engine.precision != "fp32",
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": folder,
            "trt_timing_cache_enable": True,
            "trt_timing_cache_path": folder,
        }
