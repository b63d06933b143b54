"""Commands with good inputs, for the mills that disturb them: what they write, and whether it is whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from test.fuzz import command
from test.fuzz.mill import Case
from test.fuzz.pictures import PAIRS, TOPIC_OPTIONS, colour, counts, encoded, fused_in, ros2_bag

PAIR = {"infrared.png": encoded(".png", counts()), "visible.png": encoded(".png", colour(1))}
FOLDERS = {
    f"{side}/{index}.png": encoded(".png", make(index))
    for side, make in (("infrared", counts), ("visible", colour))
    for index in range(3)
}
CORNERS = [{"infrared": [x, y], "visible": [x + 1.0, y]} for x in (3.0, 16.0, 28.0) for y in (3.0, 28.0)]
POINTS = {"points.json": json.dumps({"points": CORNERS}).encode()}


@dataclass
class Target:
    """A command.

    Attributes:
        outputs: what it makes; the first is the one named on the command line.
        one_by_one: a folder whose files appear one after the other; else all is there at once.
        good: path below the outputs -> content, of an undisturbed run.
        varying: paths whose content differs from run to run.
    """

    name: str
    files: dict[str, bytes]
    arguments: list[str]
    outputs: tuple[str, ...]
    one_by_one: bool = False
    good: dict[str, bytes] | None = None
    varying: frozenset[str] = frozenset()

    def learn(self, scratch: Path) -> dict[str, bytes]:
        """Run twice undisturbed, if it was not yet; returns `good`.

        Raises:
            RuntimeError: it fails.
        """
        if self.good is not None:
            return self.good
        runs = []
        for turn in "12":
            folder = scratch / f"{self.name}-{turn}".replace(" ", "-")
            Case("", self.files).write(folder)
            command.preload([self.arguments], folder)
            runs.append(dict(self.made(folder)))
        self.good = runs[0]
        self.varying = frozenset(path for path, content in runs[1].items() if content != runs[0][path])
        return self.good

    def made(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        """Files of the outputs that are there, with what they hold."""
        for name in self.outputs:
            output = folder / name
            for path in sorted(output.rglob("*")) if output.is_dir() else [output]:
                if path.is_file():
                    yield path.relative_to(folder).as_posix(), path.read_bytes()

    def wrong(self, folder: Path, *, finished: bool) -> list[str]:
        """What is not whole, and where `finished`, what is missing."""
        made, good = dict(self.made(folder)), self.good or {}
        found = [f"unexpected output {path}" for path in made if path not in good]
        found += [f"output {path} is cut or changed" for path in made if path in good and self._is_cut(folder, path)]
        if made.keys() != good.keys() and (finished or not (self.one_by_one or not made)):
            groups = {path.split("/")[0] for path in made}  # files beside each other come one after the other
            missing = [path for path in good if path not in made and (finished or path.split("/")[0] in groups)]
            found += [f"missing output {path}" for path in missing]
        return found

    def _is_cut(self, folder: Path, path: str) -> bool:
        content, good = (folder / path).read_bytes(), (self.good or {})[path]
        if path not in self.varying:
            return content != good
        if path.endswith(".html"):
            return not content.rstrip().endswith(b"</html>")
        if path.endswith((".mcap", ".db3")):
            return fused_in(folder / self.outputs[0]) != PAIRS
        return len(content) < 0.9 * len(good)  # times and speeds in it

    def remove(self, folder: Path) -> None:
        for name in self.outputs:
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).unlink(missing_ok=True)


def targets(scratch: Path) -> dict[str, Target]:
    """All, by name."""
    bags = {kind: {f"drive/{name}": data for name, data in ros2_bag(scratch, kind).items()} for kind in ("mcap", "db3")}
    pair = list(PAIR)
    all_of_them = [
        *(
            Target(f"fuse {suffix}", PAIR, ["fuse", *pair, "-o", f"out.{suffix}"], (f"out.{suffix}",))
            for suffix in ("png", "jpg", "bmp", "tiff", "ppm", "webp")
        ),
        Target("fuse folder", FOLDERS, ["fuse", "infrared", "visible", "-o", "out"], ("out",), one_by_one=True),
        *(Target(f"bag {kind}", bags[kind], ["bag", "drive", "out", *TOPIC_OPTIONS], ("out",)) for kind in bags),
        Target("extract", bags["mcap"], ["extract", "drive", "-o", "out", *TOPIC_OPTIONS], ("out",)),
        Target(
            "calibrate points",
            PAIR | POINTS,
            [
                "calibrate",
                "points",
                *pair,
                "--points",
                "points.json",
                "-o",
                "out.yaml",
                "--overlay",
                "out.png",
                "--force",
            ],
            ("out.yaml", "out.png"),
        ),
        Target(
            "evaluate",
            FOLDERS,
            ["evaluate", "ours=visible", "infrared", "visible", "-o", "out.html", "--json", "out.json"],
            ("out.html", "out.json"),
        ),
    ]
    return {target.name: target for target in all_of_them}
