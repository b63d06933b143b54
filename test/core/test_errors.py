from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ivif_core.errors import one_line, shown


@given(st.text(st.characters(), max_size=50), st.integers(2, 60))
def test_one_line_is_printable_and_bounded(text, most):
    line = one_line(text, most)
    assert line.isprintable() and len(line) <= most
    line.encode("utf-8")


def test_text_that_fits_stays_as_it_is():
    assert one_line("Größe: 5 %n") == "Größe: 5 %n"
    assert one_line("a\n\x1b[2J\u202eb") == "a\\n\\x1b[2J\\u202eb"
    assert one_line("x" * 301) == "x" * 299 + "…"


def test_values_that_python_does_not_print_are_named_by_type():
    assert shown("a\nb") == "'a\\nb'"
    assert shown(1 << 100_000) in ("a value of type int", shown(10**80))  # Python 3.10 prints it, cut
    assert len(shown(["x"] * 10_000)) <= 80
