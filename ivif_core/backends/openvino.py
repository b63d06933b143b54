"""OpenVINO on the CPU."""

from __future__ import annotations

import importlib.util
from typing import Any, ClassVar

import numpy as np

from ivif_core.backends.base import Backend, Signature, signature_from_io

_NAMES = ("infrared", "visible", "vividness", "fused", "statistics", "maps")
_ELEMENT_TYPES = {"u8": "uint8", "f32": "float32"}


class OpenVinoBackend(Backend):
    """Runs the model with OpenVINO's CPU plugin in float32.

    OpenVINO would take bf16 by itself on processors that have it, whose 8 bits of mantissa show as banding in skies.
    """

    name: ClassVar[str] = "openvino"
    requirement: ClassVar[str] = "pip install 'ivif_ros[openvino]'"
    takes_maps: ClassVar[bool] = True

    @classmethod
    def why_unavailable(cls) -> str | None:
        return None if importlib.util.find_spec("openvino") else "openvino is not installed"

    def _open(self) -> Signature:
        import openvino

        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if self.threads:
            settings["INFERENCE_NUM_THREADS"] = self.threads
        compiled = openvino.Core().compile_model(str(self.file), "CPU", settings)
        self._request: Any = compiled.create_infer_request()
        return signature_from_io(
            {_name(port): (_element(port), _last_axis(port)) for port in compiled.inputs},
            [_name(port) for port in compiled.outputs],
        )

    def _run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        return self._request.infer(feeds, share_inputs=True, share_outputs=True)[0]

    def _close(self) -> None:
        del self._request

    def describe(self) -> str:
        import openvino

        return f"openvino {openvino.__version__.split('-')[0]} (CPU)"


def _name(port: Any) -> str:
    """The contract's name where the port has it: a port bears several names after graph optimisation."""
    names = port.get_names()
    return next((name for name in _NAMES if name in names), port.get_any_name())


def _element(port: Any) -> str:
    name = port.get_element_type().get_type_name()
    return _ELEMENT_TYPES.get(name, name)


def _last_axis(port: Any) -> int | None:
    axis = port.get_partial_shape()[-1]
    return axis.get_length() if axis.is_static else None
