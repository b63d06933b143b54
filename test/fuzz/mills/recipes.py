"""Training recipes, for which torch is loaded: a mill of its own."""

from __future__ import annotations

from test.fuzz.mill import Mill
from test.fuzz.mills.texts import Texts


def make_mill() -> Mill:
    return Texts("recipes", ("recipe",))
