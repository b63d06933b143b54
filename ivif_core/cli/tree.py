"""What `ivif` can do: its commands by name, which of them are grouped, and where old spellings went."""

from __future__ import annotations

from difflib import get_close_matches

from ivif_core.errors import ConfigError, shown

COMMANDS: dict[str, str] = {
    "fuse": "fuse image files, folders or videos",
    "fuse-many": "fuse thousands of folders and bags, on many cores or machines",
    "bag": "fuse a recorded bag into a new one",
    "extract": "write the pairs of a recorded bag as image files",
    "view": "look at pairs, photos or a bag on a local page, and move parameters",
    "evaluate": "measure fused images, rank methods, write a page to look at",
    "info": "show versions, backends and the model on this machine",
    "calibrate scene": "find how thermal lies on RGB from ordinary pairs",
    "calibrate board": "find how thermal lies on RGB from a board that both cameras see",
    "calibrate points": "find how thermal lies on RGB from matching points",
    "calibrate time": "find how far the cameras' clocks are apart, from motion in a bag",
    "calibrate click": "click matching points of a pair on a local web page",
    "bench models": "time every backend, and check that auto takes the fastest",
    "bench bag": "time `ivif bag` on a recording, beside its parts alone",
    "bench cameras": "time scaling and registration of a thermal frame",
    "bench startup": "time the node from its start to the first fused image",
    "engines build": "build a TensorRT engine ahead of time",
    "engines list": "list the cached TensorRT engines",
    "engines clear": "remove the cached TensorRT engines",
    "export": "write a student as ONNX files: float16, int8, colour; and compare them",
    "train": "train a teacher by sentences",
    "distill": "teach the student from a teacher's checkpoint or its recorded outputs",
}
"""Command -> one line of help. Its module is `ivif_core.cli.commands.<name>`, with `_` for a space and for `-`."""

GROUPS: dict[str, str] = {
    "calibrate": "find how the cameras lie on each other in space and time",
    "bench": "measure speed on this machine",
    "engines": "build, list and clear TensorRT engines",
}
"""First word of grouped commands -> one line of help."""

MOVED: dict[str, str] = {
    "bench-bag": "bench bag",
    "bench-cameras": "bench cameras",
    "build-engine": "engines build",
    "calibrate-time": "calibrate time",
    "pick-points": "calibrate click",
}
"""Spellings of 0.1 -> the commands that took their place."""

MOVED_INTO: dict[str, str] = {
    "bench": "`ivif bench` of 0.1 is now `ivif bench models`",
    "calibrate": "`ivif calibrate` of 0.1 is now `ivif calibrate scene`, or `board` or `points`",
}
"""Commands of 0.1 that are groups now -> what to say to who still calls them the old way."""


def members(group: str) -> dict[str, str]:
    """Second word -> one line of help, of the commands of a group."""
    return {name.split()[1]: summary for name, summary in COMMANDS.items() if name.split()[0] == group and " " in name}


def module_of(command: str) -> str:
    """Where a command lives."""
    return f"ivif_core.cli.commands.{command.replace(' ', '_').replace('-', '_')}"


def find_command(arguments: list[str]) -> str | None:
    """The command that these arguments start with; None where they stop at, or ask for help on, `ivif` or a group.

    Raises:
        ConfigError: there is no such command.
    """
    if not arguments or arguments[0].startswith("-"):
        return None
    first = arguments[0]
    if first in MOVED:
        raise ConfigError(f"`ivif {first}` is now `ivif {MOVED[first]}`")
    if first in COMMANDS:
        return first
    if first not in GROUPS:
        known = [name for name in COMMANDS if " " not in name] + list(GROUPS)
        raise ConfigError(f"there is no command {shown(first)}{_nearest(first, known)}; see `ivif --help`")
    if len(arguments) == 1 or arguments[1] in ("-h", "--help"):
        return None
    known = list(members(first))
    if arguments[1] not in known:
        hint = f"; {MOVED_INTO[first]}" if first in MOVED_INTO else ""
        choices = f"{', '.join(known[:-1])} or {known[-1]}"
        raise ConfigError(f"`ivif {first}`: expected {choices}, got {shown(arguments[1])}{hint}")
    return f"{first} {arguments[1]}"


def _nearest(word: str, known: list[str]) -> str:
    near = get_close_matches(word[:80], known, n=1)
    return f", but there is `{near[0]}`" if near else ""
