"""The command line's parser: every error one line, only the command in use imported."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from ivif_core import __version__
from ivif_core.cli.tree import COMMANDS, GROUPS, find_command, members, module_of
from ivif_core.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Raises what argparse would print with its usage on several lines."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", partial(argparse.HelpFormatter, max_help_position=30))
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """Refuse.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message}; see `{self.prog} --help`")


class Renamed(argparse.Action):
    """An option of an earlier release, refused with its new name."""

    def __init__(self, option_strings: Sequence[str], dest: str, new: str) -> None:
        super().__init__(option_strings, dest, nargs=1, help=argparse.SUPPRESS, default=argparse.SUPPRESS)
        self._new = new

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Refuse.

        Raises:
            ConfigError: always.
        """
        parser.error(f"{self.option_strings[0]} is now {self._new}")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments of one command, with its name as `command` and its function as `run`.

    `ivif` alone, and a group alone, print their help: `run` does that.

    Raises:
        ConfigError: the arguments are wrong.
        SystemExit: --help or --version was given, and is printed.
    """
    parser = make_parser(find_command(arguments))
    if not arguments or arguments in [[group] for group in GROUPS]:
        arguments = [*arguments, "--help"]
    return parser.parse_args(arguments)


def make_parser(command: str | None) -> Parser:
    """The whole tree; the options of `command` only, so that no other command is imported."""
    parser = Parser(prog="ivif", description="Infrared–visible image fusion.")
    parser.add_argument("--version", action="version", version=f"ivif {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    for name, summary in COMMANDS.items():
        if " " not in name:
            _add(commands, name, name, summary, command)
    for group, summary in GROUPS.items():
        of_group = commands.add_parser(group, help=summary, description=_sentence(summary))
        inner = of_group.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
        for word, line in members(group).items():
            _add(inner, word, f"{group} {word}", line, command)
    return parser


def complete() -> None:
    """Answer the shell that asks for completions, where argcomplete is installed; otherwise do nothing.

    Raises:
        SystemExit: answered.
    """
    line = os.environ.get("COMP_LINE")
    if "_ARGCOMPLETE" not in os.environ or line is None:
        return
    try:
        import argcomplete
    except ImportError:
        raise SystemExit(0) from None
    try:
        command = find_command(shlex.split(line[: int(os.environ.get("COMP_POINT", len(line)))])[1:])
    except (ConfigError, ValueError):  # an unfinished word or quotation
        command = None
    argcomplete.autocomplete(make_parser(command))


def _add(commands: Any, word: str, name: str, summary: str, wanted: str | None) -> None:
    command = commands.add_parser(word, help=summary, description=_sentence(summary))
    if name == wanted:
        module = import_module(module_of(name))
        module.add_arguments(command)
        command.set_defaults(run=module.run, command=name)


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."
