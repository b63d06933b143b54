"""Registration from ordinary pairs of one rig, without a board: edges are matched coarse to fine, all pairs at once.

Coarse: scales and rotations are tried out, shifts by correlation. Fine: the visible grid is divided into patches; each
says by its correlation surface, summed over the pairs, how likely each small shift is, and the model that all patches
together like best is found by expectation–maximisation. Flat patches, and those that match nowhere, have no say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ivif_core.calibration.fitting import Model, fit, residuals, transform
from ivif_core.errors import ConfigError, InputError
from ivif_core.registration.base import Size, rescaling
from ivif_core.registration.orientation import alignment_score, orientation_field

Pair = tuple[np.ndarray, np.ndarray]
"""Infrared and visible, uint8 grey."""

SCALES = (0.4, 1.3)
"""Width of the thermal view as a share of the visible one."""
COARSE_WIDTH = 128
LEVELS: tuple[tuple[int, int, int], ...] = (
    (256, 20, 64),
    (256, 10, 64),
    (384, 10, 80),
    (512, 8, 96),
    (640, 8, 96),
    (640, 5, 96),
)
"""(width of the visible grid, reach of a shift, side of a patch), px."""
NARROW = 0.6
"""Where the thermal view is a smaller share of the visible one, it is looked for on a grid finer by as much, and then
only the part of the visible image around it is matched."""
SIMILAR_LEVELS = 3
"""So many levels settle position, scale and rotation before the asked model is fitted."""


Progress = Callable[[np.ndarray], Iterable[float]]
"""Wraps what is iterated over, as tqdm does."""


@dataclass(frozen=True)
class Found:
    """A registration found in pairs.

    Attributes:
        matrix: infrared -> visible pixels.
        residual: median distance of the single patches' opinions from it, visible px.
        score, resize_score: mean alignment score with it, and with plain resize.
    """

    matrix: np.ndarray
    residual: float
    score: float
    resize_score: float


def calibrate(
    pairs: Sequence[Pair],
    *,
    model: Model = "similarity",
    scales: tuple[float, float] = SCALES,
    rotation: float = 6.0,
    shift: float = 0.5,
    progress: Progress = iter,
) -> Found:
    """Register the cameras that took `pairs`.

    Args:
        pairs: of one rig and of one size; five or more of different scenes are better than one.
        model: what may lie between the cameras.
        scales: least and largest width of the thermal view, as a share of the visible one.
        rotation: largest rotation, degrees.
        shift: largest shift of the view's middle, as a share of the visible size.
        progress: wraps the scales that are tried, as tqdm does.

    Raises:
        InputError: no pairs, different sizes, or nothing in them that matches.
        ConfigError: no range of scales, or a rotation out of 0 to 45°.
    """
    if not 0.04 <= scales[0] <= scales[1] <= 10:  # the grid grows with the inverse: at 0.01 it takes an hour
        raise ConfigError(
            f"calibration: scales: expected MIN and MAX, 0.04 <= MIN <= MAX <= 10, got {scales[0]:g} {scales[1]:g}"
        )
    if not 0 <= rotation <= 45:
        raise ConfigError(f"calibration: rotation: expected 0 to 45 degrees, got {rotation:g}")
    sizes = {(infrared.shape, visible.shape) for infrared, visible in pairs}
    if len(sizes) != 1:
        raise InputError(f"calibration: expected pairs of one camera pair and one size, got {sorted(sizes) or 'none'}")
    matrix = _coarse(pairs, scales, rotation, shift, progress)
    left, top, around = _around_the_view(pairs, matrix)
    move = np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
    residual, matrix = float("nan"), np.linalg.inv(move) @ matrix
    for number, (width, reach, side) in enumerate(LEVELS):
        matrix, residual = _refine(
            around, matrix, width, reach, side, "similarity" if number < SIMILAR_LEVELS else model
        )
    infrared, visible = pairs[0]
    matrix = move @ matrix
    resize = rescaling(infrared.shape[::-1], visible.shape[::-1])
    return Found(matrix, residual, mean_score(pairs, matrix), mean_score(pairs, resize))


def chance_score(pairs: Sequence[Pair], **search: Any) -> float:
    """The score that `calibrate` reaches where there is nothing to be found: with the infrared images mirrored.

    Edges of any picture can be laid on those of another somehow; a registration that scores hardly more says nothing.

    Args:
        search: what `calibrate` was given.
    """
    scores = [0.0]
    for axes in (0, 1, (0, 1)):
        try:
            mirrored = [(np.flip(infrared, axes).copy(), visible) for infrared, visible in pairs]
            scores.append(calibrate(mirrored, **search).score)
        except InputError:
            continue  # not even by chance
    return max(scores)


def mean_score(pairs: Sequence[Pair], matrix: np.ndarray, width: int = 512) -> float:
    """Mean alignment score of pairs under a registration, on a visible grid of `width`."""
    scores = []
    for infrared, visible in pairs:
        size = _size(visible, width)
        onto = rescaling(visible.shape[::-1], size) @ matrix
        warped, seen = _warped(infrared, onto, size)
        scores.append(alignment_score(warped, cv2.resize(visible, size, interpolation=cv2.INTER_AREA), seen))
    return float(np.mean(scores))


def _coarse(
    pairs: Sequence[Pair], scales: tuple[float, float], rotation: float, shift: float, progress: Progress
) -> np.ndarray:
    """The similarity, infrared -> visible pixels, whose correlation over all pairs is highest."""
    infrared_size, visible_size = pairs[0][0].shape[::-1], pairs[0][1].shape[::-1]
    finer = max(1.0, NARROW / float(np.sqrt(scales[0] * scales[1])))
    width, height = size = _size(pairs[0][1], round(COARSE_WIDTH * finer))
    pad_x, pad_y = round(shift * width) + 1, round(shift * height) + 1
    areas = []
    for _, visible in pairs:
        field = orientation_field(cv2.resize(visible, size, interpolation=cv2.INTER_AREA))
        areas.append(cv2.copyMakeBorder(field, pad_y, pad_y, pad_x, pad_x, cv2.BORDER_CONSTANT))
    inside = cv2.copyMakeBorder(np.ones((height, width), np.float32), pad_y, pad_y, pad_x, pad_x, cv2.BORDER_CONSTANT)
    steps = max(1, round(np.log(scales[1] / scales[0]) / 0.05))
    best, found = -np.inf, None
    for scale in progress(np.geomspace(*scales, steps + 1)):
        for angle in np.radians(np.linspace(-rotation, rotation, 2 * int(np.ceil(rotation / 3)) + 1)):
            onto = _similarity(infrared_size, size, scale * width / infrared_size[0], angle)
            likeness = np.zeros(())
            for (infrared, _), area in zip(pairs, areas, strict=True):
                warped, seen = _warped(infrared, onto, size)
                likeness = likeness + _likeness(area, warped, seen, inside)
            row, column = np.unravel_index(int(np.argmax(likeness)), likeness.shape)
            if likeness[row, column] > best:
                best = float(likeness[row, column])
                move = np.array([[1, 0, column - pad_x], [0, 1, row - pad_y], [0, 0, 1.0]])
                found = rescaling(size, visible_size) @ move @ onto
    if found is None or best <= 0:
        raise InputError("calibration: the pairs have no edges in common; take scenes with more structure")
    return np.asarray(found / found[2, 2])


def _around_the_view(pairs: Sequence[Pair], matrix: np.ndarray) -> tuple[int, int, list[Pair]]:
    """Left and top of a part of the visible image in which the thermal view is not narrow; the pairs cut to it."""
    (height, width), (tall, wide) = pairs[0][0].shape, pairs[0][1].shape
    share = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2])))) * width / wide
    if share >= NARROW:
        return 0, 0, list(pairs)
    size = np.ceil(np.array([wide, tall]) * share / NARROW).astype(int)
    middle = transform(matrix, np.array([[(width - 1) / 2, (height - 1) / 2]]))[0]
    left, top = (int(value) for value in np.clip(np.rint(middle - size / 2), 0, (wide, tall) - size))
    part = np.s_[top : top + size[1], left : left + size[0]]
    return left, top, [(infrared, visible[part]) for infrared, visible in pairs]


def _likeness(area: np.ndarray, warped: np.ndarray, seen: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Correlation of a warped infrared image with a padded visible field at every shift, little overlap marked down."""
    mask = cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0).astype(np.float32)
    field = orientation_field(warped) * mask[..., None]
    correlation = cv2.matchTemplate(area, field, cv2.TM_CCORR)
    overlap = np.maximum(cv2.matchTemplate(inside, mask, cv2.TM_CCORR), 0)
    visible_energy = cv2.matchTemplate((area**2).sum(axis=2), mask, cv2.TM_CCORR)
    infrared_energy = cv2.matchTemplate(inside, (field**2).sum(axis=2), cv2.TM_CCORR)
    normal = np.sqrt(np.maximum(visible_energy, 1e-3) * np.maximum(infrared_energy, 1e-3))
    share = overlap / max(float(inside.sum()), 1.0)
    return np.where(overlap > 0.5 * max(float(mask.sum()), 1.0), correlation / normal * share**0.25, -1.0)


