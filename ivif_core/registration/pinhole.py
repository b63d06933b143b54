"""Registration of two calibrated cameras: intrinsics, distortion, how they stand to each other, scene distance."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from ivif_core.errors import ConfigError, InputError, one_line, shown
from ivif_core.registration.base import STRIPE, RemapRegistration, Size
from ivif_core.registration.distortion import Distortion

MOST_PIXELS = 100_000
"""Of a camera's width or height; no sensor comes near it."""


@dataclass(frozen=True)
class Camera:
    """One camera's intrinsics, as `camera_calibration` and CameraInfo give them.

    Attributes:
        size: (width, height) that `matrix` is for.
        matrix: 3×3, fx 0 cx; 0 fy cy; 0 0 1.
        distortion: of the lens.
    """

    size: Size
    matrix: np.ndarray
    distortion: Distortion

    def __post_init__(self) -> None:
        if self.matrix.shape != (3, 3):
            raise ConfigError(f"camera: expected a 3×3 matrix, got {self.matrix.shape}")
        if not all(1 <= pixels <= MOST_PIXELS for pixels in self.size):
            raise ConfigError(
                f"camera: expected a width and height over 0, at most {MOST_PIXELS}, got "
                f"{shown(self.size[0])}×{shown(self.size[1])}"
            )
        if not (np.isfinite(self.matrix).all() and self.matrix.diagonal().min() > 0):
            raise ConfigError("camera: not calibrated: expected finite numbers and a focal length over 0")

    @classmethod
    def from_yaml(cls, content: dict[str, Any], path: str | os.PathLike[str]) -> Camera:
        """From a mapping in the layout of `camera_calibration` (image_width, camera_matrix: data …).

        Raises:
            ConfigError: something is missing or no number.
        """
        try:
            size = (int(content["image_width"]), int(content["image_height"]))
            matrix = np.array(content["camera_matrix"]["data"], np.float64).reshape(3, 3)
            distortion = np.array(content["distortion_coefficients"]["data"], np.float64).ravel()
            model = str(content["distortion_model"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"{one_line(path)}: expected the layout of camera_calibration (image_width, image_height, "
                f"camera_matrix, distortion_model, distortion_coefficients): {shown(error)}"
            ) from error
        return cls(size, matrix, Distortion(model, distortion))

    def as_yaml(self) -> dict[str, Any]:
        """What `from_yaml` reads."""
        return {
            "image_width": self.size[0],
            "image_height": self.size[1],
            "camera_matrix": {"rows": 3, "cols": 3, "data": self.matrix.ravel().tolist()},
            "distortion_model": "equidistant" if self.distortion.fisheye else "rational_polynomial",
            "distortion_coefficients": {
                "rows": 1,
                "cols": self.distortion.coefficients.size,
                "data": self.distortion.coefficients.tolist(),
            },
        }

    @classmethod
    def from_camera_info(cls, message: Any) -> Camera:
        """From a sensor_msgs/CameraInfo (or its older form with capital letters), which is of the raw image.

        Binning is another resolution of the same view; a region of interest moves the principal point. Where K is all
        zeros and P is not, as simulators of ideal cameras write it, P is taken, whose image has no distortion.

        Raises:
            ConfigError: the driver left it empty, or the distortion is unknown here.
        """
        given, coefficients, projection = (
            getattr(message, name, getattr(message, name.upper(), None)) for name in ("k", "d", "p")
        )
        model, size = str(message.distortion_model), (int(message.width), int(message.height))
        matrix, distortion = np.array(given, np.float64).reshape(3, 3), Distortion(model, np.array(coefficients))
        if not matrix.any() and projection is not None and not distortion.coefficients.any():
            matrix = np.array(projection, np.float64).reshape(3, 4)[:, :3].copy()
        if not matrix.any():
            raise ConfigError("camera: not calibrated: the matrix K is all zeros")
        roi = getattr(message, "roi", None)
        if roi is not None and roi.width and roi.height:
            matrix[:2, 2] -= roi.x_offset, roi.y_offset
            size = (int(roi.width), int(roi.height))
        return cls(size, matrix, distortion)

    def matrix_for(self, size: Size) -> np.ndarray:
        """`matrix` for images of the same view at another resolution."""
        scale = np.array(size) / self.size
        matrix = self.matrix.copy()
        matrix[:2] *= scale[:, None]
        matrix[:2, 2] += (scale - 1) / 2  # pixel centres are at whole numbers
        return matrix

    def rays(self, size: Size) -> np.ndarray:
        """float64 [H, W, 2]: x/z and y/z of what each pixel sees."""
        pixels = np.stack(np.meshgrid(np.arange(size[0]), np.arange(size[1])), axis=-1).astype(np.float64)
        rays = self.distortion.straighten(pixels.reshape(-1, 1, 2), self.matrix_for(size))
        return rays.reshape((size[1], size[0], 2))

    def project(self, x: np.ndarray, y: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
        """Pixels x and y of what lies at x/z and y/z (arrays alike, whose type is kept)."""
        x, y = self.distortion.bend(x, y)
        (fx, _, cx), (_, fy, cy), _ = self.matrix_for(size).tolist()
        return fx * x + cx, fy * y + cy


class Pinhole(RemapRegistration):
    """Two calibrated cameras that look at something at a known distance, or whose depth is measured.

    Pinhole cameras with a rigid motion between them (R. Hartley, A. Zisserman, Multiple View Geometry, 2nd ed., 2004).
    """

    LIMIT = 1.2
    """Rays that lie further out than the infrared image's own corner by this factor are not projected: distortion
    polynomials fold back there, and would show the image a second time."""

    def __init__(
        self, infrared: Camera, visible: Camera, rotation: ArrayLike, translation: ArrayLike, distance: float
    ) -> None:
        """
        Args:
            rotation, translation: 3×3, and 3 in metres: infrared point = rotation · visible point + translation.
            distance: of the scene before the visible camera, m.

        Raises:
            ConfigError: no rotation, or no distance over 0.
        """
        super().__init__()
        rotation, translation = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
        if rotation.size != 9:
            raise ConfigError(f"registration pinhole: rotation: expected nine numbers, row by row, got {rotation.size}")
        rotation = rotation.reshape(3, 3)
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
            raise ConfigError("registration pinhole: rotation is not a rotation matrix (nine numbers, row by row)")
        if not (np.isfinite(distance) and distance > 0) or translation.shape != (3,):
            raise ConfigError(
                f"registration pinhole: expected a distance over 0 m and three metres, got {distance:g} m and "
                f"{translation.size} numbers"
            )
        self.infrared, self.visible = infrared, visible
        self.rotation, self.translation, self.distance = rotation, translation, float(distance)
        self._depth: np.ndarray | None = None
        self._rays: np.ndarray | None = None

    def homography(self, infrared_size: Size, visible_size: Size) -> np.ndarray:
        """3×3 from infrared to visible pixels, of a wall at `distance` that faces the visible camera; no distortion."""
        onto = self.rotation + np.outer(self.translation, [0, 0, 1]) / self.distance
        lens = np.linalg.inv(self.visible.matrix_for(visible_size))
        return np.linalg.inv(self.infrared.matrix_for(infrared_size) @ onto @ lens)

    def set_depth(self, depth: np.ndarray | None) -> None:
        """Take a depth image of the visible camera (float H×W in metres; 0, NaN, inf: unknown) from now on.

        Where depth is unknown, `distance` holds. None: `distance` everywhere. Tables are made anew at the next frame.

        Raises:
            InputError: not H×W.
        """
        if depth is not None and depth.ndim != 2:
            raise InputError(f"depth: expected H×W in metres, got shape {depth.shape}")
        if depth is not None or self._depth is not None:
            self._depth, self._maps = depth, None

    def infrared_position(self, infrared_size: Size, visible_size: Size) -> tuple[np.ndarray, np.ndarray]:
        rays, shape = self._turned_rays(visible_size), visible_size[::-1]
        depth = np.full(shape, self.distance, np.float32)
        if self._depth is not None:
            depth = self._depth.astype(np.float32, copy=False)
            if depth.shape != shape:
                depth = cv2.resize(depth, visible_size, interpolation=cv2.INTER_NEAREST_EXACT)
        limit = (self.LIMIT * self._reach(infrared_size)) ** 2
        positions = np.empty((2, *shape), np.float32)
        for top in range(0, shape[0], STRIPE):
            rows = slice(top, top + STRIPE)
            z = depth[rows]
            z = np.where((z > 0) & (z < np.inf), z, np.float32(self.distance))
            with np.errstate(over="ignore", invalid="ignore"):
                x, y, z = (rays[axis, rows] * z + np.float32(self.translation[axis]) for axis in range(3))
                z[z <= 0] = np.nan  # behind the camera
                x, y = x / z, y / z
                beyond = ~(x * x + y * y <= limit)
                positions[0, rows], positions[1, rows] = self.infrared.project(x, y, infrared_size)
            positions[:, rows][:, beyond] = np.nan
        return positions[0], positions[1]

    def _turned_rays(self, visible_size: Size) -> np.ndarray:
        """float32 [3, H, W]: direction of each visible pixel, of depth 1 before that camera, as infrared sees it."""
        if self._rays is None or self._rays.shape[1:] != visible_size[::-1]:
            rays = self.visible.rays(visible_size)
            rays = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1) @ self.rotation.T
            self._rays = np.ascontiguousarray(np.moveaxis(rays, -1, 0), np.float32)
        return self._rays

    def _reach(self, infrared_size: Size) -> float:
        """How far out the infrared image's corners lie: the largest hypot(x/z, y/z)."""
        width, height = infrared_size
        corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float64)[:, None]
        rays = self.infrared.distortion.straighten(corners, self.infrared.matrix_for(infrared_size))
        return float(np.hypot(*rays[:, 0].T).max())
