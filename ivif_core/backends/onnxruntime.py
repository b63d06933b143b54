"""ONNX Runtime on the CPU: the backend that is there on every machine."""

from __future__ import annotations

import importlib.util
import os
from typing import Any, ClassVar

from ivif_core.backends.runner import Feeds, Outputs, Port, Runner
from ivif_core.errors import BackendUnavailable
from ivif_core.files.installation import pip_install

_ELEMENT_TYPES = {"float": "float32", "double": "float64"}
"""Where ONNX Runtime's name is not NumPy's; float16, uint8, int64 are."""


class OnnxRuntimeRunner(Runner):
    """Runs a model with ONNX Runtime's CPU provider."""

    name: ClassVar[str] = "onnxruntime"
    requirement: ClassVar[str] = pip_install("onnxruntime")
    takes_maps: ClassVar[bool] = True
    on_cpu: ClassVar[bool] = True
    provider: ClassVar[str] = "CPUExecutionProvider"

    @classmethod
    def why_unavailable(cls) -> str | None:
        return None if importlib.util.find_spec("onnxruntime") else "onnxruntime is not installed"

    def _open(self) -> tuple[dict[str, Port], dict[str, Port]]:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads or len(os.sched_getaffinity(0))
        options.inter_op_num_threads = 1
        # Spinning workers would take the cores that the node needs for receiving the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = [(self.provider, self._provider_options())]
        self._session: Any = ort.InferenceSession(str(self.model), options, providers=providers)
        if self.provider not in self._session.get_providers():
            # ONNX Runtime falls back to the CPU without an error.
            raise BackendUnavailable(
                f"{self.name}: ONNX Runtime could not start {self.provider}; see its messages "
                "(`ivif` shows them with IVIF_TRACEBACK=1)"
            )
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._names = [port.name for port in outputs]
        return {port.name: _port(port) for port in inputs}, {port.name: _port(port) for port in outputs}

    def _provider_options(self) -> dict[str, Any]:
        return {}

    def _run(self, feeds: Feeds) -> Outputs:
        return dict(zip(self._names, self._session.run(None, feeds), strict=True))

    def _close(self) -> None:
        del self._session

    def describe(self) -> str:
        ort = import_onnxruntime()
        return f"onnxruntime {ort.__version__} ({self.provider.removesuffix('ExecutionProvider')})"


def import_onnxruntime() -> Any:
    """The package, without its telemetry: that of 1.32 starts, and writes a file, while it is imported."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # of releases and systems that do not know the variable
    return onnxruntime


def _port(port: Any) -> Port:
    kind = port.type.removeprefix("tensor(").removesuffix(")")
    return Port(_ELEMENT_TYPES.get(kind, kind), tuple(axis if isinstance(axis, int) else None for axis in port.shape))
