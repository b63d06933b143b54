"""Image files: damaged, cut, with sizes that lie. What is cut is never taken as whole."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from test.fuzz import command
from test.fuzz.damage import damage
from test.fuzz.mill import Case, Mill, Verdict
from test.fuzz.pictures import colour, counts, encoded, grey

FORMATS = {
    "png": "grey colour counts",
    "jpg": "grey colour",
    "tiff": "grey colour counts float",
    "bmp": "grey colour",
    "webp": "grey colour",
    "pgm": "grey counts",
    "ppm": "colour",
    "jp2": "grey colour counts",
    "exr": "float",
    "hdr": "float",
    "gif": "colour",
    "avif": "grey colour",
}
"""Suffix -> what is written so, where this OpenCV can."""
SIDES = (0, 1, 31, 32, 8000, 30000, 65535, 10**6, 2**31 - 1, 2**32 - 1)
GOOD = {"infrared.png": encoded(".png", counts()), "visible.png": encoded(".png", colour(1))}
OUTPUT = "fused.png"


class Images(Mill):
    name = "images"

    def open(self, scratch: Path) -> None:
        self._originals = originals()
        self._scratch = scratch
        self._whole: dict[tuple[str, bytes], bytes] = {}
        Case("", GOOD).write(scratch)
        command.preload([["fuse", *GOOD, "-o", "preload.png"]], scratch)

    def make(self, random: random.Random) -> Case:
        side = random.randrange(2)
        if random.random() < 0.15:
            suffix, content = random.choice(("png", "bmp", "ppm", "jpg")), b""
            content = says_size(suffix, random.choice(SIDES), random.choice(SIDES), random)
            sort, original = "size", ""
        else:
            original = random.choice(list(self._originals))
            suffix = original.split("-")[0]
            sort, content = damage(self._originals[original], random)
        names = ["infrared.png", "visible.png"]
        files = dict(GOOD)
        del files[names[side]]
        names[side] = f"{names[side].split('.')[0]}-damaged.{suffix}"
        files[names[side]] = content
        arguments = ["fuse", *names, "-o", OUTPUT]
        return Case(suffix, files, {"arguments": arguments, "sort": sort, "original": original})

    def judge(self, case: Case, folder: Path) -> Verdict:
        arguments = case.options["arguments"]
        verdict = command.judge(case, folder, command.run(arguments, folder), [OUTPUT])
        faults = list(verdict.faults)
        output = folder / OUTPUT
        if verdict.taken:
            pixels = cv2.imread(str(output)) if output.is_file() else None
            if pixels is None:
                faults.append("done, but the output is missing or cut")
            elif case.options["sort"] == "cut" and not self._is_as_whole(case, output.read_bytes()):
                faults.append("a cut file was taken as whole")
        return Verdict(verdict.taken, faults, verdict.said)

    def _is_as_whole(self, case: Case, fused: bytes) -> bool:
        """Whether the cut file gave what the whole one gives: only what carries no pixel was cut off."""
        *_, damaged = (name for name in case.files if "damaged" in name)
        key = (damaged, case.options["original"])
        if key not in self._whole:
            whole = Case("", {**case.files, damaged: self._originals[case.options["original"]]})
            whole.write(self._scratch)
            (self._scratch / OUTPUT).unlink(missing_ok=True)
            command.run(case.options["arguments"], self._scratch)
            output = self._scratch / OUTPUT
            self._whole[key] = output.read_bytes() if output.is_file() else b""
        return fused == self._whole[key]


def originals() -> dict[str, bytes]:
    """<suffix>-<what> -> a whole file."""
    pixels = {"grey": grey(), "colour": colour(), "counts": counts(), "float": grey().astype(np.float32)}
    return {
        f"{suffix}-{what}": encoded(f".{suffix}", pixels[what] if suffix != "hdr" else colour().astype(np.float32))
        for suffix, names in FORMATS.items()
        if cv2.haveImageWriter(f".{suffix}")
        for what in names.split()
    }


def says_size(suffix: str, width: int, height: int, random: random.Random) -> bytes:
    """A file whose header says a size that its few bytes of pixels are not of."""
    if suffix == "ppm":
        return f"P{random.choice('123456')}\n{width} {height}\n{random.choice((1, 255, 65535))}\n".encode() + bytes(300)
    if suffix == "bmp":
        size = struct.pack(
            "<IiiHHIIiiII", 40, width % 2**31, height % 2**31, 1, 24, random.choice((0, 1)), 0, 0, 0, 0, 0
        )
        return b"BM" + struct.pack("<IHHI", 354, 0, 0, 54) + size + bytes(300)
    if suffix == "jpg":
        data = bytearray(encoded(".jpg", colour()))
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height % 2**16, width % 2**16)
        return bytes(data)
    head = struct.pack(">IIBBBBB", width, height, random.choice((1, 8, 16)), random.choice((0, 2, 3, 4, 6)), 0, 0, 0)
    row = zlib.compress(bytes(random.choice((100, 10**7))))
    chunks = ((b"IHDR", head), (b"IDAT", row), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def make_mill() -> Mill:
    return Images()
