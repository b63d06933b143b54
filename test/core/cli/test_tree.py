"""Which commands there are: grouped, with help, and with a line for each spelling of the first release."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ivif_core.cli.main import main
from ivif_core.cli.tree import COMMANDS, GROUPS, MOVED, members, module_of

ROOT = Path(__file__).resolve().parents[3]
IVIF = [sys.executable, "-c", "import sys; from ivif_core.cli.main import main; sys.exit(main(sys.argv[1:]))"]


def test_every_command_has_its_module_and_every_module_its_command():
    folder = ROOT / "ivif_core" / "cli" / "commands"
    assert {module_of(name).rpartition(".")[2] for name in COMMANDS} == {
        path.stem for path in folder.glob("*.py") if path.stem != "__init__"
    }
    assert set(MOVED.values()) <= set(COMMANDS)


@pytest.mark.parametrize("words", [[], *([group] for group in GROUPS)], ids=lambda words: " ".join(words) or "ivif")
def test_alone_it_prints_help(words, capsys):
    assert main(words) == 0
    alone = capsys.readouterr()
    assert main([*words, "--help"]) == 0
    assert capsys.readouterr().out == alone.out and alone.err == ""
    expected = members(words[0]) if words else [name for name in COMMANDS if " " not in name] + list(GROUPS)
    assert set(expected) <= {line.split()[0] for line in alone.out.splitlines() if line.startswith("    ")}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_its_options(name, capsys):
    assert main([*name.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: ivif {name} [-h]") and "-h, --help" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        *(([old, "x"], f"`ivif {old}` is now `ivif {new}`") for old, new in MOVED.items()),
        (["bench", "--sizes", "64x48"], "`ivif bench models`"),
        (["calibrate", "a.png", "b.png", "-o", "r.yaml"], "`ivif calibrate scene`"),
        (["calibrate", "scene", "a", "b", "-o", "c", "--points", "p.json"], "`ivif calibrate points`"),
        (["calibrate", "time", "bag", "--thermal", "/t"], "--thermal is now --infrared"),
        (["calibrate", "time", "bag", "--rgb", "/t"], "--rgb is now --visible"),
        (["fsue"], "there is `fuse`"),
        (["engines", "lsit"], "expected build, list or clear, got 'lsit'"),
        (["x\ny"], r"'x\ny'"),
        (["n" * 5000], "no command"),
    ],
)
def test_a_word_that_is_not_known_ends_with_one_line(words, said, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert len(captured.err) < 500


def test_only_the_command_in_use_is_imported():
    code = "from ivif_core.cli.main import main; main(['engines', '--help']); import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "cv2", "yaml", "tqdm"} & set(loaded)


def completed(line: str, tmp_path: Path) -> set[str]:
    """What the shell would offer after `line`, by argcomplete's protocol."""
    answer = tmp_path / "answer"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "PYTHONPATH": str(ROOT),
        "PATH": "/usr/bin:/bin",
    }
    subprocess.run(IVIF, env=environment, check=True, capture_output=True, timeout=60)
    return {word.strip() for word in answer.read_text().split("\n")}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ivif ca", {"calibrate"}),
        ("ivif bench ", {"models", "bag", "cameras", "startup"}),
        ("ivif calibrate time --in", {"--infrared"}),
    ],
)
def test_the_shell_completes_commands_and_options(line, offered, tmp_path):
    pytest.importorskip("argcomplete", reason="argcomplete is not installed")
    assert offered <= completed(line, tmp_path)
