"""`config/fusion.yaml` and `docs/parameters.md`, written from the table."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ivif_core.errors import ConfigError
from ivif_core.files.writing import write_text
from ivif_core.settings.parameter import Parameter
from ivif_core.settings.parameter_file import NODE_NAME
from ivif_core.settings.table import GROUPS, PARAMETERS

COMMAND = "python -m ivif_core.settings --write"
WIDTH = 120


def documents() -> dict[str, str]:
    """Path inside the repository -> content."""
    return {"config/fusion.yaml": parameter_file(), "docs/parameters.md": parameter_page()}


def write_documents(root: Path) -> list[Path]:
    """Write both into a checkout of the repository; those that changed.

    Raises:
        ConfigError: `root` is no checkout.
        OutputError: a file cannot be written.
    """
    texts = {root / name: text for name, text in documents().items()}
    for path in texts:
        if not path.parent.is_dir():
            raise ConfigError(f"{root}: expected a checkout of the repository, with a folder {path.parent.name}")
    changed = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        write_text(path, texts[path])
    return changed


def parameter_file() -> str:
    """A parameter file with every parameter at its default."""
    lines = [
        "# Parameters of the node ivif_fusion; the values here are the defaults.",
        '# "live" ones can change while it runs: ros2 param set /ivif_fusion vividness 0.8',
        f"# Written by {COMMAND}; copy this file and change the copy.",
        "/**:",
        "  ros__parameters:",
    ]
    group = ""
    for parameter in PARAMETERS:
        first, dot, name = parameter.name.rpartition(".")
        if first != group:
            group = first
            lines.append("")
            if group:
                lines += [*_comment(GROUPS[group], 4), f"    {group}:"]
        indent = 6 if dot else 4
        lines += [*_comment(_sentences(parameter), indent), f"{' ' * indent}{name}: {as_yaml(parameter.default)}"]
    return "\n".join(lines) + "\n"


def parameter_page() -> str:
    """The table for readers."""
    rows = [
        f"| `{p.name}` | `{as_yaml(p.default)}` | {'yes' if p.live else ''} | {_with_limits(p)} |" for p in PARAMETERS
    ]
    groups = [f"- `{name}.*`: {text}" for name, text in GROUPS.items()]
    return "\n".join(
        [
            "# Parameters",
            "",
            f"<!-- Written by {COMMAND}; do not edit. -->",
            "",
            "`config/fusion.yaml` holds all of them with their defaults. *live*: may change while the node runs",
            "(`ros2 param set /ivif_fusion vividness 0.8`). A name that is not listed here, a value of another type or",
            "one out of range is refused with the reason: on the node's command line, in its parameter file, by",
            "`ros2 param set`, and in the file that commands such as `ivif bag` take with `--params`.",
            "",
            'Text needs quotes where YAML would read something else: `mode: "off"`, `-p hot_spots.mode:=\'"off"\'`.',
            "Lists hold numbers of one type: `[1.0, 0.5]`, not `[1, 0.5]`.",
            "",
            *groups,
            "",
            "| parameter | default | live | |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def as_yaml(value: Any) -> str:
    """A default as YAML, on one line."""
    if isinstance(value, str):
        return value if value and yaml.safe_load(value) == value else json.dumps(value)
    return json.dumps(value)


def parameters_as_yaml(values: Mapping[str, Any]) -> str:
    """A parameter file of the node with these values, dotted names in their groups."""
    lines = [f"/{NODE_NAME}:", "  ros__parameters:"]
    group = ""
    for name in sorted(values, key=lambda name: ("." in name, name)):
        first, _, last = name.rpartition(".")
        if first != group:
            group = first
            lines.append(f"    {group}:")
        lines.append(f"    {'  ' if group else ''}{last}: {json.dumps(values[name])}")
    return "\n".join(lines) + "\n"


def _sentences(parameter: Parameter) -> str:
    return _with_limits(parameter) + (" Live." if parameter.live else "")


def _with_limits(parameter: Parameter) -> str:
    named = parameter.choices and all(choice in parameter.description for choice in parameter.choices)
    return parameter.description if named else f"{parameter.description} {parameter.limits()}".rstrip()


def _comment(text: str, indent: int) -> list[str]:
    start = " " * indent + "# "
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)
