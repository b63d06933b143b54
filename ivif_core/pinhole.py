"""Registration of two calibrated cameras: intrinsics, distortion, how they stand to each other, scene distance."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ivif_core.errors import ConfigError, InputError
from ivif_core.registration import RemapRegistration, Size

DISTORTIONS = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}
"""Model -> number of coefficients, as ROS names them."""


@dataclass(frozen=True)
class Camera:
    """One camera's intrinsics, as `camera_calibration` and CameraInfo give them.

    Attributes:
        size: (width, height) that `matrix` is for.
        matrix: 3×3, fx 0 cx; 0 fy cy; 0 0 1.
        model, distortion: see `DISTORTIONS`.
    """

    size: Size
    matrix: np.ndarray
    model: str
    distortion: np.ndarray

    def __post_init__(self) -> None:
        count = DISTORTIONS.get(self.model)
        if count is None:
            raise ConfigError(f"camera: distortion model must be one of {', '.join(DISTORTIONS)}, got '{self.model}'")
        if self.distortion.shape != (count,) or self.matrix.shape != (3, 3):
            raise ConfigError(
                f"camera: {self.model} takes {count} coefficients and a 3×3 matrix, got {self.distortion.shape} and "
                f"{self.matrix.shape}"
            )
        if not (np.isfinite(self.matrix).all() and np.isfinite(self.distortion).all() and self.matrix[0, 0] > 0):
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
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path}: expected the layout of camera_calibration (image_width, image_height, camera_matrix, "
                f"distortion_model, distortion_coefficients): {error!r}"
            ) from error
        return cls(size, matrix, model, distortion)

    @classmethod
    def from_camera_info(cls, message: Any) -> Camera:
        """From a sensor_msgs/CameraInfo (or its older form with capital letters).

        Raises:
            ConfigError: the driver left it empty, or the distortion is unknown here.
        """
        matrix, distortion = (getattr(message, n, getattr(message, n.upper(), None)) for n in ("k", "d"))
        size = (int(message.width), int(message.height))
        return cls(size, np.array(matrix, np.float64).reshape(3, 3), message.distortion_model, np.array(distortion))

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
        flat, matrix = pixels.reshape(-1, 1, 2), self.matrix_for(size)
        undistort = cv2.fisheye.undistortPoints if self.model == "equidistant" else cv2.undistortPoints
        return undistort(flat, matrix, self.distortion).reshape(size[1], size[0], 2)

    def project(self, points: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
        """Pixels x and y of points [H, W, 3] in the camera's frame; NaN behind it."""
        ahead = points[..., 2] > 0
        safe = np.where(ahead[..., None], points, [0.0, 0.0, 1.0]).reshape(-1, 1, 3)
        zero, matrix = np.zeros(3), self.matrix_for(size)
        if self.model == "equidistant":
            pixels, _ = cv2.fisheye.projectPoints(safe, zero, zero, matrix, self.distortion)
        else:
            pixels, _ = cv2.projectPoints(safe, zero, zero, matrix, self.distortion)
        pixels = np.where(ahead[..., None], pixels.reshape(*points.shape[:2], 2), np.nan)
        return pixels[..., 0], pixels[..., 1]


class Pinhole(RemapRegistration):
    """Two calibrated cameras that look at something at a known distance, or whose depth is measured.

    Pinhole cameras with a rigid motion between them (R. Hartley, A. Zisserman, Multiple View Geometry, 2nd ed., 2004).
    """

    LIMIT = 1.2
    """Rays that lie further out than the infrared image's own corner by this factor are not projected: distortion
    polynomials fold back there, and would show the image a second time."""

    def __init__(
        self, infrared: Camera, visible: Camera, rotation: np.ndarray, translation: np.ndarray, distance: float
    ) -> None:
        """
        Args:
            rotation, translation: 3×3, and 3 in metres: infrared point = rotation · visible point + translation.
            distance: of the scene before the visible camera, m.

        Raises:
            ConfigError: no rotation, or no distance over 0.
        """
        super().__init__()
        rotation, translation = np.asarray(rotation, np.float64).reshape(3, 3), np.asarray(translation, np.float64)
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
            raise ConfigError("registration pinhole: rotation is no rotation matrix (nine numbers, row by row)")
        if not (np.isfinite(distance) and distance > 0) or translation.shape != (3,):
            raise ConfigError(f"registration pinhole: expected a distance over 0 m and three metres, got {distance:g}")
        self.infrared, self.visible = infrared, visible
        self.rotation, self.translation, self.distance = rotation, translation, float(distance)
        self._depth: np.ndarray | None = None

    def set_depth(self, depth: np.ndarray | None) -> None:
        """Take a depth image of the visible camera (float H×W in metres; 0, NaN, inf: unknown) from now on.

        Where depth is unknown, `distance` holds. None: `distance` everywhere. Tables are made anew at the next frame.
        """
        if depth is not None and depth.ndim != 2:
            raise InputError(f"depth: expected H×W in metres, got shape {depth.shape}")
        self._depth, self._maps = depth, None

    def infrared_position(self, infrared_size: Size, visible_size: Size) -> tuple[np.ndarray, np.ndarray]:
        rays = self.visible.rays(visible_size)
        depth = np.full(rays.shape[:2], self.distance)
        if self._depth is not None:
            measured = cv2.resize(self._depth.astype(np.float64), visible_size, interpolation=cv2.INTER_NEAREST)
            depth = np.where(np.isfinite(measured) & (measured > 0), measured, depth)
        points = np.concatenate([rays * depth[..., None], depth[..., None]], axis=-1)
        points = points @ self.rotation.T + self.translation
        x, y = self.infrared.project(points, infrared_size)
        with np.errstate(divide="ignore", invalid="ignore"):
            far = np.hypot(*np.moveaxis(points[..., :2] / points[..., 2:], -1, 0))
        beyond = far > self.LIMIT * float(np.hypot(*self._corners(infrared_size)).max())
        return np.where(beyond, np.nan, x), np.where(beyond, np.nan, y)

    def _corners(self, infrared_size: Size) -> np.ndarray:
        """x/z and y/z [2, 4] of the infrared image's corners."""
        width, height = infrared_size
        corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float64)[:, None]
        undistort = cv2.fisheye.undistortPoints if self.infrared.model == "equidistant" else cv2.undistortPoints
        return undistort(corners, self.infrared.matrix_for(infrared_size), self.infrared.distortion)[:, 0].T
