"""Radiometric JPEGs made for the purpose, by the public layout (https://exiftool.org/TagNames/FLIR.html)."""

from __future__ import annotations

import struct

import cv2
import numpy as np

PLANCK = {"R1": 17000.0, "R2": 0.0125, "B": 1450.0, "F": 1.0, "O": -7000}
RAW, EMBEDDED, CAMERA, IN_PICTURE = 1, 14, 32, 42


def counts_of(celsius: np.ndarray, gain: float = PLANCK["R1"]) -> np.ndarray:
    """uint16 of a black body's temperature through clear air: S = R1 / (R2 (exp(B / T) − F)) − O, R1 the gain."""
    inner = PLANCK["R2"] * (np.exp(PLANCK["B"] / (celsius + 273.15)) - PLANCK["F"])
    return np.rint(gain / inner - PLANCK["O"]).astype(np.uint16)


def raw_record(counts: np.ndarray, *, png: bool = False, size: tuple[int, int] | None = None) -> bytes:
    """Record of the thermal picture; `size` is the (width, height) that it claims."""
    width, height = size or counts.shape[::-1]
    picture = cv2.imencode(".png", counts.byteswap())[1].tobytes() if png else counts.astype("<u2").tobytes()
    return struct.pack("<3H", 2, width, height).ljust(32, b"\0") + picture


def camera_record(emissivity: float = 1.0, distance: float = 0.0, reflected: float = 293.15, **other: float) -> bytes:
    """Record of the constants; air and window are clear unless `other` says more."""
    constants = {**PLANCK, **other}
    record = bytearray(2476)
    struct.pack_into("<H", record, 0, 2)
    struct.pack_into("<6f", record, 32, emissivity, distance, reflected, 293.15, 293.15, 1.0)
    struct.pack_into("<f", record, 60, 0.5)
    struct.pack_into("<3f", record, 88, constants["R1"], constants["B"], constants["F"])
    struct.pack_into("<5f", record, 112, 0.006569, 0.01262, -0.002276, -0.00667, 1.9)
    struct.pack_into("<if", record, 776, int(constants["O"]), constants["R2"])
    return bytes(record)


def embedded_record(visible: np.ndarray | bytes, form: str = ".jpg") -> bytes:
    """Record of the visible picture: BGR, or what stands in its place."""
    picture = visible if isinstance(visible, bytes) else cv2.imencode(form, visible)[1].tobytes()
    return struct.pack("<3H", 3, 640, 480).ljust(32, b"\0") + picture


def in_picture_record(real2ir: float, x: int, y: int) -> bytes:
    """Record of how the thermal picture lies in the visible one."""
    return struct.pack("<f6h", real2ir, x, y, 0, 79, 0, 59).ljust(96, b"\0")


def fff(records: dict[int, bytes], order: str = ">", *, spare: int = 3) -> bytes:
    """The file of records inside the JPEG."""
    count, place = len(records) + spare, 64 + 32 * (len(records) + spare)
    entries, bodies = b"", b""
    for index, (kind, body) in enumerate(records.items()):
        entries += struct.pack(order + "HH7I", kind, 1, 100, index, place + len(bodies), len(body), 0, 0, 0)
        bodies += body + bytes(-len(body) % 4)
    head = b"FFF\0" + b"TEST".ljust(16, b"\0") + struct.pack(order + "3I", 100, 64, count)
    return head.ljust(64, b"\0") + entries.ljust(32 * count, b"\0") + bodies


def in_jpeg(content: bytes, shown: np.ndarray | None = None, *, most: int = 65525, parts: list | None = None) -> bytes:
    """A JPEG that shows `shown` and holds FFF content in APP1 segments; `parts`: (number, last, bytes) instead."""
    shown = np.zeros((60, 80, 3), np.uint8) if shown is None else shown
    jpeg = cv2.imencode(".jpg", shown)[1].tobytes()
    if parts is None:
        pieces = [content[i : i + most] for i in range(0, len(content), most)]
        parts = [(number, len(pieces) - 1, piece) for number, piece in enumerate(pieces)]
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", 2 + 8 + len(piece)) + b"FLIR\0\1" + bytes([number, last]) + piece
        for number, last, piece in parts
    )
    return jpeg[:2] + segments + jpeg[2:]


def scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """°C 60×80 from about 10 to 40, and BGR 240×320."""
    celsius = 25 + 60 * cv2.GaussianBlur(rng.uniform(-1, 1, (60, 80)), (0, 0), 3)
    visible = cv2.GaussianBlur(rng.integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 5)
    return celsius, cv2.normalize(visible, None, 0, 255, cv2.NORM_MINMAX)


def make_records(rng: np.random.Generator, **raw: object) -> dict[int, bytes]:
    """A whole photo's records."""
    celsius, visible = scene(rng)
    return {
        CAMERA: camera_record(),
        RAW: raw_record(counts_of(celsius), **raw),
        IN_PICTURE: in_picture_record(1.25, 4, -2),
        EMBEDDED: embedded_record(visible),
    }


def make_photo(rng: np.random.Generator, without: int | None = None) -> bytes:
    """A whole photo, but for one record."""
    return in_jpeg(fff({kind: body for kind, body in make_records(rng).items() if kind != without}))