def _refine(
    pairs: Sequence[Pair], matrix: np.ndarray, width: int, reach: int, side: int, model: Model
) -> tuple[np.ndarray, float]:
    """One step: a better matrix, and the patches' median distance from it in visible px."""
    size = _size(pairs[0][1], width)
    down = rescaling(pairs[0][1].shape[::-1], size)
    centres, surfaces = _patch_surfaces(pairs, down @ matrix, size, reach, side)
    if len(centres) < 6:
        raise InputError(
            "calibration: the views overlap too little to be matched; give pairs with more structure, or points by hand"
        )
    step, distance = _agree(centres, surfaces, reach, model)
    matrix = np.linalg.inv(down) @ step @ down @ matrix
    return matrix / matrix[2, 2], distance / float(down[0, 0])


def _patch_surfaces(
    pairs: Sequence[Pair], onto: np.ndarray, size: Size, reach: int, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Middles [N, 2] of patches of the grid, and how well each matches at shifts up to `reach` [N, 2R+1, 2R+1]."""
    fields = []
    for infrared, visible in pairs:
        warped, seen = _warped(infrared, onto, size)
        seen = cv2.erode(seen.astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0).astype(np.float32)
        field = orientation_field(cv2.resize(visible, size, interpolation=cv2.INTER_AREA))
        area = cv2.copyMakeBorder(field, reach, reach, reach, reach, cv2.BORDER_CONSTANT)
        fields.append((orientation_field(warped) * seen[..., None], area, (area**2).sum(axis=2), seen))
    middles, surfaces = [], []
    for y in np.linspace(side // 2, size[1] - side // 2 - 1, 7).astype(int):
        for x in np.linspace(side // 2, size[0] - side // 2 - 1, 9).astype(int):
            patch = np.s_[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2]
            wider = np.s_[y - side // 2 : y + side // 2 + 2 * reach, x - side // 2 : x + side // 2 + 2 * reach]
            total = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
            for field, area, energy, seen in fields:
                own = float((field[patch] ** 2).sum())
                if seen[patch].mean() < 0.5 or own < 1:
                    continue
                under = cv2.matchTemplate(energy[wider], seen[patch], cv2.TM_CCORR)
                total += (
                    cv2.matchTemplate(area[wider], field[patch], cv2.TM_CCORR) / np.sqrt(np.maximum(under, 1)) / side
                )
            if total.any():
                middles.append((x, y))
                surfaces.append(total)
    return np.array(middles, np.float64).reshape(-1, 2), np.array(surfaces)


def _agree(centres: np.ndarray, surfaces: np.ndarray, reach: int, model: Model) -> tuple[np.ndarray, float]:
    """The model under which the surfaces are high, and the median distance of the surfaces' own peaks from it.

    Each round takes a surface times a bell around the present prediction as the likelihood of the patch's shift, fits
    the model to the likely shifts by their precision, and narrows the bell.
    """
    levels = surfaces - np.median(surfaces, axis=(1, 2), keepdims=True)
    noise = 1.4826 * float(np.median(np.abs(levels))) + 1e-9
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    shift, step, likely = np.zeros((len(centres), 2)), np.eye(3), np.zeros((len(centres), 2))
    for spread in (reach, reach / 2, reach / 4, reach / 8):
        spread = max(float(spread), 1.0)
        for _ in range(6):
            distance = (across - shift[:, 0, None, None]) ** 2 + (down - shift[:, 1, None, None]) ** 2
            logarithm = levels / noise - distance / (2 * spread**2)
            share = np.exp(logarithm - logarithm.max(axis=(1, 2), keepdims=True))
            share /= share.sum(axis=(1, 2), keepdims=True)
            mean = np.stack([(share * across).sum(axis=(1, 2)), (share * down).sum(axis=(1, 2))], axis=1)
            apart = (across - mean[:, 0, None, None]) ** 2 + (down - mean[:, 1, None, None]) ** 2
            variance = (share * apart).sum(axis=(1, 2)) / 2 + 0.05
            # What the surface adds to the bell: the quotient of two Gaussians.
            precision = np.maximum(1 / variance - 1 / spread**2, 1e-6)
            own = (mean / variance[:, None] - shift / spread**2) / precision[:, None]
            likely = np.clip(np.where((precision > 0.2 / spread**2)[:, None], own, mean), -reach, reach)
            weights = np.minimum(precision, 4.0)
            step = fit(centres, centres + likely, model, weights, outlier=spread, rounds=5)
            shift = np.clip(transform(step, centres) - centres, -reach, reach)
    return step, float(np.median(residuals(step, centres, centres + likely)))


def _warped(infrared: np.ndarray, onto: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Infrared on a grid of `size`, smoothed where it shrinks, and where it is seen (bool)."""
    scale = float(np.sqrt(abs(np.linalg.det(onto[:2, :2]))))
    if scale < 0.8:
        infrared = cv2.GaussianBlur(infrared, (0, 0), 0.5 / scale)
    warped = cv2.warpPerspective(infrared, onto, size, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.warpPerspective(np.full(infrared.shape, 255, np.uint8), onto, size) > 127
    return warped, seen


def _similarity(infrared_size: Size, size: Size, scale: float, angle: float) -> np.ndarray:
    """Middle to middle, scaled and turned."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    middle_in, middle_out = (np.array(infrared_size) - 1) / 2, (np.array(size) - 1) / 2
    return np.vstack([np.c_[turn, middle_out - turn @ middle_in], [0, 0, 1]])


def _size(visible: np.ndarray, width: int) -> Size:
    return width, round(visible.shape[0] * width / visible.shape[1])
