"""The page as a whole: tables, and the other parts put into their places."""

from __future__ import annotations

import math
from html import escape
from importlib import resources
from string import Template

import numpy as np

from ivif_core import __version__
from ivif_core.evaluation.comparison import Comparison
from ivif_core.evaluation.metrics import METRICS, MORE_IS_BETTER, temporal_stability
from ivif_core.evaluation.report.distributions import distribution
from ivif_core.evaluation.report.examples import CHOSEN_BY, choose, example
from ivif_core.evaluation.scenes import Evaluation

_MOST_ROWS = 2000
"""More would make a browser slow."""


def report_page(evaluation: Evaluation, comparison: Comparison) -> str:
    """HTML that needs nothing else: no network, no other file.

    Args:
        evaluation: measured; its images are read again for the examples.

    Raises:
        InputError: an image of an example cannot be read any more.
    """
    names = list(evaluation.figures)
    count = len(evaluation.figures[names[0]])
    folder = resources.files(__package__)
    style, script, page = ((folder / f"page.{suffix}").read_text("utf-8") for suffix in ("css", "js", "html"))
    chosen = choose(evaluation)
    parts = {
        "title": escape(" · ".join(names)),
        "facts": f"{count} images" + (f", {len(names)} sets compared" if len(names) > 1 else ""),
        "remarks": "".join(f"<p class=warning>{escape(text)}</p>" for text in _remarks(evaluation)),
        "marks": " Coloured: the best; bold: not to be told from the best." if len(names) > 1 else "",
        "summary": _summary(evaluation, comparison),
        "differences": _differences(evaluation, comparison) if len(names) > 1 else "",
        "legend": _legend(names) if len(names) > 1 else "",
        "distributions": "".join(_card(evaluation, column) for column in evaluation.columns),
        "chosen_by": escape(CHOSEN_BY if len(names) == 1 else f"{CHOSEN_BY} of {names[0]}"),
        "examples": "".join(example(evaluation, stem, label) for stem, label in chosen.items()),
        "images": _images(evaluation),
        "version": __version__,
        "style": style,
        "script": script,
    }
    return Template(page).substitute(parts)


def _remarks(evaluation: Evaluation) -> list[str]:
    remarks = []
    if evaluation.failed:
        remarks.append(f"{len(evaluation.failed)} images could not be measured: {', '.join(evaluation.failed)}")
    if evaluation.left_out:
        remarks.append(f"{len(evaluation.left_out)} files are not in every folder and were left out")
    return remarks


def _summary(evaluation: Evaluation, comparison: Comparison) -> str:
    """Rows are sets, columns are figures; the best of several is marked."""
    several = len(evaluation.figures) > 1
    rows = []
    for k, name in enumerate(evaluation.figures):
        mean, deviation = evaluation.mean_and_deviation(name)
        cells = []
        for column in evaluation.columns:
            rank = comparison.ranks[name][column]
            near = comparison.is_near_best(name, column)
            best = ' class="best"' if several and rank == 1 else ' class="near"' if near else ""
            note = f"<small>± {number(deviation[column])}</small>" if math.isfinite(mean[column]) else ""
            cells.append(f"<td{best}{_sort_value(mean[column])}>{number(mean[column])}{note}</td>")
        swatch = _swatch(k) if several else ""
        rows.append(f"<tr><th scope=row>{swatch}{escape(name)}</th>{''.join(cells)}</tr>")
    return _table("summary", "set", evaluation.columns, rows)


