"""The shipped student (ONNX) and what a model file says of itself.

The ONNX contract: inputs `infrared`, `visible` (N×1×H×W) and, once the student has one, `vividness` (float32 [1]);
output `fused` (N×1×H×W). float32 in [0, 1] in `student.onnx`; `student_uint8.onnx` beside it takes and gives uint8
0..255 and is the same network. So is `student_maps.onnx`, the form for CPUs, whose full-resolution work is done outside
the runtime (`models.local_affine`): `statistics` (float32 1×4×2⌈H/8⌉×2⌈W/8⌉) and `vividness` in, `maps` out. Any height
and width from 32 up.

A frame is seen at the scene's scale where the metadata `ivif.scene_scale` is 1: reduced to a half where its longer side
is over 800 pixels, to a quarter over 2100 (`local_affine.reduction_of`; H and W of `statistics` are then those of the
reduced frame). The CPU's backends (form `maps`) and torch do so. A whole graph (`student.onnx`, `_uint8`, `_fp16`,
`_int8`, `_bgr`) in any other runtime, TensorRT among them, sees every frame as it is: the same image up to 800 pixels,
another one, at a higher price, above.

A student with several aims has one more input, `aim` (int32 [1]), the index of a name in the metadata `ivif.aims`, a
JSON list. Without them a file has one aim.

Metadata: `ivif.version`, `ivif.network` (which module it was exported from, see
`training.networks`), `ivif.stride`, `ivif.receptive_field`, `ivif.recipe_sha256`; and in all forms of a float32 file
`ivif.made_from`, the SHA-256 of that file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ivif_core.errors import ConfigError, ModelError, OutputError, shown
from ivif_core.files.outputs import check_file
from ivif_core.files.reading import read_bytes
from ivif_core.files.writing import printable

MAXIMUM_MODEL = 512 << 20
"""Bytes of an ONNX file; the shipped student has a few hundred thousand."""

AIMS = "ivif.aims"
"""Metadata entry with the names of the aims."""
MOST_AIMS = 64

_METADATA_FIELD = 14  # ModelProto.metadata_props, onnx.proto
_GRAPH_FIELD = 7  # ModelProto.graph
_FUNCTION_FIELD = 25  # ModelProto.functions
_NODE_FIELD, _OPERATOR_FIELD = 1, 4  # GraphProto.node, NodeProto.op_type
_CONTROL_FLOW = {"Loop", "Scan", "If"}
"""No network of ours has them, and with them a file can run for ever."""


def resolve_model(model: str | Path | None = None) -> Path:
    """Path of a model file: `model` itself, or the shipped student's where it is None or empty.

    The shipped student is given in its uint8 form where there is one, since that saves the conversions.

    Raises:
        ModelError: no such file.
    """
    if model:
        path = Path(os.path.expanduser(model))  # noqa: PTH111  # pathlib raises for a user that is none
        if not path.is_file():
            raise ModelError(f"model: no file at {path}; give the path of an .onnx file, or leave it empty")
        return path
    folder = Path(__file__).parent
    for name in ("student_uint8.onnx", "student.onnx"):
        if (folder / name).is_file():
            return folder / name
    raise ModelError(f"the shipped student is missing from {folder}; reinstall the package or give a model file")


def maps_form(model: Path) -> Path:
    """`<stem>_maps.onnx` beside `<stem>_uint8.onnx` where both were made from one float32 file, else `model` itself."""
    stem = model.stem.removesuffix("_uint8")
    maps = model.with_name(f"{stem}_maps.onnx")
    if stem == model.stem or not maps.is_file():
        return model
    one, other = read_metadata(model), read_metadata(maps)
    return maps if one.get("ivif.made_from") == other.get("ivif.made_from") is not None else model


def read_metadata(path: str | Path) -> dict[str, str]:
    """Metadata of an ONNX file, read without any ONNX library: a robot may have none (TensorRT only).

    Raises:
        ModelError: the file is no ONNX model, is cut short, or has loops or functions.
    """
    path = Path(path)
    metadata: dict[str, str] = {}
    has_graph = False
    endless: set[str] = set()
    try:
        for field, value in _fields(read_bytes(path, MAXIMUM_MODEL)):
            if field == _METADATA_FIELD and isinstance(value, bytes):
                entry = dict(_fields(value))
                name, text = entry.get(1, b""), entry.get(2, b"")
                if isinstance(name, bytes) and isinstance(text, bytes):
                    metadata[name.decode()] = text.decode()
            if field == _GRAPH_FIELD and isinstance(value, bytes):
                has_graph = True
                endless |= _CONTROL_FLOW & _operators(value)
            if field == _FUNCTION_FIELD:  # may hold the same, and call one another without end
                endless.add("functions of its own")
    except ConfigError as error:
        raise ModelError(f"model: {error}") from error
    except (ValueError, IndexError, AttributeError, TypeError) as error:
        raise ModelError(f"model: {path} is not an ONNX file, or is cut short ({error})") from error
    if endless:
        raise ModelError(f"model: {path} has {', '.join(sorted(endless))}: networks with control flow are not run")
    if not has_graph:
        raise ModelError(f"model: {path} is not an ONNX file: it holds no graph")
    return metadata


def aims_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Names of a model's aims, in order; empty: it has one, without a name.

    Raises:
        ModelError: the entry holds no such names.
    """
    if AIMS not in metadata:
        return ()
    try:
        names = json.loads(metadata[AIMS])
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) and 0 < len(name) <= 64 for name in names):
        raise ModelError(f"{AIMS}: expected a list of names, got {shown(metadata[AIMS])}")
    if not 0 < len(names) == len(set(names)) <= MOST_AIMS:
        raise ModelError(f"{AIMS}: expected 1 to {MOST_AIMS} different names, got {shown(names)}")
    return tuple(names)


def check_model_target(path: Path, inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse a model file that may not be written: an input, or one that is there and is no model of ivif.

    Raises:
        OutputError: it may not.
    """
    check_file(path, inputs, overwrite=True)
    if path.exists():
        try:
            ours = any(key.startswith("ivif.") for key in read_metadata(path))
        except ModelError:
            ours = False
        if not ours:
            raise OutputError(f"{printable(path)} exists and is not a model of ivif; remove it, or name another folder")


def _operators(graph: bytes) -> set[str]:
    """Operators of a GraphProto."""
    nodes = (value for field, value in _fields(graph) if field == _NODE_FIELD and isinstance(value, bytes))
    kinds = (dict(_fields(node)).get(_OPERATOR_FIELD) for node in nodes)
    return {kind.decode() for kind in kinds if isinstance(kind, bytes)}


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Top-level (field number, value) pairs of a protobuf message (developers.google.com/protocol-buffers)."""
    position = 0

    def varint() -> int:
        nonlocal position
        result = shift = 0
        while True:
            byte = data[position]
            position += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7
            if shift > 63:
                raise ValueError("bad varint")

    while position < len(data):
        key = varint()
        wire = key & 7
        if wire == 0:
            yield key >> 3, varint()
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"bad wire type {wire}")
        length = varint() if wire == 2 else {1: 8, 5: 4}[wire]
        if position + length > len(data):
            raise ValueError("it ends too early")
        yield key >> 3, data[position : position + length]
        position += length
