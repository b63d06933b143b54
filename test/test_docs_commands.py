"""What `make docs-test` rests on: how blocks are read and typed. The commands of the pages are not run here."""

from __future__ import annotations

import os

import pytest

from test import docs_commands
from test.docs_commands import PAGES, Shell, blocks, inline_faults, run_block, why_not_here

PAGE = """\
Text with `ivif bag in out --keep-all` and `make demo`.

<!-- docs-test
skip `sudo`: it installs
with `<this>`: $WORD
stays `sleep`:
stays `echo ready`: ready
first: touch made
-->
```console
$ test -f made && export WORD=there   # goes on to the next line
$ test <this> = there && \\
    cd sub
$ test "$PWD" = "$TOP/sub"
$ false
$ sudo rm -r /
$ no-such-program --now
$ sleep 60
```

```
no command
```
"""


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(docs_commands, "ROOT", tmp_path)
    monkeypatch.setattr(docs_commands, "QUIET", 0.2)
    (tmp_path / "page.md").write_text(PAGE)
    (tmp_path / "Makefile").write_text("demo:\n")
    (tmp_path / "sub").mkdir()
    return tmp_path


def test_commands_are_typed_one_after_the_other_and_judged(page):
    shell = Shell(page, {"PATH": os.environ["PATH"], "TOP": str(page)}, page / "log")
    (block,) = blocks("page.md")
    found = {command.split("#")[0].strip(): (outcome, why) for command, outcome, why in run_block(block, shell)}
    assert [outcome for outcome, _ in found.values()] == ["ok"] * 3 + ["FAILED"] + ["not run"] * 2 + ["ok"]
    assert found["false"][1] == "exit status 1" and found["sudo rm -r /"][1] == "it installs"
    assert found["no-such-program --now"][1] == "no-such-program is not here"


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("sh -c 'echo ready; exec sleep 60'", ""),
        ("sh -c 'exit 3'", "did not say 'ready'; exit status 3"),
    ],
)
def test_what_stays_has_to_say_its_word(page, command, fault):
    shell = Shell(page, dict(os.environ), page / "log")
    assert shell.stay(command, "ready") == fault
    assert bool(shell.end()) == bool(fault)


def test_what_ends_by_itself_is_a_fault(page):
    shell = Shell(page, dict(os.environ), page / "log")
    assert shell.stay("sh -c 'echo ready; sleep 0.2'", "ready") == ""
    shell._staying["sh -c"][0].wait(5)
    assert "ended by itself" in shell.end()[0]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("`ivif bag in out --keep-all`, `ivif calibrate scene a b --scales 0.6 0.7`, `ivif bench …`", ""),
        ("`ivif fuze a b`", "ivif fuze a b"),
        ("`ivif bag in out --keepall`", "ivif bag in out --keepall"),
        ("`python -m ivif_core.nothing`", "python -m ivif_core.nothing"),
        ("`make dome`", "make dome"),
    ],
)
def test_names_within_the_text_have_to_be_there(page, line, fault):
    (page / "page.md").write_text(line)
    assert list(inline_faults("page.md")) == ([fault] if fault else [])


def test_what_is_of_a_clone_is_not_run_elsewhere(page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    shell = Shell(folder, dict(os.environ), page / "log")
    (page / "training").mkdir()
    (page / "training/student.yaml").touch()
    for command in ('echo ".[video]"', "make demo", "cat training/student.yaml", "echo && echo test.fuzz"):
        assert why_not_here(command, shell) == "needs a clone"
    assert why_not_here("echo training  # cat training/student.yaml", shell) == ""


def test_a_rule_that_is_none_is_refused(page):
    (page / "page.md").write_text(PAGE.replace("first: touch made", "frist: touch made"))
    with pytest.raises(ValueError, match="not a rule: frist"):
        list(blocks("page.md"))


@pytest.mark.parametrize("page_name", PAGES)
def test_pages_of_the_project_can_be_read_and_name_what_is_there(page_name):
    assert list(blocks(page_name)) is not None
    assert list(inline_faults(page_name)) == []
