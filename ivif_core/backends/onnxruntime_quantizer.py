"""ONNX Runtime's quantiser: chosen convolutions in 8 bits, with ranges measured on real inputs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ivif_core.files.writing import scratch_folder

if TYPE_CHECKING:
    from onnx import ModelProto


def quantise(model: ModelProto, nodes: Sequence[str], feeds: Sequence[Mapping[str, np.ndarray]]) -> ModelProto:
    """The model with quantisation inside (Q/DQ) around some nodes, as TensorRT takes it: zero points of zero, weights
    by channel, no quantised bias.

    Args:
        nodes: names of those that compute in int8.
        feeds: inputs from which ranges are taken.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = iter(feeds)

        def get_next(self) -> Mapping[str, np.ndarray] | None:
            return next(self._feeds, None)

    with scratch_folder() as folder, _quiet_root_logger():
        target = folder / "quantised.onnx"
        quantize_static(
            model,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(nodes),
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )
        return onnx.load(target)


@contextlib.contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Without what the quantiser writes to the root logger: it advises to fold constants, which is done."""

    def is_of_another_logger(record: logging.LogRecord) -> bool:
        return record.name != "root"

    logging.getLogger().addFilter(is_of_another_logger)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(is_of_another_logger)
