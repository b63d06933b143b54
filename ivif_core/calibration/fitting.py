"""Plane transforms fitted to matching points by weighted least squares."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ivif_core.errors import InputError

Model = Literal["similarity", "affine", "homography"]
NEEDED: dict[Model, int] = {"similarity": 2, "affine": 3, "homography": 4}


def fit(
    source: np.ndarray,
    target: np.ndarray,
    model: Model,
    weights: np.ndarray | None = None,
    *,
    outlier: float | None = None,
    rounds: int = 20,
) -> np.ndarray:
    """The 3×3 matrix that takes `source` to `target` best.

    Residuals are weighted least squares in the target's pixels (for a homography, after division, by Gauss–Newton).

    Args:
        source, target: float [N, 2].
        weights: [N], zero or more; None: all alike.
        outlier: residual (px) from which on a point loses its say (Geman–McClure); None: none does.
        rounds: refits in which outliers, and a homography's denominator, settle.

    Raises:
        InputError: too few points, or points from which the model does not follow (all on one line, say).
    """
    count = len(source)
    if count < NEEDED[model]:
        raise InputError(f"{model}: expected at least {NEEDED[model]} points, got {count}")
    weights = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    centre_in, centre_out = _centring(source), _centring(target)
    x, y = transform(centre_in, source).T
    u, v = transform(centre_out, target).T
    zero, one = np.zeros(count), np.ones(count)
    matrix, now, depth = np.eye(3), weights, one
    for _ in range(rounds if outlier or model == "homography" else 1):
        if model == "similarity":
            rows = np.vstack([np.c_[x, -y, one, zero], np.c_[y, x, zero, one]])
        else:
            rows = np.vstack([np.c_[x, y, one, zero, zero, zero], np.c_[zero, zero, zero, x, y, one]])
        if model == "homography":
            rows = np.hstack([rows, np.vstack([np.c_[-u * x, -u * y], np.c_[-v * x, -v * y]])])
        strength = np.sqrt(np.r_[now, now]) / np.r_[depth, depth]
        answer, _, rank, _ = np.linalg.lstsq(rows * strength[:, None], np.r_[u, v] * strength, rcond=1e-10)
        if rank < rows.shape[1]:
            raise InputError(f"{model}: the points do not fix it; they must not lie on one line or in one place")
        matrix = _matrix(answer, model)
        depth = np.abs(matrix[2, 0] * x + matrix[2, 1] * y + 1)
        if outlier:
            residual = residuals(np.linalg.inv(centre_out) @ matrix @ centre_in, source, target)
            now = weights / (1 + (residual / outlier) ** 2) ** 2
    matrix = np.linalg.inv(centre_out) @ matrix @ centre_in
    return np.asarray(matrix / matrix[2, 2])


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [N, 2] through a 3×3 matrix."""
    mapped = np.c_[points, np.ones(len(points))] @ matrix.T
    return np.asarray(mapped[:, :2] / mapped[:, 2:])


def residuals(matrix: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distance, px, of each transformed source point from its target [N]."""
    across, down = (transform(matrix, source) - target).T
    return np.asarray(np.hypot(across, down))


def _centring(points: np.ndarray) -> np.ndarray:
    """Matrix that moves points to their mean and scales them to about 1, for well-conditioned equations."""
    centre = points.mean(axis=0)
    scale = 1 / max(float(np.abs(points - centre).max()), 1e-9)
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])


def _matrix(answer: np.ndarray, model: Model) -> np.ndarray:
    if model == "similarity":
        return np.array([[answer[0], -answer[1], answer[2]], [answer[1], answer[0], answer[3]], [0, 0, 1]])
    last = answer[6:] if model == "homography" else (0, 0)
    return np.array([answer[:3], answer[3:6], [*last, 1]])