def _differences(evaluation: Evaluation, comparison: Comparison) -> str:
    """Every other set minus the first, with the paired interval."""
    first, *others = evaluation.figures
    rows = []
    for name in others:
        cells = []
        for column, difference in comparison.differences[name][first].items():
            if math.isnan(difference.mean):
                cells.append(f"<td{_sort_value(difference.mean)}>–</td>")
                continue
            clear = difference.low > 0 or difference.high < 0
            good = (difference.mean > 0) == MORE_IS_BETTER[column]
            kind = f' class="{"better" if good else "worse"}"' if clear else ""
            interval = f"<small>{number(difference.low)} … {number(difference.high)}</small>"
            cells.append(f"<td{kind}{_sort_value(difference.mean)}>{number(difference.mean, sign='+')}{interval}</td>")
        rows.append(f"<tr><th scope=row>{escape(name)}</th>{''.join(cells)}</tr>")
    return (
        f"<details><summary>Differences to {escape(first)}, with 95 % intervals</summary>"
        "<p>Mean difference over the same images; the interval is a paired bootstrap over the images. Coloured where "
        f"it does not hold zero.</p>{_table('differences', 'set', evaluation.columns, rows)}</details>"
    )


def _images(evaluation: Evaluation) -> str:
    """A row an image and set; of very many, those that most need a look."""
    several = len(evaluation.figures) > 1
    entries = [
        (k, name, stem, figures)
        for k, (name, images) in enumerate(evaluation.figures.items())
        for stem, figures in images.items()
    ]
    remark = ""
    if len(entries) > _MOST_ROWS:
        remark = f"<p>Of {len(entries)} rows, the {_MOST_ROWS} with the lowest {CHOSEN_BY}; the JSON has all.</p>"
        entries = sorted(entries, key=lambda entry: np.nan_to_num(entry[3][CHOSEN_BY], nan=math.inf))[:_MOST_ROWS]
    rows = []
    for k, name, stem, figures in entries:
        cells = "".join(f"<td{_sort_value(value)}>{number(value)}</td>" for value in figures.values())
        label = f"{_swatch(k)}{escape(stem)} <small>{escape(name)}</small>" if several else escape(stem)
        rows.append(f"<tr><th scope=row>{label}</th>{cells}</tr>")
    return remark + _table("images", "image", evaluation.columns, rows)


def _legend(names: list[str]) -> str:
    return (
        f'<p class="legend">{"".join(f"<span>{_swatch(k)}{escape(name)}</span>" for k, name in enumerate(names))}</p>'
    )


def _swatch(of_set: int) -> str:
    return f'<i class="swatch" style="--set: var(--set{of_set % 8})"></i>'


def _card(evaluation: Evaluation, column: str) -> str:
    arrow = "↑" if MORE_IS_BETTER[column] else "↓"
    plot = distribution(column, evaluation.figures)
    return (
        f'<figure class="card"><figcaption><b>{column}</b> <span>{arrow}</span><p>{escape(_definition(column))}</p>'
        f"</figcaption>{plot}</figure>"
    )


def _definition(column: str) -> str:
    """First line of the docstring, without the short name before it."""
    function = METRICS[column].function if column in METRICS else temporal_stability
    return (function.__doc__ or "").partition("\n")[0].partition(": ")[2]


def _table(identity: str, first: str, columns: list[str], rows: list[str]) -> str:
    """A table whose columns sort; figures start with the better end."""
    heads = [f'<th scope=col data-first="ascending"><button>{first}</button></th>']
    for column in columns:
        down = "descending" if MORE_IS_BETTER[column] else "ascending"
        arrow = "↑" if MORE_IS_BETTER[column] else "↓"
        heads.append(
            f'<th scope=col data-first="{down}"><button title="{escape(_definition(column))}">'
            f"{column.replace('_', ' ')}&nbsp;<span>{arrow}</span></button></th>"
        )
    return (
        f'<div class="wide" tabindex=0 role=region aria-label="{identity}"><table id="{identity}" class="sortable">'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _sort_value(value: float) -> str:
    return f' data-value="{value:.9g}"' if math.isfinite(value) else ""


def number(value: float, *, sign: str = "") -> str:
    """A figure as people read it: four digits, a dash where it is not defined."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if abs(value) >= 1e-3 else 4
    return f"{value:{sign}.{min(digits, 4)}f}".replace("-", "−")
