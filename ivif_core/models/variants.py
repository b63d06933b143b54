"""A student is a family of files: which of them has the precision that is asked for."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from ivif_core.models import read_metadata

_LOG = logging.getLogger(__name__)


def typed_model(model: Path, precision: str) -> tuple[Path, str]:
    """The file beside `model` whose tensors have the types of that precision, and the precision it really has.

    `student_uint8.onnx` and `student.onnx` have `student_fp16.onnx` and `student_int8.onnx` beside them. One that was
    made from other weights is not taken. Where there is none, it is `model` itself.
    """
    metadata = read_metadata(model)
    own = metadata.get("ivif.precision", "fp32")
    if own == precision:
        return model, own
    stem = model.stem.removesuffix("_uint8")
    variant = model.with_name(f"{stem}_{precision}.onnx")
    if variant.is_file():
        other = read_metadata(variant)
        source = model.with_name(f"{stem}.onnx")
        made_from = hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else None
        if made_from in (None, other.get("ivif.made_from")) and other.get("ivif.version") == metadata.get(
            "ivif.version"
        ):
            return variant, other.get("ivif.precision", "fp32")
        _LOG.warning("%s was not made from %s and is not used; `ivif export` makes it anew", variant.name, source.name)
    return model, own
