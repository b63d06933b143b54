"""Lens distortion as drivers name it, brought to OpenCV's models; and its formulas."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

from ivif_core.errors import ConfigError, shown

POLYNOMIAL = (4, 5, 8, 12, 14)
"""Numbers of coefficients that OpenCV's model takes: k1 k2 p1 p2, k3, k4 k5 k6, s1 s2 s3 s4, τx τy."""

FISHEYE = 4
"""Number of coefficients of OpenCV's fisheye model."""

NAMES = {
    **dict.fromkeys(("plumb_bob", "rational_polynomial", "thin_prism", "radtan", "brown_conrady"), "polynomial"),
    **dict.fromkeys(("modified_brown_conrady", "opencv"), "polynomial"),
    **dict.fromkeys(("equidistant", "fisheye", "kannala_brandt", "kannala_brandt4"), "fisheye"),
    **dict.fromkeys(("", "none", "pinhole", "inverse_brown_conrady"), "none"),
}
"""Name in a CameraInfo, small and with underscores -> kind. The inverse model is RealSense's, whose D is zero."""


class Distortion:
    """One lens.

    Attributes:
        fisheye: whether it is OpenCV's fisheye model.
        coefficients: float64, as OpenCV takes them: `FISHEYE` or one of `POLYNOMIAL`.
    """

    def __init__(self, model: str, coefficients: ArrayLike) -> None:
        """
        Args:
            model: as ROS, OpenCV, Kalibr and drivers name it; without a name it is told by the coefficients.

        Raises:
            ConfigError: an unknown model, or it does not take so many coefficients.
        """
        given = np.asarray(coefficients, np.float64)
        kind = NAMES.get(model.strip().lower().replace(" ", "_").replace("-", "_"))
        if kind is None:
            known = "plumb_bob, rational_polynomial, equidistant, fisheye, radtan or none"
            raise ConfigError(f"camera: distortion model must be {known}, got {shown(model)}")
        if given.ndim != 1 or not np.isfinite(given).all():
            raise ConfigError(f"camera: expected finite distortion coefficients in a row, got {shown(coefficients)}")
        self.fisheye = kind == "fisheye"
        if not given.any():  # as drivers say that there is none
            given = np.zeros(FISHEYE if self.fisheye else 5)
        elif kind == "none" and model:
            raise ConfigError(f"camera: model {shown(model)} takes no distortion, got {given.size} coefficients")
        elif self.fisheye and given.size > FISHEYE and not given[FISHEYE:].any():
            given = given[:FISHEYE]  # as the T265 sends it
        if given.size not in ((FISHEYE,) if self.fisheye else POLYNOMIAL):
            expected = FISHEYE if self.fisheye else ", ".join(map(str, POLYNOMIAL))
            raise ConfigError(f"camera: {model or 'distortion'} takes {expected} coefficients, got {given.size}")
        self.coefficients = given

    def straighten(self, pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """float64 N×1×2: x/z and y/z of the rays that a camera with this 3×3 matrix sees at pixels (N×1×2)."""
        undistort = cv2.fisheye.undistortPoints if self.fisheye else cv2.undistortPoints
        return np.asarray(undistort(pixels, matrix, self.coefficients))

    def bend(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where a ray that comes along x/z and y/z (arrays alike, whose type is kept) goes on behind the lens.

        The formulas of `cv2.projectPoints` and `cv2.fisheye.projectPoints`, which take a hundred times as long.
        """
        k = self.coefficients.tolist()  # Python's numbers leave float32 as it is
        r2 = x * x + y * y
        if self.fisheye:
            r = np.sqrt(r2)
            angle = np.arctan(r)
            a2 = angle * angle
            bent = angle * (1 + a2 * (k[0] + a2 * (k[1] + a2 * (k[2] + a2 * k[3]))))
            factor = np.divide(bent, r, out=np.ones_like(r), where=r > 0)
            return x * factor, y * factor
        if not any(k):
            return x, y
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tilt_x, tilt_y = k + [0.0] * (POLYNOMIAL[-1] - len(k))
        factor = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        if k4 or k5 or k6:
            factor /= 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
        xy = 2 * x * y
        x, y = x * factor + p1 * xy + p2 * (r2 + 2 * x * x), y * factor + p1 * (r2 + 2 * y * y) + p2 * xy
        if s1 or s2 or s3 or s4:
            x, y = x + r2 * (s1 + r2 * s2), y + r2 * (s3 + r2 * s4)
        return _tilted(x, y, tilt_x, tilt_y) if tilt_x or tilt_y else (x, y)


def _tilted(x: np.ndarray, y: np.ndarray, tilt_x: float, tilt_y: float) -> tuple[np.ndarray, np.ndarray]:
    """Onto a sensor that is turned by τx and τy against the lens (Scheimpflug), as OpenCV's tilted model."""
    cos_x, sin_x, cos_y, sin_y = np.cos(tilt_x), np.sin(tilt_x), np.cos(tilt_y), np.sin(tilt_y)
    turn_x = np.array([[1, 0, 0], [0, cos_x, sin_x], [0, -sin_x, cos_x]])
    turn_y = np.array([[cos_y, 0, -sin_y], [0, 1, 0], [sin_y, 0, cos_y]])
    turn = turn_y @ turn_x
    onto = np.array([[turn[2, 2], 0, -turn[0, 2]], [0, turn[2, 2], -turn[1, 2]], [0, 0, 1]])
    (a, b, c), (d, e, f), (g, h, i) = (onto @ turn).tolist()
    z = g * x + h * y + i
    return (a * x + b * y + c) / z, (d * x + e * y + f) / z
