"""The street without anything that moves: ray-cast once, in light and in heat."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

KERB, FACADE, FAR = 4.2, 6.6, 95.0
"""Half widths of road and street, and the end of the street, m."""
CROSSING = (11.2, 15.4)
"""A side street, where people cross the road; z, m."""
FLOOR = 3.1
SODIUM = np.array([0.36, 0.68, 1.0], np.float32)  # BGR, as all colours here
SKY = np.array([0.0085, 0.0055, 0.0040], np.float32)
LAMPS = [(side * 3.5, 6.4, z) for side, z in ((1, 20.0), (-1, 31.0), (1, 43.0), (-1, 56.0), (1, 70.0), (-1, 85.0))]
"""Lamp heads; none stands near the camera, so who is near it is in the dark."""
LAMP_POWER = 42.0
VENT = (4.45, 9.7)
"""A grating from which steam rises; x, z, m."""


@dataclass
class Surfaces:
    """What each pixel's ray meets: everything H×W(×3), float32.

    Attributes:
        depth: z, m. point: position. normal. albedo, emission: linear BGR. celsius. wet: 0 dry … 1 puddle.
    """

    depth: np.ndarray
    point: np.ndarray
    normal: np.ndarray
    albedo: np.ndarray
    emission: np.ndarray
    celsius: np.ndarray
    wet: np.ndarray


class Buildings:
    """Two rows of houses: their sizes, colours, and which windows are lit."""

    def __init__(self, random: np.random.Generator) -> None:
        self.seed = int(random.integers(1 << 30))
        self.edges: dict[int, np.ndarray] = {}
        self.heights: dict[int, np.ndarray] = {}
        self.colours: dict[int, np.ndarray] = {}
        palette = np.array(
            [[0.16, 0.20, 0.30], [0.22, 0.27, 0.32], [0.10, 0.13, 0.22], [0.20, 0.20, 0.21], [0.15, 0.22, 0.28]]
        )
        for side in (-1, 1):
            widths = random.uniform(7, 13, 14)
            edges = np.concatenate([[-6.0], -6.0 + np.cumsum(widths)])
            # A row ends at the side street and starts anew behind it.
            self.edges[side] = np.sort(
                np.concatenate([edges[(edges < CROSSING[0] - 3) | (edges > CROSSING[1] + 4)], CROSSING])
            )
            count = len(self.edges[side]) + 1
            self.heights[side] = FLOOR * random.integers(3, 7, count) + 1.4
            self.colours[side] = palette[random.integers(0, len(palette), count)] * random.uniform(0.7, 1.2, (count, 1))

    def hashed(self, *keys: np.ndarray) -> np.ndarray:
        """A number in [0, 1) for each combination of whole numbers."""
        total = np.full(np.shape(keys[0]), self.seed, np.uint64)
        for key in keys:
            total = (total ^ np.asarray(key, np.int64).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            total ^= total >> np.uint64(29)
        return (total >> np.uint64(40)).astype(np.float64) / (1 << 24)


def cast(origin: np.ndarray, rays: np.ndarray, buildings: Buildings, noise: np.ndarray) -> Surfaces:
    """Follow rays H×W×3 from `origin` to ground, houses or sky."""
    shape = rays.shape[:2]
    with np.errstate(divide="ignore", invalid="ignore"):
        to_ground = np.where(rays[..., 1] < -1e-5, -origin[..., 1] / rays[..., 1], np.inf)
        side = np.where(rays[..., 0] < 0, -1, 1)
        to_wall = np.where(np.abs(rays[..., 0]) > 1e-5, (side * FACADE - origin[..., 0]) / rays[..., 0], np.inf)
        to_end = np.where(rays[..., 2] > 1e-5, (FAR - origin[..., 2]) / rays[..., 2], np.inf)
    surfaces = Surfaces(
        depth=np.full(shape, 1e3, np.float32),
        point=np.zeros((*shape, 3), np.float32),
        normal=np.zeros((*shape, 3), np.float32),
        albedo=np.zeros((*shape, 3), np.float32),
        emission=np.zeros((*shape, 3), np.float32),
        celsius=np.zeros(shape, np.float32),
        wet=np.zeros(shape, np.float32),
    )
    elevation = rays[..., 1] / np.linalg.norm(rays, axis=2)
    glow = np.exp(-np.maximum(elevation, 0) * 5.0)[..., None]
    surfaces.emission[:] = SKY * (0.55 + 2.2 * glow * np.array([0.75, 0.85, 1.25], np.float32))
    surfaces.celsius[:] = -22 + 19 * np.exp(-np.maximum(elevation, 0) * 4.5)

    wall_z = origin[..., 2] + to_wall * rays[..., 2]
    wall_y = origin[..., 1] + to_wall * rays[..., 1]
    house = np.zeros(shape, int)
    height = np.zeros(shape, np.float32)
    for name in (-1, 1):
        here = side == name
        house[here] = np.searchsorted(buildings.edges[name], wall_z[here])
        height[here] = buildings.heights[name][house[here]]
    # Rays that leave through the side street meet the flank of the house behind it.
    gap = (wall_z > CROSSING[0]) & (wall_z < CROSSING[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        to_flank = np.where(gap & (rays[..., 2] > 1e-5), (CROSSING[1] - origin[..., 2]) / rays[..., 2], np.inf)
        flank_y = origin[..., 1] + to_flank * rays[..., 1]
    for name in (-1, 1):
        behind = int(np.searchsorted(buildings.edges[name], CROSSING[1] + 0.1))
        house[gap & (side == name)] = behind
        height[gap & (side == name)] = buildings.heights[name][behind]
    flank = gap & (to_flank < to_ground) & (flank_y < height)
    wall = (to_wall < to_ground) & (to_wall < to_end) & (wall_y < height) & ~gap
    ground = (to_ground < to_end) & ((to_ground <= to_wall) | gap) & ~wall & ~flank
    end = ~wall & ~ground & ~gap & (to_end < np.inf) & (origin[..., 1] + to_end * rays[..., 1] < 15.0)

    distance = np.select([wall, ground, flank, end], [to_wall, to_ground, to_flank, to_end], 0.0).astype(np.float32)
    surfaces.point[:] = origin + distance[..., None] * rays
    hit = distance > 0
    surfaces.depth[hit] = surfaces.point[hit][:, 2]
    surfaces.normal[wall, 0] = -side[wall]
    surfaces.normal[ground, 1] = 1
    surfaces.normal[flank | end, 2] = -1
    along = np.where(flank, CROSSING[1] + np.abs(surfaces.point[..., 0]) - FACADE, surfaces.point[..., 2])
    _paint_walls(surfaces, wall | flank, along, side, house, buildings, noise)
    _paint_ground(surfaces, ground, noise)
    _paint_end(surfaces, end, buildings)
    return surfaces


def _sample(noise: np.ndarray, x: np.ndarray, y: np.ndarray, scale: float) -> np.ndarray:
    """Tiling noise at metres x, y; one tile is `scale` metres."""
    rows, columns = noise.shape
    u = (np.asarray(x, np.float32) / scale % 1 * columns).astype(np.float32).reshape(1, -1)
    v = (np.asarray(y, np.float32) / scale % 1 * rows).astype(np.float32).reshape(1, -1)
    parts = [
        cv2.remap(noise, u[:, at : at + 30000], v[:, at : at + 30000], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        for at in range(0, u.shape[1], 30000)
    ]
    return np.concatenate(parts, axis=1)[0] if parts else np.zeros(0, np.float32)


def _paint_walls(
    surfaces: Surfaces,
    mask: np.ndarray,
    along: np.ndarray,
    side: np.ndarray,
    house: np.ndarray,
    buildings: Buildings,
    noise: np.ndarray,
) -> None:
    """Stone, windows, shops and their signs; `along` is the place along the wall, m."""
    along, up = along[mask], surfaces.point[mask][:, 1]
    side, house = side[mask], house[mask]
    base = np.zeros((len(along), 3), np.float32)
    start = np.zeros(len(along), np.float32)
    top = np.zeros(len(along), np.float32)
    for name in (-1, 1):
        here = side == name
        base[here] = buildings.colours[name][house[here]]
        start[here] = np.concatenate([[-12.0], buildings.edges[name]])[house[here]]
        top[here] = buildings.heights[name][house[here]]
    grain = _sample(noise, along + 40 * side, up, 9.0)
    fine = _sample(noise, along, up + 7 * side, 1.7)
    albedo = base * (1 + 0.35 * grain + 0.25 * fine)[:, None]
    courses = (up / 0.30) % 1 < 0.12  # joints between rows of stone
    albedo[courses] *= 0.8
    spacing = 1.9 + 0.9 * buildings.hashed(side, house, np.full_like(house, 5))
    column, row = np.floor((along - start) / spacing), np.floor((up - 0.5) / FLOOR)
    inside_x = ((along - start) / spacing - column - 0.5) * spacing
    inside_y = up - 0.5 - row * FLOOR - 1.55
    half_width = np.where(row == 0, 0.42 * spacing, 0.52)
    window = (np.abs(inside_x) < half_width) & (np.abs(inside_y) < 0.85) & (top - up > 0.9) & (row >= 0)
    frame = (np.abs(inside_x) < half_width + 0.12) & (np.abs(inside_y) < 0.98) & ~window & (top - up > 0.8) & (row >= 0)
    albedo[frame] = albedo[frame] * 1.5 + 0.05
    sill = (np.abs(inside_x) < half_width + 0.2) & (np.abs(inside_y + 1.04) < 0.07) & (row > 0)
    albedo[sill] = albedo[sill] * 1.8
    cornice = (top - up < 0.5) | (np.abs(up - 0.5 - FLOOR) < 0.13)
    albedo[cornice] *= 1.45

    lottery = buildings.hashed(side, house, column, row)
    shade = buildings.hashed(side, house, column + 31, row)
    shop = (row == 0) & (buildings.hashed(side, house, np.full_like(house, 9)) < 0.45)
    lit = window & ((lottery < 0.27) | shop)
    bars = (np.abs(inside_x) < 0.03) | (np.abs(inside_y - 0.25) < 0.03)
    curtain = 0.55 + 0.45 * np.cos(inside_x * (9 + 14 * shade)) * (np.abs(inside_x) > 0.2)
    lamp_inside = np.exp(-((inside_x - 0.3 * (shade - 0.5)) ** 2 + (inside_y - 0.35) ** 2) / 0.35)
    tint = np.where(shade[:, None] < 0.72, np.array([0.30, 0.62, 1.0]), np.array([1.0, 0.86, 0.72]))
    power = (0.10 + 0.32 * shade) * (0.45 * curtain + 0.8 * lamp_inside)
    power = np.where(shop, 0.35 + 0.28 * shade + 0.25 * _sample(noise, along, up, 2.3), power) * np.where(
        bars & ~shop, 0.25, 1
    )
    emission = np.zeros_like(albedo)
    emission[lit] = (power[:, None] * tint)[lit]
    albedo[window] = 0.02
    sign_hue = buildings.hashed(side, house, np.full_like(house, 77))
    sign = shop & (inside_y > 1.02) & (inside_y < 1.42) & (np.abs(inside_x) < 0.40 * spacing)
    hues = np.array([[0.15, 0.2, 1.0], [1.0, 0.55, 0.15], [0.35, 0.9, 0.4], [0.2, 0.6, 1.0]])
    strokes = np.clip(0.5 + 1.6 * _sample(noise, along * 3, up, 1.3), 0.05, 1.2)
    emission[sign] = (hues[(sign_hue * 4).astype(int)] * strokes[:, None] * 0.8)[sign]
    dark = window & ~lit
    emission[dark] += SKY * (1.2 + 1.5 * shade[dark, None])  # glass shows the sky

    celsius = 9.0 + 2.2 * (buildings.hashed(side, house, np.full_like(house, 3)) - 0.5) + 0.5 * grain + 0.25 * fine
    celsius += 1.5 * np.exp(-up / 2.0)
    heated = (np.abs(inside_x) < 0.6) & (inside_y < -0.9) & (inside_y > -1.5) & (row > 0) & (lottery < 0.45)
    celsius[heated] += 1.8
    celsius[window] = 4.0 + 2.5 * shade[window]
    celsius[lit] = 10.5 + 2.5 * shade[lit]
    celsius[frame] += 1.6
    celsius[sign] = 15.0
    celsius[cornice] -= 1.2
    surfaces.albedo[mask], surfaces.emission[mask], surfaces.celsius[mask] = albedo, emission, celsius


def _paint_ground(surfaces: Surfaces, mask: np.ndarray, noise: np.ndarray) -> None:
    x, z = surfaces.point[mask][:, 0], surfaces.point[mask][:, 2]
    coarse, fine = _sample(noise, x, z, 17.0), _sample(noise, x, z, 2.1)
    road = (np.abs(x) < KERB) | ((z > CROSSING[0]) & (z < CROSSING[1]))
    grey = np.where(road, 0.060 + 0.016 * fine + 0.010 * coarse, 0.15 + 0.03 * fine + 0.02 * coarse)
    slabs = ~road & (((z % 1.2) < 0.05) | ((x % 1.2) < 0.05))
    grey = np.where(slabs, 0.06, grey)
    kerb = (np.abs(np.abs(x) - KERB) < 0.14) & ~((z > CROSSING[0]) & (z < CROSSING[1]))
    grey = np.where(kerb, 0.22 + 0.05 * fine, grey)
    worn = np.clip(0.75 + 0.5 * fine, 0.3, 1.0)
    centre = (np.abs(x) < 0.08) & ((z % 6.0) < 3.0) & ((z < CROSSING[0] - 1) | (z > CROSSING[1] + 1))
    zebra = (z > CROSSING[0] + 0.5) & (z < CROSSING[1] - 0.7) & (np.abs(x) < KERB - 0.2) & ((x + 0.25) % 1.0 < 0.5)
    paint = centre | zebra
    grey = np.where(paint, 0.50 * worn, grey)
    tracks = np.exp(-((np.abs(np.abs(x) - 2.0) - 0.75) ** 2) / 0.06) * road
    manhole = np.hypot(x - VENT[0], z - VENT[1]) < 0.42
    grey = np.where(manhole, 0.04, grey)
    surfaces.albedo[mask] = grey[:, None] * np.array([1.0, 1.0, 0.98], np.float32)
    gutter = np.exp(-((np.abs(x) - KERB + 0.35) ** 2) / 0.10)
    puddles = np.clip(1.5 * _sample(noise, x + 5, z * 0.6, 23.0) + 0.9 * gutter - 0.12, 0, 1)
    surfaces.wet[mask] = np.where(road, 0.20 + 0.8 * puddles, 0.12) * np.where(paint, 0.5, 1.0)
    celsius = np.where(road, 10.8, 9.4) + 0.5 * coarse + 0.3 * fine + 1.0 * tracks - 1.1 * puddles * road
    celsius = np.where(paint, celsius - 0.7, celsius)
    celsius = np.where(kerb, celsius - 0.9, celsius)
    surfaces.celsius[mask] = np.where(manhole, 19.0, celsius)


def _paint_end(surfaces: Surfaces, mask: np.ndarray, buildings: Buildings) -> None:
    """Houses across the end of the street, dim and small."""
    x, y = surfaces.point[mask][:, 0], surfaces.point[mask][:, 1]
    column, row = np.floor(x / 2.4), np.floor(y / FLOOR)
    window = (np.abs(x / 2.4 - column - 0.5) < 0.24) & (np.abs(y / FLOOR - row - 0.5) < 0.26)
    lottery = buildings.hashed(column, row)
    surfaces.albedo[mask] = 0.12
    surfaces.emission[mask] = np.where(
        (window & (lottery < 0.4))[:, None], (0.2 + lottery)[:, None] * SODIUM * 0.8, SKY * 0.6
    )
    surfaces.celsius[mask] = np.where(window, 7.0, 8.5)


def light(surfaces: Surfaces, lamps: list[tuple[float, float, float]], power: float) -> np.ndarray:
    """Irradiance (linear BGR / π) that street lamps and the sky give to each pixel."""
    point, normal = (
        [np.ascontiguousarray(part[..., axis]) for axis in range(3)] for part in (surfaces.point, surfaces.normal)
    )
    glow = np.zeros_like(surfaces.depth)
    for lamp in lamps:
        x, y, z = (np.float32(at) - plane for at, plane in zip(lamp, point, strict=True))
        squared = x * x + y * y + z * z
        distance = cv2.sqrt(squared)
        facing = np.maximum(x * normal[0] + y * normal[1] + z * normal[2], 0) / distance
        down = cv2.sqrt(np.maximum(y, 0) / distance)
        glow += np.float32(power) * facing * down / (squared + 1)
    return SKY * (1.4 + 0.6 * normal[1][..., None]) + glow[..., None] * SODIUM
