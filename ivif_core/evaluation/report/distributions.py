"""How a figure is spread over the images: a small SVG of a dot an image and a box a set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape

import numpy as np

_WIDTH, _LEFT, _RIGHT = 320, 8, 8
_ROW, _AXIS = 44, 22
_MOST_DOTS = 200


def distribution(column: str, figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """An SVG: for each set a dot for every image, and a box from the first to the third quartile with the median.

    Of more than 200 images, 200 dots at equal shares of them are drawn; the box knows them all.

    Args:
        column: the figure.
        figures: name of the set -> stem -> figures.
    """
    finite = {
        name: sorted((images[stem][column], stem) for stem in images if math.isfinite(images[stem][column]))
        for name, images in figures.items()
    }
    every = [value for values in finite.values() for value, _ in values]
    if not every:
        return '<p class="none">not defined for any of these images</p>'
    ticks = nice_ticks(min(every), max(every))
    low, high = min(ticks[0], *every), max(ticks[-1], *every)

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    height = _ROW * len(finite) + _AXIS
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="distribution of {escape(column)}">']
    for tick in ticks:
        anchor = "start" if x(tick) < 20 else "end" if x(tick) > _WIDTH - 20 else "middle"
        parts.append(
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="0" y2="{height - _AXIS}"/>'
            f'<text x="{x(tick):.1f}" y="{height - 6}" text-anchor="{anchor}">{tick:g}</text>'
        )
    for row, (name, values) in enumerate(finite.items()):
        parts.append(f'<g style="--set: var(--set{row % 8})"><title>{escape(name)}</title>')
        parts += _row(values, _ROW * row + _ROW / 2, x)
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def _row(values: list[tuple[float, str]], middle: float, x: Callable[[float], float]) -> list[str]:
    parts = []
    if values:
        quarter, median, three = (x(q) for q in np.percentile([value for value, _ in values], [25, 50, 75]))
        parts.append(
            f'<rect class="box" x="{quarter:.1f}" width="{max(three - quarter, 1):.1f}" y="{middle - 12}" height="24"/>'
        )
    shown = values if len(values) <= _MOST_DOTS else [values[int(k)] for k in _even(len(values), _MOST_DOTS)]
    for k, (value, stem) in enumerate(shown):
        y = middle + (k * 0.618034 % 1 - 0.5) * 18  # golden ratio: spread without chance
        parts.append(
            f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="2.6"><title>{escape(stem)}: {value:.4g}</title></circle>'
        )
    if values:
        parts.append(
            f'<line class="median" x1="{median:.1f}" x2="{median:.1f}" y1="{middle - 14}" y2="{middle + 14}"/>'
        )
    return parts


def _even(count: int, shown: int) -> np.ndarray:
    return np.linspace(0, count - 1, shown)


def nice_ticks(low: float, high: float) -> list[float]:
    """Two to five round numbers that lie in [low, high] or just around it; a single value gets room on both sides."""
    if high - low < 1e-9 * max(abs(low), abs(high), 1):
        room = max(abs(low) * 0.1, 1e-3)
        low, high = low - room, high + room
    raw = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]
