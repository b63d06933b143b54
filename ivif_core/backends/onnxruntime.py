"""ONNX Runtime on the CPU: the backend that is there on every machine."""

from __future__ import annotations

import importlib.util
import os
from typing import Any, ClassVar

import numpy as np

from ivif_core.backends.base import Backend, Signature, signature_from_io
from ivif_core.errors import BackendUnavailable

_ELEMENT_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}


class OnnxRuntimeBackend(Backend):
    """Runs the model with ONNX Runtime's CPU provider."""

    name: ClassVar[str] = "onnxruntime"
    requirement: ClassVar[str] = "pip install onnxruntime"
    takes_maps: ClassVar[bool] = True
    provider: ClassVar[str] = "CPUExecutionProvider"

    @classmethod
    def why_unavailable(cls) -> str | None:
        return None if importlib.util.find_spec("onnxruntime") else "onnxruntime is not installed"

    def _open(self) -> Signature:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads or len(os.sched_getaffinity(0))
        options.inter_op_num_threads = 1
        # Spinning workers would take the cores that the node needs for receiving the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [(self.provider, self._provider_options())]
        self._session: Any = ort.InferenceSession(str(self.file), options, providers=providers)
        if self.provider not in self._session.get_providers():
            # ONNX Runtime falls back to the CPU without an error.
            raise BackendUnavailable(
                f"{self.name}: ONNX Runtime could not start {self.provider}; see its messages above"
            )
        return signature_from_io(
            {
                i.name: (_ELEMENT_TYPES.get(i.type, i.type), i.shape[-1] if isinstance(i.shape[-1], int) else None)
                for i in self._session.get_inputs()
            },
            [o.name for o in self._session.get_outputs()],
        )

    def _provider_options(self) -> dict[str, Any]:
        return {}

    def _run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        return self._session.run(None, feeds)[0]

    def _close(self) -> None:
        del self._session

    def describe(self) -> str:
        import onnxruntime as ort

        return f"onnxruntime {ort.__version__} ({self.provider.removesuffix('ExecutionProvider')})"
