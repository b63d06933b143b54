from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from ivif_core.evaluation.comparison import compare
from ivif_core.evaluation.report.page import number, report_page


class Tables(HTMLParser):
    """Text of the cells of every table by its id; refuses tags that were not meant to be there."""

    def __init__(self):
        super().__init__()
        self.rows, self.of, self.scripts = {}, None, 0

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        if tag == "table":
            self.of = self.rows.setdefault(dict(attributes)["id"], [])
        elif tag == "tr":
            self.of.append([])
        elif tag in ("td", "th"):
            self.of[-1].append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self.of = None

    def handle_data(self, data):
        if self.of and self.of[-1]:
            self.of[-1][-1] += data


@pytest.fixture(scope="module")
def tables(page):
    parser = Tables()
    parser.feed(page)
    return parser


def test_tables_hold_every_figure(measured, tables):
    summary, images = tables.rows["summary"], tables.rows["images"]
    assert [row[0] for row in summary[1:]] == ["<b>mean", "max"]
    assert len(images) == 1 + 2 * 4 and all(len(row) == 14 for row in images)
    mean, _ = measured.mean_and_deviation("max")
    assert summary[2][1].startswith(number(mean["EN"]))
    assert images[1][8] == number(measured.figures["<b>mean"]["a"]["Qabf"])
    assert [row[0] for row in tables.rows["differences"][1:]] == ["max"]


def test_names_are_text_and_not_markup(tables, page):
    assert tables.scripts == 1
    assert "<script>alert" not in page and "<b>mean" not in page


def test_the_page_needs_nothing_else(page):
    assert not re.findall(r"""(?:src|href)=["']?(?!data:)[^"'>]+""", page)
    assert "http:" not in page and "https:" not in page and "@import" not in page and "url(" not in page


def test_one_set_has_no_comparison(measured):
    one = type(measured)(measured.scenes, {"max": measured.figures["max"]}, failed={"x": "gone"}, left_out=[])
    html = report_page(one, compare(one))
    assert 'id="differences"' not in html and 'class="best"' not in html and 'class="legend"' not in html
    assert "1 images could not be measured: x" in html


def test_of_very_many_images_the_worst_are_listed(measured):
    of_image = measured.figures["max"]["a"]
    many = {f"i{k}": {**of_image, "Qabf": k / 2500} for k in range(2500)}
    scenes = dict.fromkeys(many, measured.scenes["a"])
    evaluation = type(measured)(scenes, {"max": many})
    html = report_page(evaluation, compare(evaluation))
    parser = Tables()
    parser.feed(html)
    assert [row[0] for row in parser.rows["images"][1:]] == [f"i{k}" for k in range(2000)]
    assert "Of 2500 rows, the 2000 with the lowest Qabf" in html


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7.48512, "7.485"),
        (0.51234, "0.5123"),
        (51.876, "51.88"),
        (1234.5, "1234"),
        (0.0, "0.0000"),
        (-0.0123, "−0.0123"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_as_people_read_them(value, text):
    assert number(value) == text
