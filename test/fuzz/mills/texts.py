"""Text that people and programs write: parameter, registration and points files; recipes are a mill of their own."""

from __future__ import annotations

import random
import re
from pathlib import Path

import cv2

from test.fuzz import command
from test.fuzz.damage import damage
from test.fuzz.mill import Case, Mill, Verdict
from test.fuzz.pictures import TOPIC_OPTIONS, fused_in, ros2_bag
from test.fuzz.targets import PAIR, POINTS

VALUES = (
    *(
        "",
        "null",
        "~",
        "true",
        "{}",
        "[]",
        "[[[]]]",
        "{a: 1}",
        "[1, 2]",
        "abc",
        "'0.5'",
        '"\\0"',
        "日本",
        "\ufeff",
        "\x07",
    ),
    *("0", "-1", "-0.0", "1e308", "-1e308", "1e-320", ".inf", "-.inf", ".nan", "NaN", "Infinity", "1" + "0" * 400),
    *("9" * 5000, "2" * 20, "0o7", "1:99:99", "2020-99-99", "1_0", "0x", "._", "!!float abc", "!!int ''", "!!bool x"),
    *("!!binary é", "!!timestamp x", "!!set {a, b}", "!!omap 3", "!!pairs [3]", "!!null x", "!!str", "<<: 3", "*none"),
    *('!!python/object/apply:os.system ["touch PWNED"]', '!!python/name:os.system ""', "&a [*a, *a]", "? [a]\n: b"),
    *("/dev/zero", "/dev/null", "/", "..", "../../../etc/passwd", "x" * 5000, "[" * 3000, "{a: " * 500, "- " * 1000),
    "[&a [1,1,1,1,1,1,1,1,1], &b [*a,*a,*a,*a,*a,*a,*a,*a], &c [*b,*b,*b,*b,*b,*b,*b,*b], [*c,*c,*c,*c,*c,*c,*c,*c]]",
    '{"a": 1, "a": 2}',
)
"""What stands where a plain value should."""
IDENTITY = "[1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]"
CAMERA = (
    "{image_width: 48, image_height: 48, camera_matrix: {data: [50.0, 0, 24, 0, 50, 24, 0, 0, 1]}, "
    "distortion_model: plumb_bob, distortion_coefficients: {data: [0.1, 0, 0, 0, 0]}}"
)
REGISTRATIONS = (
    f"model: homography\nhomography: {IDENTITY}\ninfrared_size: [48, 48]\nvisible_size: [48, 48]\n",
    f"model: pinhole\ninfrared: {CAMERA}\nvisible: {CAMERA}\n"
    f"rotation: {IDENTITY}\ntranslation: [0.1, 0, 0]\ndistance: 5.0\n",
)
_VALUE = re.compile(r"(?<=[:\[,] )[^\s,\]{}#]+|(?<=[:\[,])-?\d[^\s,\]{}#]*")


class Texts(Mill):
    """
    Attributes:
        kinds: of files.
    """

    def __init__(self, name: str, kinds: tuple[str, ...]) -> None:
        self.name, self.kinds = name, kinds

    def open(self, scratch: Path) -> None:
        recipes = sorted((command.ROOT / "training" / "recipes").glob("*.yaml"))
        originals = {
            "parameters": [(command.ROOT / "config" / "fusion.yaml").read_bytes()],
            "registration": [text.encode() for text in REGISTRATIONS],
            "points": list(POINTS.values()),
            "recipe": [path.read_bytes() for path in recipes],
        }
        self._originals = {kind: originals[kind] for kind in self.kinds}
        bag = {f"drive/{name}": data for name, data in ros2_bag(scratch, "mcap").items()}
        self._inputs = {"parameters": bag, "registration": PAIR, "points": PAIR, "recipe": {}}
        for kind in self.kinds:
            inputs = self._inputs[kind]
            folder = scratch / kind
            Case("", {**inputs, **{name_of(kind): self._originals[kind][0]}}).write(folder)
            if kind == "recipe":  # it names data that are not there, and is refused
                command.preload_here(["train", str(folder / name_of(kind)), *arguments_of(kind)[2:]], 2)
            else:
                command.preload([arguments_of(kind)], folder)

    def make(self, random: random.Random) -> Case:
        kind = random.choice(list(self._originals))
        original = random.choice(self._originals[kind])
        content = damage(original, random)[1] if random.random() < 0.3 else with_values(original, random)
        options = {"arguments": arguments_of(kind)}
        return Case(kind, {**self._inputs[kind], name_of(kind): content}, options)

    def judge(self, case: Case, folder: Path) -> Verdict:
        outputs = ["out", "out.png", "out.yaml"]
        verdict = command.judge(case, folder, command.run(case.options["arguments"], folder), outputs)
        faults = list(verdict.faults)
        if list(folder.rglob("PWNED")):
            faults.append("the file was run as code")
        if verdict.taken:
            faults += _wrong(case.kind, folder)
        return Verdict(verdict.taken, faults, verdict.said)


def name_of(kind: str) -> str:
    return f"{kind}.json" if kind == "points" else f"{kind}.yaml"


def arguments_of(kind: str) -> list[str]:
    name, pair = name_of(kind), list(PAIR)
    if kind == "parameters":
        return ["bag", "drive", "out", *TOPIC_OPTIONS, "--params", name]
    if kind == "registration":
        return ["fuse", *pair, "-o", "out.png", "--registration", name]
    if kind == "points":
        return ["calibrate", "points", *pair, "--points", name, "-o", "out.yaml", "--overlay", "out.png", "--force"]
    return ["train", name, "data=nowhere", "output=out"]


def with_values(content: bytes, random: random.Random) -> bytes:
    """One to three values of a YAML or JSON text replaced, a key repeated, or a line put in."""
    text = content.decode()
    for _ in range(random.choice((1, 1, 3))):
        value, places = random.choice(VALUES), list(_VALUE.finditer(text))
        sort = random.random()
        if sort < 0.8 and places:
            place = random.choice(places)
            text = text[: place.start()] + value + text[place.end() :]
        elif sort < 0.9:
            lines = text.splitlines(keepends=True) or [text]
            lines.insert(
                random.randrange(len(lines) + 1), random.choice((f"{value}\n", f"x: {value}\n", random.choice(lines)))
            )
            text = "".join(lines)
        else:
            text = value
    encoding = "utf-8" if random.random() < 0.95 else random.choice(("utf-16", "utf-8-sig", "utf-32"))
    return text.encode(encoding)


def _wrong(kind: str, folder: Path) -> list[str]:
    if kind == "parameters":
        fused = fused_in(folder / "out")
        return [fused] if isinstance(fused, str) else []
    if kind == "points" and not (folder / "out.yaml").is_file():
        return ["done, and there is no registration file"]
    picture = folder / "out.png"
    if not picture.is_file() or cv2.imread(str(picture)) is None:
        return ["done, and the image is missing or cut"]
    return []


def make_mill() -> Mill:
    return Texts("texts", ("parameters", "registration", "points"))
