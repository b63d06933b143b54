"""The best, the median and the worst image: a strip thermal | RGB | fused, and a slider between sources and fused."""

from __future__ import annotations

import base64
import math
from html import escape

import cv2
import numpy as np

from ivif_core.evaluation.scenes import Evaluation, read_scene

CHOSEN_BY = "Qabf"
_WIDEST = 960
_QUALITY = 90


def choose(evaluation: Evaluation) -> dict[str, str]:
    """Stem -> 'best', 'median' or 'worst' by the first set's Qabf; fewer than three images give fewer."""
    figures = next(iter(evaluation.figures.values()))
    known = [stem for stem in figures if math.isfinite(figures[stem][CHOSEN_BY])]
    ordered = sorted(known or figures, key=lambda stem: -figures[stem][CHOSEN_BY])
    places = {0: "best", (len(ordered) - 1) // 2: "median", len(ordered) - 1: "worst"}
    if len(ordered) < 3:
        places = {0: "best", len(ordered) - 1: "worst"} if len(ordered) == 2 else {0: "the only image"}
    return {ordered[place]: label for place, label in sorted(places.items())}


def example(evaluation: Evaluation, stem: str, label: str) -> str:
    """HTML of one example.

    Every image is in the page once, in the strip; the script gives it to the slider.

    Raises:
        InputError: an image cannot be read any more.
    """
    infrared, visible, fused = read_scene(evaluation.scenes[stem])
    images = {
        "thermal": infrared,
        "RGB": visible,
        **(fused if len(fused) > 1 else {"fused": next(iter(fused.values()))}),
    }
    value = next(iter(evaluation.figures.values()))[stem][CHOSEN_BY]
    figure = "" if math.isnan(value) else f" <span>{CHOSEN_BY} {value:.3f}</span>"
    strip = "".join(
        f'<figure><img alt="{escape(title)}" src="{_data_uri(image)}"><figcaption>{escape(title)}</figcaption></figure>'
        for title, image in images.items()
    )
    height, width = visible.shape[:2]
    return (
        f'<article class="example" style="--wide: {width}; --high: {height}">'
        f"<h3>{label} <b>{escape(stem)}</b>{figure}</h3>"
        '<div class="compare" hidden><div class="choose" role=group aria-label="left"></div>'
        '<div class="choose" role=group aria-label="right"></div>'
        '<div class="stage"><img class="right" alt=""><img class="left" alt=""><i class="cut"></i>'
        f'<input type="range" min="0" max="100" step="0.1" value="50" aria-label="source or fused, {escape(stem)}">'
        f'</div></div><div class="strip">{strip}</div></article>'
    )


def _data_uri(image: np.ndarray) -> str:
    if image.shape[1] > _WIDEST:
        size = (_WIDEST, max(1, round(image.shape[0] * _WIDEST / image.shape[1])))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
