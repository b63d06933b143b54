"""Cars: a lofted body, lit by the street, warm where the engine and the tyres are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from ivif_core.scene.canvas import Canvas, Label, Sprite, darken
from ivif_core.scene.optics import View
from ivif_core.scene.street import LAMP_POWER, LAMPS, SKY, SODIUM

# Stations from nose to tail: distance s, half widths at sill, waist, belt and top, heights of belt and top; m.
_STATIONS = np.array(
    [
        [0.00, 0.70, 0.75, 0.72, 0.62, 0.56, 0.62],
        [0.12, 0.82, 0.87, 0.83, 0.70, 0.69, 0.75],
        [0.60, 0.86, 0.90, 0.86, 0.74, 0.78, 0.87],
        [1.15, 0.87, 0.91, 0.87, 0.73, 0.86, 0.97],
        [1.95, 0.87, 0.91, 0.87, 0.60, 0.92, 1.41],
        [2.60, 0.87, 0.91, 0.87, 0.61, 0.94, 1.46],
        [3.10, 0.87, 0.91, 0.87, 0.60, 0.95, 1.42],
        [3.85, 0.86, 0.90, 0.86, 0.68, 0.96, 1.06],
        [4.18, 0.82, 0.87, 0.83, 0.70, 0.90, 0.97],
        [4.30, 0.74, 0.79, 0.76, 0.66, 0.62, 0.68],
    ]
)
LENGTH = 4.3
_NEAREST = 0.4  # m; what is nearer to the camera, or behind it, is not drawn
_GLASS = np.array([0.016, 0.014, 0.012], np.float32)
HEADLIGHT, TAIL_LIGHT = np.array([150.0, 142.0, 132.0]), np.array([0.10, 0.14, 3.4])


@dataclass
class Car:
    """One car; `z` is the end nearer to the camera.

    Attributes:
        approaching: its front looks at the camera.
        paint: linear BGR.
        running: engine, tyres and lights are warm.
        lights: whether they are on.
    """

    x: float
    z: float
    approaching: bool
    paint: tuple[float, float, float]
    running: bool = True
    lights: bool = True

    def lamps(self) -> np.ndarray:
        """Places of the two lights that face the camera, 2×3."""
        height = 0.66 if self.approaching else 0.80
        return np.array([[self.x + side * 0.62, height, self.z] for side in (-1, 1)])

    def draw(self, canvas: Canvas) -> None:
        """Into the canvas, with its shadow on the road."""
        view = canvas.view
        if self.z + LENGTH < _NEAREST:
            return
        corners = np.array([[self.x + a, y, self.z + b] for a in (-0.98, 0.98) for y in (0, 1.55) for b in (0, LENGTH)])
        sprite = Sprite(view, view.project(corners), fineness=2 if self.z < 7 else 3)
        if sprite.empty:
            return
        if self.z > _NEAREST:
            darken(canvas, view.project(corners[[0, 1, 5, 4]]), 0.8, 0.10 * view.pixels_per_metre / self.z)
        body = _body(self.approaching, self.running)
        faces = np.add(body.faces, (self.x, 0.0, self.z))
        albedo = np.where(body.is_glass[:, None], _GLASS, body.paint_share[:, None] * np.array(self.paint))
        gloss = np.where(body.is_glass, 0.14, 0.07)
        radiance = _shade(faces.mean(axis=1), body.normals, albedo, gloss, np.array(view.position))
        towards = np.array(view.position) - faces.mean(axis=1)
        visible = ((towards * body.normals).sum(axis=1) > 0) & (faces[..., 2].min(axis=1) > _NEAREST)
        order = np.argsort(-np.linalg.norm(towards, axis=1))
        pixels = view.project(faces.reshape(-1, 3)).reshape(-1, 4, 2)
        for index in order[visible[order]]:
            sprite.polygon(pixels[index], radiance[index], body.celsius[index])
        if self.z > _NEAREST:
            self._draw_wheels(sprite, view)
            self._draw_lights(sprite, view)
        sprite.shrink()
        sprite.blend(canvas, max(self.z, _NEAREST), Label.CAR)

    def _place(self, points: np.ndarray) -> np.ndarray:
        """Lateral, height, distance from the nose -> world."""
        return np.add(_turned(points, self.approaching), (self.x, 0.0, self.z))

    def _draw_wheels(self, sprite: Sprite, view: View) -> None:
        tyre_heat = 21.0 if self.running else 9.5
        for x in (-0.74, 0.74):  # treads, under the near end
            tread = np.array([[x - 0.10, 0.0, 0.5], [x + 0.10, 0.0, 0.5], [x + 0.10, 0.24, 0.5], [x - 0.10, 0.24, 0.5]])
            sprite.polygon(
                view.project(np.add(tread, (self.x, 0.0, self.z))), np.array([0.008, 0.008, 0.009]), tyre_heat
            )
        beside = view.position[0] - self.x
        if abs(beside) < 1.0:
            return
        turn, side = np.linspace(0, 2 * np.pi, 18, endpoint=False), np.sign(beside)
        for s in (3.45, 0.84) if self.approaching else (0.84, 3.45):
            for radius, colour, celsius in (
                (0.40, (0.004, 0.004, 0.004), 8.0),
                (0.32, (0.010, 0.010, 0.011), tyre_heat),
                (0.20, (0.05, 0.06, 0.07), tyre_heat - 5),
                (0.06, (0.015, 0.015, 0.015), tyre_heat + 2),
            ):
                ring = np.stack(
                    [np.full(18, side * 0.915), 0.32 + radius * np.sin(turn), s + radius * np.cos(turn)], axis=1
                )
                ring[:, 1] = np.maximum(ring[:, 1], 0.0)
                sprite.polygon(view.project(self._place(ring)), np.array(colour), celsius)

    def _draw_lights(self, sprite: Sprite, view: View) -> None:
        at = -0.01 if self.approaching else LENGTH + 0.01

        def plate(x: float, y: float, width: float, height: float, colour: np.ndarray, celsius: float) -> None:
            corners = [
                (x - width, y - height, at),
                (x + width, y - height, at),
                (x + width, y + height, at),
                (x - width, y + height, at),
            ]
            sprite.polygon(view.project(self._place(np.array(corners))), colour, celsius)

        warm = 1.0 if self.running else 0.0
        if self.approaching:
            plate(0, 0.40, 0.42, 0.10, np.array([0.004, 0.004, 0.004]), 11 + 20 * warm)
        plate(0, 0.46 if self.approaching else 0.60, 0.25, 0.055, np.array([0.10, 0.11, 0.12]), 9 + 4 * warm)
        if not self.approaching and self.running:
            plate(0.45, 0.24, 0.06, 0.035, np.array([0.004, 0.004, 0.004]), 48.0)
        for side in (-1, 1):
            if self.approaching:
                colour = HEADLIGHT if self.lights else np.array([0.10, 0.10, 0.10])
                plate(side * 0.56, 0.635, 0.17, 0.055, colour, 9 + 21 * warm)
            else:
                colour = TAIL_LIGHT if self.lights else np.array([0.01, 0.01, 0.10])
                plate(side * 0.60, 0.80, 0.14, 0.07, colour, 9 + 6 * warm)


class _Body(NamedTuple):
    """Faces N×4×3 of a car whose near end is at z = 0, and of each: normal, share of paint, glass or not, °C."""

    faces: np.ndarray
    normals: np.ndarray
    paint_share: np.ndarray
    is_glass: np.ndarray
    celsius: np.ndarray


def _turned(points: np.ndarray, approaching: bool) -> np.ndarray:
    """Lateral, height, distance from the nose -> x, y, z with the near end at 0."""
    return points if approaching else points * (1, 1, -1) + (0, 0, LENGTH)


@lru_cache
def _body(approaching: bool, running: bool) -> _Body:
    s, sill, waist, belt, top, belt_y, top_y = _STATIONS.T
    widths = [sill, waist, belt, top, top * 0.4, top * 0.0]
    heights = [np.full_like(s, 0.22), np.full_like(s, 0.50), belt_y, top_y, top_y + 0.025, top_y + 0.03]
    warm = 1.0 if running else 0.0
    quads, shares, glass, celsius = [], [], [], []

    def add(corners: list[tuple[float, float, float]], row: int, is_glass: bool, degrees: float) -> None:
        quads.append(corners)
        shares.append(0.35 if row == 0 else 1.0)
        glass.append(is_glass)
        celsius.append(degrees)

    for station, row in product(range(len(s) - 1), range(len(widths) - 1)):
        upward, screen = row >= 3, station in (3, 6) and row >= 3
        bonnet = warm * (station < 3) * (11.0 if upward else 5.5)
        if screen:
            degrees = 12.0 + 3.0 * warm
        elif row == 2 and 3 <= station <= 6:
            degrees = 10.0 + 2.0 * warm
        else:  # what looks up mirrors the cold sky
            degrees = bonnet + (3.5 if upward else 8.5 + 2.0 * warm * (row == 0))
        corners = ((row, station), (row, station + 1), (row + 1, station + 1), (row + 1, station))
        for side in (-1, 1):
            quad = [(side * widths[r][at], heights[r][at], s[at]) for r, at in corners]
            add(quad, row, screen or (row == 2 and 3 <= station <= 6), degrees)
    for station, row in product((0, len(s) - 1), range(3)):
        low, high, y0, y1 = (values[r][station] for values in (widths, heights) for r in (row, row + 1))
        nose = warm * ((17.0 if row < 2 else 8.0) if station == 0 else 2.5 * (row == 0))
        at = s[station]
        add([(-low, y0, at), (low, y0, at), (high, y1, at), (-high, y1, at)], row, False, 9.0 + nose)
    faces = _turned(np.array(quads), approaching)
    normals = np.cross(faces[:, 2] - faces[:, 0], faces[:, 3] - faces[:, 1])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    inward = ((faces.mean(axis=1) - (0, 0.6, LENGTH / 2)) * normals).sum(axis=1) < 0
    normals[inward] *= -1
    return _Body(faces, normals, np.array(shares), np.array(glass), np.array(celsius))


def _shade(
    points: np.ndarray, normals: np.ndarray, albedo: np.ndarray, gloss: np.ndarray, eye: np.ndarray
) -> np.ndarray:
    """Diffuse light and the mirror images of lamps and sky in paint and glass, N×3."""
    towards_eye = eye - points
    towards_eye /= np.linalg.norm(towards_eye, axis=1, keepdims=True)
    mirrored = 2 * (normals * towards_eye).sum(axis=1, keepdims=True) * normals - towards_eye
    facing = np.clip((normals * towards_eye).sum(axis=1), 0, 1)
    fresnel = gloss + (1 - gloss) * (1 - facing) ** 5
    sky = SKY * 1.6 * np.clip(0.4 + mirrored[:, 1:2], 0.05, 1.4)
    lit_houses = 0.035 * SODIUM * np.exp(-((mirrored[:, 1:2] - 0.1) ** 2) / 0.04)
    towards = np.array(LAMPS)[:, None] - points  # lamps × points × 3
    squared = (towards**2).sum(axis=2)
    towards /= np.sqrt(squared)[..., None]
    power = LAMP_POWER / (squared + 1)
    diffuse = (power * np.clip((towards * normals).sum(axis=2), 0, 1) * towards[..., 1] ** 0.7).sum(axis=0)
    shine = (26 * power * np.clip((towards * mirrored).sum(axis=2), 0, 1) ** 90).sum(axis=0)
    return albedo * (SKY * 1.5 + diffuse[:, None] * SODIUM) + fresnel[:, None] * (
        sky + lit_houses + shine[:, None] * SODIUM
    )
