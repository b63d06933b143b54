"""OpenVINO on the CPU."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any, ClassVar

from ivif_core.backends.runner import Feeds, Outputs, Port, Runner
from ivif_core.backends.signal_stack import kept_signal_stack
from ivif_core.files.installation import install_command

_NAMES = ("infrared", "visible", "vividness", "aim", "fused", "statistics", "maps")
_ELEMENT_TYPES = {"u8": "uint8", "f32": "float32", "i32": "int32"}


class OpenVinoRunner(Runner):
    """Runs the model with OpenVINO's CPU plugin in float32.

    OpenVINO would take bf16 by itself on processors that have it, whose 8 bits of mantissa show as banding in skies.
    """

    name: ClassVar[str] = "openvino"
    requirement: ClassVar[str] = install_command("openvino")
    takes_maps: ClassVar[bool] = True
    on_cpu: ClassVar[bool] = True

    @classmethod
    def why_unavailable(cls) -> str | None:
        return None if importlib.util.find_spec("openvino") else "openvino is not installed"

    def _open(self) -> tuple[dict[str, Port], dict[str, Port]]:
        openvino = import_openvino()
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if self.threads:
            settings["INFERENCE_NUM_THREADS"] = self.threads
        with kept_signal_stack():
            compiled = openvino.Core().compile_model(str(self.model), "CPU", settings)
        self._request: Any = compiled.create_infer_request()
        self._names = [_name(port) for port in compiled.outputs]
        inputs = {_name(port): _port(port) for port in compiled.inputs}
        return inputs, dict(zip(self._names, map(_port, compiled.outputs), strict=True))

    def _run(self, feeds: Feeds) -> Outputs:
        results = self._request.infer(feeds, share_inputs=True, share_outputs=True)
        return {name: results[index] for index, name in enumerate(self._names)}

    def _close(self) -> None:
        del self._request

    def describe(self) -> str:
        return f"openvino {import_openvino().__version__.split('-')[0]} (CPU)"


def import_openvino() -> Any:
    """The package, without its telemetry, which would write to the home folder and send an event on import.

    Where `openvino_telemetry` is absent, OpenVINO takes a stub of its own; it knows no variable that switches it off.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _name(port: Any) -> str:
    """The contract's name where the port has it: a port bears several names after graph optimisation."""
    names = port.get_names()
    return next((name for name in _NAMES if name in names), port.get_any_name())


def _port(port: Any) -> Port:
    element = port.get_element_type().get_type_name()
    shape = port.get_partial_shape()
    axes = None if shape.rank.is_dynamic else tuple(axis.get_length() if axis.is_static else None for axis in shape)
    return Port(_ELEMENT_TYPES.get(element, element), axes)
