"""What our source uses of rclpy, and what releases of rclpy have of it: names and the names of parameters.

`python -m test.ros.rclpy_names humble=FOLDER jazzy=FOLDER kilted=FOLDER` writes `rclpy_names.json` beside this file, of
the folders `rclpy` (with node.py in it) of those releases. It holds what we use; after a new use it has to be written
anew. `?` stands for what cannot be read from Python: names that come from the compiled part.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_suffix(".json")
RECEIVERS = {
    **dict.fromkeys(("node", "_node", "fusion", "cameras"), "LifecycleNode"),
    **dict.fromkeys(
        ("_fused", "_compressed", "_ffmpeg", "_debug", "_hot_spots", "_temperature", "_camera_info", "publisher"),
        "Publisher",
    ),
    **{"subscription": "Subscription", "executor": "Executor", "context": "Context"},
}
"""Last word of what is called -> the rclpy class that it is in our source."""
RESULTS = {"get_clock": "Clock", "now": "Time", "get_logger": "RcutilsLogger"}
"""Method -> the class of what it gives."""

Signature = list[str]
"""Names of parameters without self; `*` and `*name` before those by name only, `**name` last."""


@dataclass(frozen=True)
class Use:
    """One use; `positional` is -1 where it is no call."""

    name: str
    where: str
    positional: int = -1
    keywords: tuple[str, ...] = ()


def uses(files: Iterator[Path]) -> Iterator[Use]:
    """All uses that can be told: imported names, their members, and methods of what is a node, a publisher …"""
    for file in files:
        tree = ast.parse(file.read_text("utf-8"))
        imported = {"rclpy": ""}
        for_types = {id(part) for block in ast.walk(tree) if _is_for_types(block) for part in ast.walk(block)}
        for line in ast.walk(tree):
            if (
                id(line) not in for_types
                and isinstance(line, ast.ImportFrom)
                and (line.module or "").split(".")[0] == "rclpy"
            ):
                for alias in line.names:
                    imported[alias.asname or alias.name] = alias.name
                    yield Use(f"{line.module}:{alias.name}", f"{file.name}:{line.lineno}")
        nodes = [
            c for c in ast.walk(tree) if isinstance(c, ast.ClassDef) and {"Node", "LifecycleNode"} & set(_bases(c))
        ]
        own = {id(part) for node in nodes for part in ast.walk(node)}
        ours = {part.name for node in nodes for part in ast.walk(node) if isinstance(part, ast.FunctionDef)}
        calls = {id(call.func): call for call in ast.walk(tree) if isinstance(call, ast.Call)}
        for part in ast.walk(tree):
            if name := _name_of(part, imported, id(part) in own, ours):
                call, where = calls.get(id(part)), f"{file.name}:{part.lineno}"
                keywords = tuple(k.arg for k in call.keywords if k.arg) if call else ()
                yield Use(name, where, len(call.args) if call else -1, keywords)


def _is_for_types(block: ast.AST) -> bool:
    return isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"


def _bases(node: ast.ClassDef) -> list[str]:
    return [base.id for base in node.bases if isinstance(base, ast.Name)]


def _name_of(part: ast.AST, imported: dict[str, str], in_node: bool, own: set[str]) -> str:
    if isinstance(part, ast.Name) and imported.get(part.id):
        return imported[part.id]
    if not isinstance(part, ast.Attribute):
        return ""
    owner = part.value
    if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Attribute):
        kind = RESULTS.get(owner.func.attr, "")
    elif isinstance(owner, ast.Name) and owner.id in imported:
        kind = imported[owner.id] or "rclpy"
    else:
        last = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
        kind = "LifecycleNode" if last == "self" and in_node else RECEIVERS.get(last, "")
    is_ours = kind == "LifecycleNode" and (part.attr in own or part.attr.startswith("_"))
    return f"{kind}.{part.attr}" if kind and not is_ours else ""


class Release:
    """The Python source of one release."""

    def __init__(self, folder: Path) -> None:
        self._trees = {}
        for file in folder.rglob("*.py"):
            module = ".".join(["rclpy", *file.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")
            self._trees[module] = ast.parse(file.read_text("utf-8"))
        self._classes = {c.name: c for t in self._trees.values() for c in ast.walk(t) if isinstance(c, ast.ClassDef)}

    def find(self, name: str) -> Signature | None:
        """Parameters; empty for what is no function; ['?'] for what is compiled; None: there is no such name."""
        module, colon, imported = name.partition(":")
        if colon:
            return [] if self._defines(module, imported) else None
        owner, dot, member = name.partition(".")
        if not dot:
            made = self._member(owner, "__init__") or self._member(owner, "__new__")
            return made or self._function(owner) or ["?"]
        if owner == "rclpy":
            return self._function(member) if self._defines("rclpy", member) else None
        return self._member(owner, member) if owner in self._classes else ["?"]

    def _function(self, name: str) -> Signature | None:
        places = (self._trees[module] for module in ("rclpy", "rclpy.utilities"))
        return next((_parameters(f, 0) for tree in places for f in tree.body if _is_function(f, name)), None)

    def _defines(self, module: str, name: str) -> bool:
        return any(name in _names(statement) for statement in ast.walk(self._trees.get(module, ast.Module([], []))))

    def _member(self, owner: str, member: str) -> Signature | None:
        found = self._classes.get(owner)
        if found is None:
            return None
        for statement in reversed(found.body):
            if _is_function(statement, member):
                return _parameters(statement, 1)
            if member in _names(statement):
                return []
        return next((s for base in _bases_of(found) if (s := self._member(base, member)) is not None), None)


def _bases_of(found: ast.ClassDef) -> list[str]:
    bases = [base.value if isinstance(base, ast.Subscript) else base for base in found.bases]
    return [base.id if isinstance(base, ast.Name) else base.attr for base in bases if not isinstance(base, ast.Call)]


def _is_function(statement: ast.AST, name: str) -> bool:
    return isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement.name == name


def _names(statement: ast.AST) -> set[str]:
    """What a statement binds."""
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name for alias in statement.names}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _parameters(function: ast.AST, skip: int) -> Signature:
    arguments = function.args  # type: ignore[attr-defined]
    is_static = any(getattr(d, "id", "") == "staticmethod" for d in function.decorator_list)  # type: ignore[attr-defined]
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args]][0 if is_static else skip :]
    if arguments.vararg or arguments.kwonlyargs:
        names += [f"*{arguments.vararg.arg if arguments.vararg else ''}", *(a.arg for a in arguments.kwonlyargs)]
    return names + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])


def our_files() -> Iterator[Path]:
    return iter(sorted((ROOT / "ivif_ros").rglob("*.py")))


def main() -> None:
    releases = {name: Release(Path(folder)) for name, folder in (word.split("=", 1) for word in sys.argv[1:])}
    names = sorted({use.name for use in uses(our_files())})
    rows = []
    for name in names:
        found = {release: source.find(name) for release, source in releases.items()}
        if any(signature is not None for signature in found.values()):  # else it is not rclpy's
            first, *others = found.values()
            rows.append(f"{json.dumps(name)}: {json.dumps(found if others != [first] * len(others) else first)}")
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
