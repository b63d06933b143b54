"""Several sets of fused images over the same scenes: ranks, and how sure the differences are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ivif_core.evaluation.metrics import MORE_IS_BETTER
from ivif_core.evaluation.scenes import Evaluation, Figures

RESAMPLES = 10_000
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Difference:
    """Mean of one set minus mean of another in one figure, over the same images, with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """How sets of fused images stand to each other.

    Attributes:
        ranks: name -> figure -> rank of its mean, 1 the best; equal means share the better rank; NaN: undefined.
        differences: name -> other -> figure -> name minus other.
    """

    ranks: dict[str, Figures]
    differences: dict[str, dict[str, dict[str, Difference]]]

    def is_near_best(self, name: str, column: str) -> bool:
        """Whether a set that is not the best in a figure cannot be told from the best: the interval holds zero."""
        best = next((other for other, ranks in self.ranks.items() if ranks[column] == 1), name)
        if not self.ranks[name][column] > 1:  # the best, or undefined
            return False
        difference = self.differences[name][best][column]
        return difference.low <= 0 <= difference.high


def compare(evaluation: Evaluation) -> Comparison:
    """Ranks and paired differences of all sets; of a single one, rank 1 and no differences."""
    means = {name: evaluation.mean_and_deviation(name)[0] for name in evaluation.figures}
    ranks: dict[str, Figures] = {name: {} for name in means}
    for column in evaluation.columns:
        sign = 1 if MORE_IS_BETTER[column] else -1
        for name, mean in means.items():
            better = sum(sign * other[column] > sign * mean[column] for other in means.values())
            ranks[name][column] = math.nan if math.isnan(mean[column]) else 1.0 + better
    differences: dict[str, dict[str, dict[str, Difference]]] = {name: {} for name in means}
    pairs = list(combinations(means, 2))
    if pairs:
        of_images = np.stack([evaluation.array(name) - evaluation.array(other) for name, other in pairs], axis=1)
        differ, lows, highs = paired_bootstrap(of_images.reshape(len(of_images), -1)).reshape(3, len(pairs), -1)
        for k, (name, other) in enumerate(pairs):
            found = list(zip(evaluation.columns, differ[k].tolist(), lows[k].tolist(), highs[k].tolist(), strict=True))
            differences[name][other] = {column: Difference(m, lo, hi) for column, m, lo, hi in found}
            differences[other][name] = {column: Difference(-m, -hi, -lo) for column, m, lo, hi in found}
    return Comparison(ranks, differences)


def paired_bootstrap(differences: np.ndarray) -> np.ndarray:
    """Means of paired differences with their 95 % percentile intervals.

    Images are drawn again 10,000 times, and the same draws serve every column: what two sets share in a scene, however
    easy or hard it is, cancels. Efron and Tibshirani, An Introduction to the Bootstrap, 1993. The draws are the same
    in every call.

    Args:
        differences: float N×K, a row an image; values that are not finite are left out of their column.

    Returns:
        float 3×K: mean, 2.5th and 97.5th percentile; NaN where a column has no value.
    """
    count = len(differences)
    valid = np.isfinite(differences)
    values = np.where(valid, differences, 0.0)
    random = np.random.default_rng(0)
    resampled = []
    remaining = RESAMPLES
    while remaining:
        draws = min(remaining, max(1, _DRAWS_AT_ONCE // count))
        drawn = random.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count).astype(np.float64)
        with np.errstate(invalid="ignore"):
            resampled.append((times @ values) / (times @ valid.astype(np.float64)))
        remaining -= draws
    result = np.full((3, differences.shape[1]), math.nan)
    some = valid.any(axis=0)
    result[0, some] = values[:, some].sum(axis=0) / valid[:, some].sum(axis=0)
    # A draw without any image that has the figure says nothing of it.
    result[1:, some] = np.nanpercentile(np.concatenate(resampled)[:, some], [2.5, 97.5], axis=0)
    return result
